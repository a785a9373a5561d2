"""`stowplan serve`: ECS's wire API in front of simulated clusters."""

from __future__ import annotations

import argparse
import math
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stowplan.experiments.cli.certificate import MADE, certificate
from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from stowplan.realdriver.endpoint.app import Settings
    from stowplan.realdriver.endpoint.events import FileSink, PostSink, Sink
    from stowplan.realdriver.endpoint.host import LocalHost

# So long a loop that simulates keeps the interpreter; a request needs it some ten times.
_SWITCH_S = 0.0005
_BACKLOG = 2048
_SERVER: dict[str, Any] = {
    "log_level": "warning",
    "lifespan": "off",
    "server_header": False,
    "timeout_graceful_shutdown": 2,  # of streams of events, which have no end of their own
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
LOOPBACK_NAMES = ("127.0.0.1", "[::1]", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan serve`."""
    parser.add_argument(
        "scenario", type=Path, nargs="?", help="fleet and services to begin with; default: none"
    )
    parser.add_argument(
        "--driver",
        choices=("sim", "agents"),
        default="sim",
        help="what instances are: simulated, or real agents that register (sim)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8014, help="0: any that is free")
    parser.add_argument(
        "--clock",
        type=_factor,
        default=1.0,
        metavar="FACTOR",
        help="simulated seconds a second; `fast`: at once to what happens next; `step`: only by "
        "`stowplan clock`",
    )
    parser.add_argument("--region", default="us-east-1", help="in ARNs (us-east-1)")
    parser.add_argument("--account", default="000000000000", help="twelve digits")
    parser.add_argument(
        "--keys",
        type=Path,
        help="access keys that may call, a line each: KEY SECRET, and `agent` after "
        "those that only agents have",
    )
    parser.add_argument(
        "--tls",
        metavar="FILE",
        help="speak TLS with this certificate, or `new`: with one that is made for it",
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--state", type=Path, help="folder that keeps the clusters; default: they do not last"
    )
    _add_others(parser)
    parser.set_defaults(command=serve)


def _add_others(parser: argparse.ArgumentParser) -> None:
    """What is beside ECS's own API."""
    parser.add_argument(
        "--others", metavar="URL", help="endpoint that gets every request that is not for ECS"
    )
    parser.add_argument(
        "--events",
        action="append",
        default=[],
        metavar="FILE|URL",
        help="send events as EventBridge would: append to a file, or POST to an address; again "
        "for several. GET /_stowplan/events streams them anyway",
    )
    parser.add_argument(
        "--testing",
        action="store_true",
        help="for suites written for emulators: begins without clusters, has an account in every "
        "region, and POST /moto-api/reset forgets everything",
    )
    parser.add_argument(
        "--metadata",
        metavar="INSTANCE_ID",
        help="be the instance metadata service (IMDSv2) of one machine instead, for its agent",
    )
    parser.add_argument("--instance-type", default="m5.large", help="with --metadata (m5.large)")
    parser.add_argument("--zone", help="with --metadata; default: the region's a")


def _factor(text: str) -> float:
    named = {"fast": math.inf, "step": 0.0}
    try:
        factor = named[text] if text in named else float(text)
    except ValueError:
        factor = -1.0
    if not factor >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a factor, nor fast, nor step")
    return factor


def serve(arguments: argparse.Namespace) -> int:
    """`stowplan serve`: until it is interrupted."""
    try:
        import uvicorn

        from stowplan.realdriver.endpoint.app import make_app
    except ImportError as error:
        needs = f"`stowplan serve` needs {error.name}: pip install 'stowplan[serve]'"
        raise SpecError([("serve", needs)]) from None
    from stowplan.placement.agentwire.frames import FRAME_MOST
    from stowplan.realdriver.endpoint.regions import Regions
    from stowplan.realdriver.journal import ClusterLock

    if arguments.metadata is not None:
        return _serve_metadata(arguments, uvicorn)
    settings = _settings(arguments)
    sinks = [*_sinks(arguments.events), settings.listeners]
    lock = None if arguments.state is None else ClusterLock(arguments.state / ".lock")
    tls = _tls(arguments)
    regions = Regions(_hosts(arguments, sinks), arguments.region, every=arguments.testing)
    config = uvicorn.Config(
        make_app(regions, settings),
        **_SERVER,
        **tls,
        ws_ping_interval=None,  # agents have heartbeats of their own
        ws_per_message_deflate=False,  # it would cost every websocket a window of its own
        ws_max_size=FRAME_MOST,
    )
    server = uvicorn.Server(config)
    sys.setswitchinterval(_SWITCH_S)
    sock = _listening(arguments.host, arguments.port, "https" if tls else "http")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    with suppress(KeyboardInterrupt):  # which uvicorn passes on once it has let go of its clients
        server.run(sockets=[sock])
    regions.close()
    for sink in sinks:
        sink.close()
    if lock is not None:
        lock.close()
    return 0


def _tls(arguments: argparse.Namespace) -> dict[str, Any]:
    """What uvicorn is to know of a certificate."""
    if arguments.tls is None:
        return {}
    found = certificate(arguments.tls, arguments.tls_key, arguments.host, arguments.state)
    if arguments.tls == MADE:
        print(f"AWS_CA_BUNDLE={found.chain}")
    return {"ssl_certfile": str(found.chain), "ssl_keyfile": str(found.key)}


def _sinks(named: list[str]) -> list[FileSink | PostSink]:
    """Where `--events` sends them."""
    from stowplan.realdriver.endpoint.events import FileSink, PostSink

    made: list[FileSink | PostSink] = []
    for each in named:
        try:
            web = each.startswith(("http://", "https://"))
            made.append(PostSink(each) if web else FileSink(Path(each)))
        except OSError as error:
            raise SpecError([(f"serve --events {each}", str(error))]) from None
    return made


def _hosts(arguments: argparse.Namespace, sinks: Sequence[Sink]) -> Callable[[str], LocalHost]:
    """Makes the host of a region, with the clusters that there are."""
    from stowplan.experiments.loading.load import load_scenario
    from stowplan.experiments.runs.serving import DEFAULT_CLUSTER, SimulatedWorlds
    from stowplan.experiments.runs.serving_agents import AgentWorlds
    from stowplan.placement.wire.arns import Account
    from stowplan.realdriver.endpoint.host import LocalHost
    from stowplan.realdriver.endpoint.pace import Clock

    loaded = None if arguments.scenario is None else load_scenario(arguments.scenario)

    def make(region: str) -> LocalHost:
        account = Account(region, arguments.account)
        worlds: SimulatedWorlds | AgentWorlds
        if arguments.driver == "agents":
            worlds = AgentWorlds(account, arguments.state)
        else:
            worlds = SimulatedWorlds(loaded, arguments.state)
        host = LocalHost(account, worlds, Clock(arguments.clock), time.time, sinks)
        first = () if arguments.testing else (DEFAULT_CLUSTER,)
        with host.gate:
            for name in dict.fromkeys([*first, *worlds.known()]):
                host.create(name, {})
        return host

    return make


def _serve_metadata(arguments: argparse.Namespace, uvicorn: ModuleType) -> int:
    """The metadata of one instance; the first agent's key is that of its role."""
    from stowplan.realdriver.agents.line import Key
    from stowplan.realdriver.agents.metadata import InstanceFacts, make_metadata_app

    keys, agents = ({}, ()) if arguments.keys is None else _read_keys(arguments.keys)
    facts = InstanceFacts(
        arguments.metadata,
        arguments.instance_type,
        arguments.zone or f"{arguments.region}a",
        arguments.region,
        arguments.account,
        key=next((Key(name, keys[name]) for name in agents), None),
    )
    app = make_metadata_app(facts)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", server_header=False)
    what = f"metadata of {arguments.metadata}"
    sock = _listening(arguments.host, arguments.port, "http", what)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[sock])
    return 0


def _listening(host: str, port: int, scheme: str, what: str = "") -> socket.socket:
    """A socket to which clients may connect from now on; says where, and what is there.

    It says that it is TCP: else asyncio would leave Nagle's algorithm on for those it accepts, and
    every answer would wait 40 ms for the client's acknowledgement.
    """
    from stowplan.experiments.runs.serving import DEFAULT_CLUSTER

    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        raise SpecError([(f"serve --host {host} --port {port}", str(error))]) from None
    sock.listen(_BACKLOG)  # before it is said that somebody listens
    shown = f"[{host}]" if ":" in host else host
    where = f"{scheme}://{shown}:{sock.getsockname()[1]}"
    there = f"{what} at {where}" if what else f"ECS at {where}, cluster {DEFAULT_CLUSTER}"
    print(f"{there}; Ctrl-C ends it")
    sys.stdout.flush()
    return sock


def _settings(arguments: argparse.Namespace) -> Settings:
    from stowplan.realdriver.endpoint.app import Settings

    keys, agents = ({}, ()) if arguments.keys is None else _read_keys(arguments.keys)
    if not keys and arguments.host not in LOOPBACK:
        what = f"on {arguments.host} others may call: name who, with --keys FILE"
        raise SpecError([("serve --host", what)])
    names = LOOPBACK_NAMES if arguments.host in LOOPBACK else ()
    others: str | None = arguments.others
    if others is not None and not others.startswith(("http://", "https://")):
        raise SpecError([("serve --others", f"{others}: not the address of an endpoint")])
    if others is not None and keys:
        what = "a request that was signed for this address would not be valid there"
        raise SpecError([("serve --others", f"with --keys: {what}")])
    if arguments.testing and arguments.state is not None:
        raise SpecError([("serve --testing", "with --state: what is tested does not last")])
    if arguments.driver == "agents":
        _check_agents(arguments, keys)
    return Settings(keys, names, others, arguments.testing, agents=agents)


def _check_agents(arguments: argparse.Namespace, keys: Mapping[str, str]) -> None:
    """What does not go with real agents: each is a problem of its own."""
    problems = []
    if not keys:
        problems.append(("serve --driver agents", "say who may join, with --keys FILE"))
    if arguments.scenario is not None:
        problems.append((str(arguments.scenario), "the instances of --driver agents register"))
    if arguments.clock != 1.0:
        problems.append(("serve --clock", "agents live in real time"))
    if arguments.testing:
        problems.append(("serve --testing", "agents are not forgotten by a call"))
    if problems:
        raise SpecError(problems)


def _read_keys(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Secrets by access key, and the keys that are agents' alone."""
    from stowplan.experiments.files.text import read_text

    keys, agents, problems = {}, [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 2 or words[2:] == ["agent"]:
            keys[words[0]] = words[1]
            agents += words[:1] if words[2:] else []
        else:  # without the line: it may hold a secret
            problems.append((f"{path}:{number}", "expected an access key, its secret, and `agent`"))
    if not keys and not problems:
        problems.append((str(path), "holds no keys"))
    if problems:
        raise SpecError(problems)
    return keys, tuple(agents)
