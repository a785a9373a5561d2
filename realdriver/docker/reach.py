"""How one engine is reached: by socket, TLS or the user's ssh, in a version of its API that both
sides speak, and what it says of itself."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import docker
from docker.tls import TLSConfig

from stowplan.realdriver.docker.config import EngineTable
from stowplan.realdriver.docker.errors import Unreachable, translated

# The newest API whose answers we know. A newer engine speaks it too, unless its oldest is newer.
_KNOWN_API = "1.47"
_TUNNEL_MS = 15_000


class Client(docker.APIClient):  # type: ignore[misc]
    """The SDK's client with a deadline also where the SDK has none: pulls, events, waiting."""

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        return kwargs

    def alive(self) -> None:
        """Ask whether it is there, in no version of the API: an engine refuses those that it does
        not speak."""
        self._raise_for_status(self._get(self._url("/_ping", versioned_api=False)))

    def podman_check(self, identity: str) -> None:
        """A call of Podman's own API: Docker's has none for it."""
        path = f"/v4.0.0/libpod/containers/{identity}/healthcheck"
        self._raise_for_status(self._get(self._url(path, versioned_api=False)))


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself in `/info`; 0, "" and False where it says nothing.

    `limits`: which of memory, cpu, swap it can limit at all.
    """

    cpus: int = 0
    system: str = ""
    cgroup_version: str = ""
    cgroup_driver: str = ""
    architecture: str = ""
    rootless: bool = False
    podman: bool = False
    limits: tuple[str, ...] = ("memory", "cpu", "swap")

    @property
    def nests(self) -> bool:
        """Whether the cgroup of a container may hold those of others. With cgroup v2 one that has
        processes can hold none, with systemd all are slices whose limits only systemd sets."""
        return (self.cgroup_driver, self.cgroup_version) == ("cgroupfs", "1")

    @property
    def desktop(self) -> bool:
        """Whether its containers run in a virtual machine of Docker Desktop."""
        return "docker desktop" in self.system.lower()


def facts_of(info: dict[str, Any]) -> EngineFacts:
    """The facts in an answer of `/info`, Docker's or Podman's."""
    can = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota", "swap": "SwapLimit"}
    options = info.get("SecurityOptions") or ()
    return EngineFacts(
        int(info.get("NCPU") or 0),
        str(info.get("OperatingSystem") or ""),
        str(info.get("CgroupVersion") or "1"),
        str(info.get("CgroupDriver") or ""),
        str(info.get("Architecture") or ""),
        bool(info.get("Rootless")) or any("name=rootless" in option for option in options),
        "BuildahVersion" in info,
        tuple(name for name, field in can.items() if info.get(field, True)),
    )


def spoken(newest: str, oldest: str) -> str:
    """The version to speak with an engine that speaks those from `oldest` to `newest`."""
    known, most, least = (
        tuple(int(part) for part in text.split(".")) for text in (_KNOWN_API, newest, oldest)
    )
    return ".".join(str(part) for part in max(min(known, most), least))


class Reach:
    """Opens clients of one engine. `name` is what errors call it."""

    def __init__(self, table: EngineTable, name: str) -> None:
        self._table, self._name = table, name
        self._version = ""
        self._tunnel: _Tunnel | None = None
        self._tunnelling = Lock()

    def negotiate(self, timeout_s: float) -> None:
        """Learn which version of the API to speak. An engine may come back as another release, so
        ask after each absence.

        Raises:
            Unreachable, DriverError: see `errors.translated`.
        """
        client = self._open(_KNOWN_API, timeout_s)
        try:
            with translated(self._name):
                says = client.version(api_version=False)
                newest = says["ApiVersion"]
                self._version = spoken(newest, says.get("MinAPIVersion") or newest)
        finally:
            client.close()

    def check(self, timeout_s: float) -> None:
        """Raise Unreachable unless the engine answers within so many seconds."""
        client = self._open(_KNOWN_API, timeout_s)
        try:
            with translated(self._name):
                client.alive()
        finally:
            client.close()

    def open(self, timeout_s: float) -> Client:
        """A client in the version that was negotiated; the caller closes it."""
        if not self._version:
            self.negotiate(timeout_s)
        return self._open(self._version, timeout_s)

    def close(self) -> None:
        """End the tunnel, where there is one."""
        if self._tunnel is not None:
            self._tunnel.close()

    def _open(self, version: str, timeout_s: float) -> Client:
        url, tls = self._table.url, self._table.tls
        if url.startswith("ssh://"):
            url = self._through_ssh(url)
        config = TLSConfig((tls.cert, tls.key), ca_cert=tls.ca, verify=True) if tls else False
        with translated(self._name):
            client = Client(url, version, timeout_s, tls=config, max_pool_size=32)
        # Variables such as REQUESTS_CA_BUNDLE would take the place of the engine's own CA.
        client.trust_env = False
        return client

    def _through_ssh(self, url: str) -> str:
        with self._tunnelling:
            if self._tunnel is None or not self._tunnel.up:
                self._tunnel = _Tunnel(url)
            return self._tunnel.url


class _Tunnel:
    """The user's own ssh, forwarding a socket: keys, agents and ~/.ssh/config as ever."""

    _numbers = itertools.count()

    def __init__(self, url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="stowplan-ssh-")
        socket = Path(self._folder.name) / "docker.sock"
        host, _, path = url.removeprefix("ssh://").partition("/")
        target, _, port = host.partition(":")
        options = ["BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=5"]
        command = ["ssh", "-nNT", "-L", f"{socket}:/{path or 'var/run/docker.sock'}"]
        command += [word for option in options for word in ("-o", option)]
        command += (["-p", port] if port else []) + [target]
        self.url = f"unix://{socket}"
        try:
            self._ssh = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise Unreachable(f"{url}: {error}") from error
        end = time.monotonic() + _TUNNEL_MS / 1000
        while not socket.exists():
            if not self.up or time.monotonic() > end:
                self.close()
                said = self._ssh.communicate()[1].decode(errors="replace").strip()
                raise Unreachable(f"{url}: {said or 'ssh does not connect'}")
            time.sleep(0.02)

    @property
    def up(self) -> bool:
        """Whether ssh still runs."""
        return self._ssh.poll() is None

    def close(self) -> None:
        """End ssh."""
        self._ssh.terminate()
        self._ssh.wait()
        self._folder.cleanup()
