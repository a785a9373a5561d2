"""`stowplan agent`: a machine with a Docker engine joins a cluster, as by ECS's agent."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stowplan.placement.errors import SpecError
from stowplan.placement.units import parse_duration_ms

if TYPE_CHECKING:
    from stowplan.realdriver.agents.line import Key
    from stowplan.realdriver.agents.member import Identity
    from stowplan.realdriver.docker.config import EnginesTable

_RESERVED = (22, 2375, 2376, 51678, 51679)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan agent`."""
    add = parser.add_argument
    url = os.environ.get("AWS_ENDPOINT_URL_ECS") or os.environ.get("AWS_ENDPOINT_URL")
    add("--endpoint-url", default=url, help="the control plane (AWS_ENDPOINT_URL)")
    add("--cluster", default=os.environ.get("ECS_CLUSTER", "default"), help="(default)")
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    add("--region", default=region, help="that requests are signed for (AWS_DEFAULT_REGION)")
    add("--engine", default=None, metavar="URL", help="the Docker engine: unix://, tcp://, ssh://")
    add("--cpu", type=int, help="CPU units to register; default: those of this machine")
    add("--memory", type=int, help="MiB to register; default: those of this machine")
    add("--instance-id", help="default: made of this machine's name")
    add("--instance-type", default="m5.large", help="as which it registers (m5.large)")
    add("--zone", help="its availability zone; default: the region's a")
    add(
        "--attribute",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an attribute to register; may be given several times",
    )
    add("--state", type=Path, help="folder of what it must not forget")
    add("--pull", default="prefer-cached", help="ECS_IMAGE_PULL_BEHAVIOR (prefer-cached)")
    add("--stop-timeout", default="30s", help="ECS_CONTAINER_STOP_TIMEOUT (30s)")
    add("--cleanup-wait", default="5m", help="how long stopped containers stay (5m)")
    add("--telemetry", default="20s", help="how often it tells what tasks use (20s)")
    parser.set_defaults(command=agent)


def agent(arguments: argparse.Namespace) -> int:
    """`stowplan agent`: until it is interrupted; tasks go on without it."""
    try:
        import httpx
        import websockets  # noqa: F401  # what comes below needs it
    except ImportError as error:
        needs = f"`stowplan agent` needs {error.name}: pip install 'stowplan[serve]'"
        raise SpecError([("agent", needs)]) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for noisy in ("httpx", "httpcore", "websockets", "botocore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    cpu, memory = _sizes(arguments)
    key, who = _key(), _identity(arguments, cpu, memory)
    if arguments.endpoint_url is None:
        raise SpecError([("agent --endpoint-url", "no control plane is named")])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        asyncio.run(_live(arguments, key, who, _engine(arguments, cpu, memory), httpx.AsyncClient))
    return 0


async def _live(
    arguments: argparse.Namespace,
    key: Key,
    who: Identity,
    table: EnginesTable,
    make_client: Callable[..., Any],
) -> None:
    from stowplan.realdriver.agents.engine_body import EngineBody
    from stowplan.realdriver.agents.line import Line
    from stowplan.realdriver.agents.member import Member
    from stowplan.realdriver.clusters import state_folder
    from stowplan.realdriver.docker.names import cluster_name

    name = cluster_name(f"agent-{who.document['instanceId']}")
    folder = arguments.state or state_folder(None) / "agents" / name
    body = EngineBody(table, name, folder)
    try:
        await body.ready()
        body.again()
        async with make_client(trust_env=False) as http:
            line = Line(arguments.endpoint_url, key, arguments.region, http)
            print(f"{who.document['instanceId']} joins {who.cluster} at {arguments.endpoint_url}")
            sys.stdout.flush()
            every_s = parse_duration_ms(arguments.telemetry) / 1000
            await Member(line, who, body, telemetry_s=every_s).run()
    finally:
        body.close()


def _key() -> Key:
    from stowplan.realdriver.agents.line import Key

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [(name, "not in the environment") for name in names if not os.environ.get(name)]
    if missing:
        raise SpecError(missing)
    return Key(*(os.environ[name] for name in names))


def _sizes(arguments: argparse.Namespace) -> tuple[int, int]:
    """CPU units and MiB."""
    sizes = (("--cpu", arguments.cpu), ("--memory", arguments.memory))
    if wrong := [name for name, amount in sizes if amount is not None and amount < 1]:
        raise SpecError([(f"agent {name}", "expected at least 1") for name in wrong])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return arguments.cpu or 1024 * (os.cpu_count() or 1), arguments.memory or memory


def _identity(arguments: argparse.Namespace, cpu: int, memory: int) -> Identity:
    from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES
    from stowplan.realdriver.agents.member import Identity, resources_of

    given, problems = {}, []
    for text in arguments.attribute:
        name, equals, value = text.partition("=")
        if not (name and equals):
            problems.append((f"agent --attribute {text}", "expected NAME=VALUE"))
        given[name] = value
    if problems:
        raise SpecError(problems)
    digits = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:17]
    document = {
        "instanceId": arguments.instance_id or f"i-{digits}",
        "instanceType": arguments.instance_type,
        "availabilityZone": arguments.zone or f"{arguments.region}a",
        "region": arguments.region,
    }
    # An engine of one's own has no network interfaces of EC2 to attach.
    able = {name: value for name, value in AGENT_CAPABILITIES.items() if "task-eni" not in name}
    resources = resources_of(cpu, memory, _RESERVED)
    return Identity(
        arguments.cluster, document, resources, {"ecs.os-type": "linux", **able, **given}
    )


def _engine(arguments: argparse.Namespace, cpu: int, memory: int) -> EnginesTable:
    from pydantic import ValidationError

    from stowplan.realdriver.docker.config import DEFAULT_URL, EnginesTable

    try:
        return EnginesTable.model_validate(
            {
                "engine": [{"url": arguments.engine or DEFAULT_URL, "cpu": cpu, "memory": memory}],
                "pull": arguments.pull,
                "stop_timeout": arguments.stop_timeout,
                "cleanup_wait": arguments.cleanup_wait,
                "silence": "1s",
            }
        )
    except ValidationError as error:
        where = [(str(e["loc"]), e["msg"]) for e in error.errors()]
        raise SpecError(where) from None
