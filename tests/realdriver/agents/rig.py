"""A control plane for agents, in the test's own process, and agents that play by its protocol."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import boto3
import httpx
import uvicorn
from botocore.config import Config

from stowplan.experiments.runs.serving_agents import AgentWorlds
from stowplan.placement.agentwire.driver import AgentsSettings
from stowplan.placement.agentwire.frames import FRAME_MOST
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES
from stowplan.placement.wire.arns import Account
from stowplan.realdriver.agents.line import Key, Line
from stowplan.realdriver.agents.member import Identity, Member, resources_of
from stowplan.realdriver.endpoint.app import Settings, make_app
from stowplan.realdriver.endpoint.host import LocalHost
from stowplan.realdriver.endpoint.pace import Clock
from stowplan.realdriver.endpoint.regions import Regions

ADMIN, AGENT = Key("AKIDADMIN", "admin-secret"), Key("AKIDAGENT", "agent-secret")
QUICK = AgentsSettings(beat_ms=500, patience_ms=2_000, resend_ms=1_000)
CONTAINER = {"name": "app", "image": "stowplan-test:1", "cpu": 64, "memory": 32}


def until(holds: Callable[[], object], seconds: float = 20):
    """Wait until something holds; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not in {seconds} s"
        time.sleep(0.02)
    return found


class Plane:
    """An endpoint with real agents, on a free port of the loopback."""

    def __init__(self, state=None, settings=QUICK, port=0):
        self.account = Account()

        def make(region):
            host = LocalHost(
                self.account, AgentWorlds(self.account, state, settings), Clock(), time.time
            )
            with host.gate:
                for name in dict.fromkeys(["default", *AgentWorlds(self.account, state).known()]):
                    host.create(name, {})
            return host

        self.regions = Regions(make, "us-east-1")
        self.host = self.regions.of("")
        app = make_app(self.regions, Settings(dict([ADMIN, AGENT]), agents=(AGENT.access_key,)))
        config = uvicorn.Config(
            app,
            port=port,
            log_level="warning",
            lifespan="off",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            ws_max_size=FRAME_MOST,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        until(lambda: self.server.started)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, key=ADMIN):
        return boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret,
            config=Config(retries={"max_attempts": 0}),
        )

    @property
    def state(self):
        return self.host.clusters["default"].state

    def close(self):
        self.server.should_exit = True
        self.thread.join(10)
        self.regions.close()


def identity(number: int, cpu=2048, memory=4096, cluster="default", **attributes) -> Identity:
    """What a machine says of itself."""
    document = {
        "instanceId": f"i-{number:017x}",
        "instanceType": "m5.large",
        "availabilityZone": f"us-east-1{'abc'[number % 3]}",
        "region": "us-east-1",
    }
    able = {name: "" for name in AGENT_CAPABILITIES if "task-eni" not in name}
    said = {"ecs.os-type": "linux", **able, **attributes}
    reserved = (22, 2375, 2376, 51678, 51679)
    token = f"token-{number}"
    return Identity(cluster, document, resources_of(cpu, memory, reserved), said, token)


class Crew:
    """Agents in a loop of their own thread."""

    def __init__(self, url: str, key=AGENT):
        self.url, self.key = url, key
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.http = self.do(self._http())
        self.lives = {}

    async def _end(self):
        await self.http.aclose()
        me = asyncio.current_task()
        for task in asyncio.all_tasks() - {me}:
            task.cancel()

    async def _http(self):
        return httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_connections=100))

    def do(self, what, seconds=30):
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(seconds)

    def join(self, body, who, **more) -> Member:
        """An agent begins to live."""
        more = {"telemetry_s": 0.3, "silence_s": 3.0, **more}

        async def begin():
            line = Line(self.url, self.key, "us-east-1", self.http)
            member = Member(line, who, body, **more)
            self.lives[member] = asyncio.get_running_loop().create_task(member.run())
            return member

        return self.do(begin())

    def kill(self, member) -> None:
        """It dies at once."""

        async def end():
            life = self.lives.pop(member)
            life.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await life

        self.do(end())

    def error(self, member):
        """Why an agent gave up."""
        return self.lives[member].exception() if self.lives[member].done() else None

    def close(self):
        for member in list(self.lives):
            self.kill(member)
        self.do(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


def register(ecs, family="app", **fields):
    """A task definition of one container, or of those in `fields`."""
    fields.setdefault("containerDefinitions", [CONTAINER])
    answer = ecs.register_task_definition(family=family, **fields)
    return answer["taskDefinition"]["taskDefinitionArn"]


def described(ecs, arn, cluster="default"):
    """A task as it is described now."""
    (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
    return task


def shown(document) -> str:
    return json.dumps(document, indent=1, default=str)
