"""The calls to one engine, each with a deadline, each with our errors."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import docker
from docker.tls import TLSConfig
from docker.utils import parse_repository_tag

from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.docker import names, pause
from stowplan.realdriver.docker.config import EnginesTable, EngineTable
from stowplan.realdriver.docker.errors import Conflict, Unreachable, translated

# Events that no answer to our calls tells; health probes would be three times as many. One that is
# removed by force dies first.
_ACTIONS = ("die", "health_status")
_OLDEST_API = "1.41"
_TUNNEL_MS = 15_000


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """A container of ours, as its engine describes it.

    `status` is Docker's: created, running, paused, restarting, exited, dead. `started_at` differs
    from start to start and is "" before the first. `ports` are (container port with protocol, host
    address, host port).
    """

    task: int
    name: str
    id: str
    full_name: str
    instance: str
    status: str
    started_at: str
    exit_code: int
    oom_killed: bool
    health: str | None
    error: str
    ports: tuple[tuple[str, str, int], ...] = ()

    @property
    def published(self) -> list[tuple[str, str]]:
        """(container port with protocol, where it is published), for people: an engine that
        publishes on every IPv4 address and every IPv6 address says so once."""
        everywhere = {(port, number) for port, host, number in self.ports if host == "0.0.0.0"}
        return [
            (port, f"[{host}]:{number}" if ":" in host else f"{host}:{number}")
            for port, host, number in self.ports
            if not (host == "::" and (port, number) in everywhere)
        ]


class _Client(docker.APIClient):  # type: ignore[misc]
    """The SDK's client with a deadline also where the SDK has none: pulls, events, waiting."""

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        return kwargs


class Connection:
    """Calls to one engine; any thread may make them.

    Nothing is sent before the first call. Raises of every call: see `errors.translated`.
    """

    def __init__(self, table: EngineTable, settings: EnginesTable) -> None:
        self.name = table.name or table.url
        self.cpus, self.nests = 0, ""
        self._table, self._settings = table, settings
        self._call_s = max(1.0, settings.call_timeout / 1000)
        self._client: _Client | None = None
        self._tunnel: _Tunnel | None = None
        self._tunnelling = Lock()

    def connect(self) -> None:
        """See that the engine answers, and learn what it speaks, how many CPUs it allows, and under
        which cgroup its containers' lie, if one of them may hold others (`Placed.nests`)."""
        if self._client is not None:
            return
        with translated(self.name):
            client = self._open(_OLDEST_API, self._call_s)
            spoken = client.version(api_version=False)
            client.close()
            client = self._open(spoken["ApiVersion"], self._call_s)
            info = client.info()
            self.cpus = info["NCPU"]
            # With cgroup v2 one that has processes can hold none, with systemd all are slices.
            if (info.get("CgroupDriver"), info.get("CgroupVersion")) == ("cgroupfs", "1"):
                self.nests = self._table.cgroup_parent.rstrip("/")
            self._client = client

    def check(self, timeout_s: float) -> None:
        """Raise Unreachable unless the engine answers within so many seconds."""
        with translated(self.name):
            client = self._open(_OLDEST_API, timeout_s)
            try:
                client.ping()
            finally:
                client.close()

    def close(self) -> None:
        """Let go of the engine."""
        if self._client is not None:
            self._client.close()
        if self._tunnel is not None:
            self._tunnel.close()

    # --- containers -------------------------------------------------------------------------------

    def create(self, name: str, call: Mapping[str, Any]) -> str:
        """Create a container; returns its id. If ours is there already under that name, it is
        taken.

        Raises:
            Conflict: a container that is not ours has that name.
        """
        try:
            with translated(self.name):
                return str(self._api.create_container_from_config(call, name)["Id"])
        except Conflict:
            with translated(self.name):
                there = self._api.inspect_container(name)
            found = there["Config"]["Labels"] or {}
            if any(found.get(label) != call["Labels"][label] for label in (names.RUN, names.TASK)):
                raise
            return str(there["Id"])

    def start(self, name: str) -> None:
        """Start a container; one that runs is left alone."""
        with translated(self.name):
            self._api.start(name)

    def stop(self, name: str, timeout_s: int | None = None) -> None:
        """SIGTERM (or the image's STOPSIGNAL), and SIGKILL after `timeout_s`.

        None: after the timeout that the container was created with.
        """
        with translated(self.name):
            self._api.stop(name, timeout_s)

    def remove(self, name: str) -> None:
        """Remove a container, running or not, and its anonymous volumes."""
        with suppress(NotFound), translated(self.name):
            self._api.remove_container(name, v=True, force=True)

    def inspect(self, name: str) -> EngineContainer:
        """What the engine says of one container."""
        with translated(self.name):
            return _container(self._api.inspect_container(name))

    def list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Containers with all of these labels, stopped ones too, as the engine lists them."""
        with translated(self.name):
            found: list[dict[str, Any]] = self._api.containers(all=True, filters=_filter(labels))
            return found

    def usage(self, name: str) -> tuple[int, int]:
        """CPU time that a container has had, in ns, and bytes of memory that it has."""
        with translated(self.name):
            found = self._api.stats(name, stream=False, one_shot=True)
        return found["cpu_stats"]["cpu_usage"]["total_usage"], found["memory_stats"].get("usage", 0)

    def logs(self, name: str, *, follow: bool = False, tail: int | str = "all") -> Iterator[bytes]:
        """What a container wrote, in pieces."""
        with translated(self.name):
            yield from self._api.logs(name, stream=True, follow=follow, tail=tail)

    def events(self, labels: Mapping[str, str], silence_s: float) -> Iterator[tuple[str, Any]]:
        """(id, labels) of containers of ours to which something happens.

        All that happens after this returns is told. It ends after `silence_s` without an event, and
        when the engine goes away. In both cases look at all containers then.
        """
        client = self._open(_OLDEST_API, silence_s)
        filters = {"type": ["container"], "event": list(_ACTIONS), **_filter(labels)}
        try:
            with translated(self.name):
                stream = client.events(decode=True, filters=filters)
        except DriverError:
            client.close()
            raise
        return self._follow(client, stream)

    def _follow(self, client: _Client, stream: Any) -> Iterator[tuple[str, Any]]:
        try:
            with suppress(Unreachable), translated(self.name):
                for event in stream:
                    yield event["id"], event["Actor"]["Attributes"]
        finally:
            client.close()

    # --- images -----------------------------------------------------------------------------------

    def has_image(self, image: str) -> bool:
        """Whether the engine has this image."""
        with suppress(NotFound), translated(self.name):
            self._api.inspect_image(image)
            return True
        return False

    def pull(self, image: str, credentials: Mapping[str, str] | None) -> None:
        """Pull an image.

        Raises:
            DriverError: what the registry said; the stream of a pull is the only place for it.
        """
        repository, tag = parse_repository_tag(image)
        end = time.monotonic() + self._settings.pull_timeout / 1000
        with translated(self.name):
            lines = self._api.pull(
                repository, tag or "latest", stream=True, decode=True, auth_config=credentials
            )
            for line in lines:
                if "error" in line:
                    raise DriverError(line["error"])
                if time.monotonic() > end:
                    lines.close()
                    seconds = self._settings.pull_timeout // 1000
                    raise DriverError(f"not pulled after {seconds} s: {image}")

    def image_mib(self, image: str) -> float:
        """How large an image is, unpacked."""
        with translated(self.name):
            size: int = self._api.inspect_image(image)["Size"]
            return size / (1 << 20)

    def remove_image(self, image: str) -> None:
        """Remove an image that no container has."""
        with translated(self.name):
            self._api.remove_image(image)

    # --- what a cluster has on every engine -------------------------------------------------------

    def prepare(self, cluster: str, labels: Mapping[str, str]) -> None:
        """Make the cluster's network, where it is missing."""
        network = names.network_name(cluster)
        try:
            with translated(self.name):
                if not self._api.networks(names=[network], filters=_filter(labels)):
                    self._api.create_network(
                        network, "bridge", labels=dict(labels), check_duplicate=True
                    )
        except Conflict:
            with translated(self.name):  # made meanwhile, or not ours
                if not self._api.networks(names=[network], filters=_filter(labels)):
                    raise

    def ensure_pause_image(self) -> None:
        """Make the image of pause containers: one program of a few bytes, nothing to pull."""
        if self.has_image(names.PAUSE_IMAGE):
            return
        with translated(self.name):
            machine = self._api.info()["Architecture"]
            repository, tag = names.PAUSE_IMAGE.split(":")
            changes = ['ENTRYPOINT ["/pause"]', f"LABEL {names.CLUSTER}=~pause"]
            self._api.import_image_from_data(pause.image(machine), repository, tag, changes)

    def create_volume(self, call: Mapping[str, Any]) -> None:
        """Make a volume (`translate.volume_calls`); one that is there already is taken for it."""
        with translated(self.name):
            self._api.create_volume(
                call["Name"], call.get("Driver"), call.get("DriverOpts"), call.get("Labels")
            )

    def volumes(self, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(name, run that made it) of volumes with these labels."""
        with translated(self.name):
            found = self._api.volumes(filters=_filter(labels))["Volumes"]
        return ((each["Name"], each["Labels"].get(names.RUN, "")) for each in found or ())

    def networks(self, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(name, run that made it) of networks with these labels."""
        with translated(self.name):
            found = self._api.networks(filters=_filter(labels))
        return ((each["Name"], each["Labels"].get(names.RUN, "")) for each in found)

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses any more."""
        with suppress(NotFound), translated(self.name):
            self._api.remove_volume(name, force=True)

    def remove_network(self, name: str) -> None:
        """Remove a network that no container is in any more."""
        with translated(self.name):
            self._api.remove_network(name)

    # --- how to reach it --------------------------------------------------------------------------

    @property
    def _api(self) -> _Client:
        if self._client is None:
            self.connect()
        assert self._client is not None
        return self._client

    def _open(self, version: str, timeout_s: float) -> _Client:
        url, tls = self._table.url, self._table.tls
        if url.startswith("ssh://"):
            url = self._through_ssh(url)
        config = TLSConfig((tls.cert, tls.key), ca_cert=tls.ca, verify=True) if tls else False
        with translated(self.name):
            client = _Client(url, version, timeout_s, tls=config, max_pool_size=32)
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


def _filter(labels: Mapping[str, str]) -> dict[str, Any]:
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def _container(found: Mapping[str, Any]) -> EngineContainer:
    state, labels = found["State"], found["Config"]["Labels"]
    published = (found.get("NetworkSettings") or {}).get("Ports") or {}
    return EngineContainer(
        int(labels[names.TASK]),
        labels[names.CONTAINER],
        found["Id"],
        found["Name"].lstrip("/"),
        labels[names.INSTANCE],
        state["Status"],
        "" if state["StartedAt"].startswith("0001-") else state["StartedAt"],
        state["ExitCode"],
        state["OOMKilled"],
        (state.get("Health") or {}).get("Status"),
        state.get("Error", ""),
        tuple(
            (port, binding["HostIp"], int(binding["HostPort"]))
            for port, bindings in published.items()
            for binding in bindings or ()
        ),
    )
