"""The real Amazon ECS agent, where STOWPLAN_ECS_AGENT names its binary; else our own plays it.

Its ports are fixed, so there is one in each network namespace: that of its engine's machine. There
is no way out of that but a relay: its listening socket is in there, what it connects to is here.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from tests.realdriver.agents import procs
from tests.realdriver.agents.rig import AGENT

BINARY = os.environ.get("STOWPLAN_ECS_AGENT")
_NEWNET = 0x40000000


def _listening_inside(pid: int) -> socket.socket:
    """A listening socket on the loopback of another process's network namespace."""
    found = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/ns/net") as space:
            assert libc.setns(space.fileno(), _NEWNET) == 0, os.strerror(ctypes.get_errno())
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        found.append(sock)

    thread = threading.Thread(target=make)  # which alone goes there, and ends
    thread.start()
    thread.join()
    return found[0]


class Relay:
    """Connections from within a namespace, passed on to a port of this machine."""

    def __init__(self, pid: int, port: int):
        self._to, self._sock = port, _listening_inside(pid)
        self.port = self._sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                inside, _ = self._sock.accept()
                try:
                    outside = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    inside.close()
                    continue
                for pair in ((inside, outside), (outside, inside)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class RealAgent(procs.Process):
    """The real agent on an engine, with the metadata of a machine that is no EC2 instance."""

    def __init__(self, server, engine, number: int, folder: Path, cluster: str):
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(log=folder / "agent.log")
        self._engine, self._server, self._folder = engine, server, folder
        self._cluster = cluster
        keys = folder / "keys"
        keys.write_text(f"{AGENT.access_key} {AGENT.secret} agent\n")
        self._facts_port = procs.free_port()
        zone = f"us-east-1{'abc'[number % 3]}"
        self._metadata = procs.Process(
            *("serve", "--metadata", f"i-{number:017x}", "--port", str(self._facts_port)),
            *("--zone", zone, "--keys", str(keys)),
            log=folder / "metadata.log",
        ).start()
        inside = engine._inside()
        self._plane, self._facts = Relay(inside, server.port), Relay(inside, self._facts_port)

    def start(self):
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        env = {
            "ECS_BACKEND_HOST": f"http://127.0.0.1:{self._plane.port}",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self._facts.port}",
            "AWS_ACCESS_KEY_ID": AGENT.access_key,
            "AWS_SECRET_ACCESS_KEY": AGENT.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "DOCKER_HOST": self._engine.url,
            "ECS_CLUSTER": self._cluster,
            "ECS_DATADIR": str(data),
            "ECS_ENABLE_TASK_CPU_MEM_LIMIT": "false",
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
            "ECS_CONTAINER_STOP_TIMEOUT": "2s",
            "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION": "1m",
            "PATH": os.environ["PATH"],
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._engine.entering(BINARY), stdout=log, stderr=log, env=env,
                start_new_session=True,
            )  # fmt: skip
        return self

    def kill(self):
        from tests.realdriver.engines import kill_inside

        kill_inside(self.process)

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._metadata.end()
        for relay in (self._plane, self._facts):
            relay.close()


def agent(server, engine, number: int, folder: Path, cluster="default"):
    """The agent of a machine: the real one where there is one."""
    if BINARY:
        return RealAgent(server, engine, number, folder, cluster)
    return procs.agent(server, engine, number, folder, "--cluster", cluster)
