"""A control plane and agents as processes of their own, which can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from tests.realdriver.agents.rig import ADMIN, AGENT

_ENV = {"AWS_ACCESS_KEY_ID": AGENT.access_key, "AWS_SECRET_ACCESS_KEY": AGENT.secret}


class Process:
    """A `stowplan` command; it is started again with the same arguments after a kill."""

    def __init__(self, *arguments: str, log: Path, env=()):
        self.arguments, self.log = arguments, log
        self.env = {**os.environ, **dict(env)}
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stowplan", *self.arguments],
                stdout=log,
                stderr=log,
                env=self.env,
                start_new_session=True,
            )
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server(Process):
    """`stowplan serve --driver agents` that keeps its state."""

    def __init__(self, folder: Path):
        keys = folder / "keys"
        keys.write_text(
            f"{ADMIN.access_key} {ADMIN.secret}\n{AGENT.access_key} {AGENT.secret} agent\n"
        )
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        arguments = ("--driver", "agents", "--port", str(self.port), "--keys", str(keys))
        state = ("--state", str(folder / "state"))
        super().__init__("serve", *arguments, *state, log=folder / "server.log")

    def start(self):
        before = len(re.findall("ECS at", self.said()))
        super().start()
        end = time.monotonic() + 60
        while len(re.findall("ECS at", self.said())) == before:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)
        return self

    def client(self, key=ADMIN):
        return boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            config=Config(retries={"mode": "standard", "total_max_attempts": 10}),
        )


def agent(server: Server, engine, number: int, folder: Path, *more: str) -> Process:
    """`stowplan agent` on a private engine: our own."""
    folder.mkdir(parents=True, exist_ok=True)
    return Process(
        "agent",
        *("--endpoint-url", server.url, "--engine", engine.url),
        *("--instance-id", f"i-{number:017x}", "--zone", f"us-east-1{'abc'[number % 3]}"),
        *("--cpu", "2048", "--memory", "2048", "--state", str(folder / "state")),
        *("--stop-timeout", "2s", "--cleanup-wait", "1s", "--telemetry", "1s", *more),
        log=folder / "agent.log",
        env=_ENV,
    )
