"""Private Docker engines for tests: each in namespaces of its own, as if on a machine of its own.

Never in the machine's own network namespace: two daemons there share docker0 and hand out the same
addresses. An engine's PID 1 is a tini that outlives the daemon, so that the daemon can be killed
while containers live on; killing tini is a power cut.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import docker

from tests.debian import lacking

PROGRAMS = (
    "dockerd",
    "containerd",
    "runc",
    "tini",
    "iptables",
    "ip",
    "nsenter",
    "setpriv",
    "busybox",
)
PACKAGES = ("docker.io", "iptables", "iproute2", "tini", "busybox-static")
IMAGE = "stowplan-test:1"


@cache
def why_not() -> str | None:
    """Why no engines can be started here; None where they can. Installs what Debian has."""
    if os.geteuid() != 0:
        return "private engines need root"
    if reason := lacking(PROGRAMS, PACKAGES):
        return reason
    probe = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], capture_output=True)
    return probe.stderr.decode().strip() if probe.returncode else None


class Engine:
    """One private engine under `folder`. `args` go to dockerd besides ours."""

    def __init__(self, folder: Path, args: tuple[str, ...] = (), data_mib: int | None = None):
        self.folder, self.args, self.data_mib = folder, args, data_mib
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._init: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None

    # --- the machine ------------------------------------------------------------------------------

    def boot(self) -> Engine:
        """Switch the machine on and start its engine; returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._power_on()
        self.start()
        return self

    def _power_on(self) -> None:
        # With the test process goes the machine, and with the machine all that is on it.
        spaces = ["--net", "--pid", "--mount", "--uts", "--ipc", "--mount-proc", "--fork"]
        outer = ["setpriv", "--pdeathsig", "KILL", "unshare", *spaces, "--kill-child=SIGKILL"]
        self._init = subprocess.Popen(
            [*outer, "tini", "--", "sleep", "infinity"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _until(lambda: self._inside() is not None, "no PID 1")
        _until(lambda: self.enter("test", "-d", "/proc/1").returncode == 0, "no /proc")
        self.enter("ip", "link", "set", "lo", "up")
        if self.data_mib is not None:
            (self.folder / "data").mkdir(exist_ok=True)
            size = f"size={self.data_mib}m"
            self.enter("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self.folder / "data"))

    def power_off(self) -> None:
        """The machine is gone at once, with everything that ran on it."""
        if self._init is not None:
            inside = self._inside()
            if inside is not None:
                os.kill(inside, signal.SIGKILL)
            self._init.wait()
        if self._daemon is not None:
            self._daemon.wait()
        self._init = self._daemon = None
        self.socket.unlink(missing_ok=True)

    def power_on(self) -> None:
        """The machine boots again, disk as it was."""
        (self.folder / "docker.pid").unlink(missing_ok=True)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        self._power_on()
        self.start()

    def close(self) -> None:
        """Take the machine away, disk included."""
        self.power_off()
        shutil.rmtree(self.folder, ignore_errors=True)

    def enter(self, *command: str) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the machine."""
        return subprocess.run(self.entering(*command), capture_output=True, timeout=120)

    def entering(self, *command: str) -> list[str]:
        """The command line that runs a command on the machine."""
        spaces = ["--net", "--pid", "--mount", "--uts", "--ipc"]
        return ["nsenter", "--target", str(self._inside()), *spaces, *command]

    def _inside(self) -> int | None:
        return None if self._init is None else _child(self._init.pid)

    # --- the daemon -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start dockerd; returns when it answers."""
        config = self.folder / "daemon.json"
        config.write_text(json.dumps({"deprecated-key-path": str(self.folder / "key.json")}))
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.entering("dockerd", *self._options(config), *self.args),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _until(self._answers, f"dockerd does not come up, see {self.folder / 'log'}")

    def _options(self, config: Path) -> list[str]:
        return [
            f"--config-file={config}",
            f"--data-root={self.folder / 'data'}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'docker.pid'}",
            f"--host={self.url}",
        ]

    def _answers(self) -> bool:
        assert self._daemon is not None
        assert self._daemon.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            with self.client(timeout=2) as client:
                return bool(client.ping())
        except Exception:
            return False

    def kill(self) -> None:
        """kill -9 of the daemon; containers live on without it."""
        assert self._daemon is not None
        kill_inside(self._daemon)

    def hang(self) -> None:
        """The daemon hangs: its socket takes connections that nobody serves."""
        os.kill(self.daemon_pid, signal.SIGSTOP)

    def resume(self) -> None:
        """The daemon goes on."""
        assert self._daemon is not None
        os.kill(self.daemon_pid, signal.SIGCONT)
        os.kill(self._daemon.pid, signal.SIGCONT)  # nsenter stops itself with its child

    @property
    def daemon_pid(self) -> int:
        """dockerd's PID, as seen from outside."""
        assert self._daemon is not None
        pid = _child(self._daemon.pid)
        assert pid is not None, "dockerd is gone"
        return pid

    @contextmanager
    def client(self, timeout: int = 30) -> Iterator[docker.DockerClient]:
        """A plain SDK client, to look with other eyes than the driver's."""
        client = docker.DockerClient(self.url, version="1.41", timeout=timeout)
        try:
            yield client
        finally:
            client.close()

    def containers(self) -> list[dict]:
        """All containers of the engine, as its API lists them."""
        with self.client() as client:
            return client.api.containers(all=True)

    def images(self) -> list[dict]:
        """All images of the engine, as its API lists them."""
        with self.client() as client:
            return client.api.images()

    def load_image(self, name: str = IMAGE) -> None:
        """A busybox of 2 MB by this name."""
        repository, tag = name.rsplit(":", 1)
        with self.client() as client:
            client.api.import_image_from_data(_busybox(), repository, tag)


class PodmanEngine(Engine):
    """A private Podman, which speaks Docker's API on a socket; the rest is as in `Engine`."""

    def start(self) -> None:
        """Start its service; returns when it answers."""
        config = self.folder / "containers.conf"
        config.write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        # Of what runs, Podman takes no path longer than 50 characters: a disk of the machine's own.
        self.enter("mount", "-t", "tmpfs", "tmpfs", "/mnt")
        folders = [f"--root={self.folder}/root", "--runroot=/mnt/run", "--tmpdir=/mnt/tmp"]
        service = ["--storage-driver=vfs", "system", "service", "--time=0", self.url]
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.entering("podman", *folders, *service),
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "CONTAINERS_CONF": str(config)},
            )
        _until(self._answers, f"podman does not come up, see {self.folder / 'log'}")

    def load_image(self, name: str = IMAGE) -> None:
        """A busybox of 2 MB by this name, which Podman takes in a call of its own."""
        with self.client() as client:
            said = json.loads(client.api.import_image_from_data(_busybox(), "busybox", "1"))
            client.api.tag(said["status"], *name.rsplit(":", 1))


@cache
def _busybox() -> bytes:
    program = Path(shutil.which("busybox") or "").read_bytes()
    names = ("sh", "sleep", "true", "false", "cat", "nc", "httpd", "id", "touch", "dd", "tail")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        for name in (*names, "echo", "test", "kill", "hostname", "yes", "head", "ulimit", "env"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for name in ("tmp", "etc", "proc", "sys", "dev"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(folder)
    return buffer.getvalue()


def kill_inside(process: subprocess.Popen[bytes]) -> None:
    """End what was started by `Engine.entering`: nsenter alone would leave it behind."""
    inside = _child(process.pid)
    if inside is not None:
        os.kill(inside, signal.SIGKILL)
    process.wait()


def _child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def _until(happens, what: str, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, what
        time.sleep(0.02)
