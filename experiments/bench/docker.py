"""`stowplan bench docker`: whole lives of containers per second, against a bare SDK loop.

A life is create, start, run `true`, remove, on a bridge network of its own as a cluster has one: an
engine takes longer for that than for its default bridge. The loop does it with as many threads as
the driver has callers for an engine, on the same engines, in turn with the driver. What stowplan
adds is the scheduler, agents, a journal on disk, and looking after it all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import numpy as np

from stowplan.experiments.loading.engines_file import load_engines
from stowplan.placement.callers.callers import Callers
from stowplan.placement.callers.client import Arrival
from stowplan.placement.errors import PlacementError
from stowplan.placement.journal import Header
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.messages import RegisterTaskDefinition, RunTask
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.docker.workers import CALLERS
from stowplan.realdriver.journal import DurableJournal

BAR = 0.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan bench docker`."""
    parser.add_argument("--engines", type=Path, help="TOML file; default: the local engine alone")
    parser.add_argument("--image", default="busybox", help="with a `true`; every engine has it")
    parser.add_argument("--count", type=int, default=40, help="containers in each series")
    parser.add_argument("--series", type=int, default=5, help="how many series of each kind")


def command(arguments: argparse.Namespace) -> int:
    """Both kinds in turn; 1 where the driver stays below the bar."""
    given = load_engines(arguments.engines)
    own = {"cpu": 1 << 20, "memory": 1 << 20, "tls": None}
    engines = given.model_copy(
        update={
            "engine": tuple(
                each if each.cpu else each.model_copy(update={**own, "tls": each.tls})
                for each in given.engine
            ),
            "cleanup_wait": 0,
        }
    )
    bare: list[float] = []
    driven: list[float] = []
    _driven(engines, arguments.image, 1)  # compiles the kernels
    for _ in range(arguments.series):
        bare.append(_bare(engines, arguments.image, arguments.count))
        driven.append(_driven(engines, arguments.image, arguments.count))
    ratio = statistics.median(driven) / statistics.median(bare)
    for name, rates in (("SDK loop", bare), ("stowplan", driven)):
        series = ", ".join(f"{rate:.2f}" for rate in rates)
        print(f"{name}: {statistics.median(rates):.2f} containers/s (series: {series})")
    print(f"stowplan / SDK loop: {ratio:.2f} (bar {BAR})")
    return 0 if ratio >= BAR else 1


def _bare(engines: EnginesTable, image: str, count: int) -> float:
    """Lives per second of a loop over the SDK, dealt over the engines in turn."""
    clients = [_client(each.url) for each in engines.engine]
    network = f"stowplan-bench-{uuid.uuid4().hex[:8]}"
    host = clients[0].api.create_host_config(network_mode=network)

    def life(number: int) -> None:
        client = clients[number % len(clients)]
        made = client.api.create_container(image, ["true"], host_config=host)
        client.api.start(made)
        client.api.wait(made)
        client.api.remove_container(made, v=True)

    began = time.monotonic()
    for client in clients:
        client.api.create_network(network, "bridge")
    with ThreadPoolExecutor(CALLERS * len(clients)) as pool:
        list(pool.map(life, range(count)))
    for client in clients:
        _remove_network(client, network)
    took_s = time.monotonic() - began
    for client in clients:
        client.close()
    return count / took_s


def _remove_network(client: docker.DockerClient, network: str) -> None:
    """Remove it, again while the engine says that a container that is gone still has its end
    there."""
    for _ in range(200):
        try:
            client.api.remove_network(network)
            return
        except docker.errors.APIError as error:
            if "active endpoints" not in str(error):
                raise
        time.sleep(0.05)
    raise PlacementError(f"network {network} still has active endpoints; remove it by hand")


def _client(url: str) -> docker.DockerClient:
    if not url.startswith("unix://"):
        raise PlacementError(f"the bare loop speaks to unix sockets only, not to {url}")
    return docker.DockerClient(url, version="auto", max_pool_size=CALLERS)


def _driven(engines: EnginesTable, image: str, count: int) -> float:
    """Lives per second of one RunTask after the other, as `stowplan run` would make them."""
    container = {"name": "c", "image": image, "command": ["true"], "memory": 16, "cpu": 1}
    document = {"family": "true", "containerDefinitions": [container]}
    calls = [RunTask(n, "true", 1) for n in range(count)]
    arrivals = [Arrival(0, RegisterTaskDefinition(document)), *(Arrival(0, c) for c in calls)]
    cluster = f"bench-{uuid.uuid4().hex[:8]}"
    driver = DockerDriver(
        machines(engines, []),
        engines,
        cluster=cluster,
        run=cluster,
    )
    callers = Callers(arrivals, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        journal = DurableJournal(Path(folder) / "journal.sqlite")
        journal.begin(Header(SchedulerConfig()))
        began = time.monotonic()
        run_loop(Scheduler(), Attended(driver, callers), journal)
        driver.close()
        leftovers(engines, cluster, None).remove()
        took_s = time.monotonic() - began
        journal.close()
    return count / took_s
