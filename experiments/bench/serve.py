"""`stowplan bench serve`: requests a second at `stowplan serve`, against moto's server.

Both are asked the same in the same run: a cluster of so many instances, RunTask of ten tasks each
until all run, then DescribeTasks of ten. Rates are by the processor time of the server, so that
whoever shares the machine, the client among them, does not count; the wall clock's stand beside.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from stowplan.experiments.bench.load import Load, load, plain, request
from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most, report
from stowplan.placement.errors import PlacementError

FASTER, P99_MS, CLIENTS, A_CALL = 10, 50, 100, 10
WARM = 30  # calls before those that count: by then machine code is loaded
BYTES_A_TASK = 1024  # what a task that is long gone may leave in memory
TASK = {
    "family": "bench",
    "containerDefinitions": [{"name": "app", "image": "app", "cpu": 64, "memory": 128}],
}
_TICKS = os.sysconf("SC_CLK_TCK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan bench serve`."""
    parser.add_argument("--instances", type=int, default=10_000, help="simulated (10,000)")
    parser.add_argument("--tasks", type=int, default=100_000, help="that run in the end (100,000)")
    parser.add_argument(
        "--peer-calls", type=int, default=300, help="RunTask calls at moto's server (300)"
    )
    parser.add_argument("--churn", type=int, default=60_000, help="tasks that come and go (60,000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")


def command(arguments: argparse.Namespace) -> int:
    """1 where a figure stays behind its bar."""
    if min(arguments.instances, arguments.tasks, arguments.churn, arguments.peer_calls) < A_CALL:
        raise PlacementError(f"bench serve: {A_CALL} of each at least")
    rows = report(_rows(arguments), Clock(wall=True), arguments.json)
    return int(not all(row.ok for row in rows))


@dataclass(frozen=True)
class Server:
    """A server under load."""

    port: int
    pid: int

    def seconds(self) -> float:
        """Of the processor, so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> int:
        """Bytes that are resident."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None, "a process that runs has memory"
        return 1024 * int(found[1])

    def asked(self, requests: list[bytes], clients: int = 8) -> tuple[float, Load, list[bytes]]:
        """Make requests: how many a second of the processor, what they took, the answers."""
        before = self.seconds()
        took, bodies = load(self.port, requests, clients)
        return len(requests) / max(self.seconds() - before, 1 / _TICKS), took, bodies

    def ask(self, operation: str, **params: Any) -> Any:
        """One call of ECS's API."""
        return json.loads(load(self.port, [request(operation, **params)])[1][0])


@contextmanager
def started(words: list[str], says: str) -> Iterator[Server]:
    """A server of its own, once it says at which port it listens."""
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                found = re.search(says, line)
                if found is not None:
                    # What it says of each request would fill the pipe, and stop it.
                    Thread(target=process.stdout.read, daemon=True).start()
                    yield Server(int(found[1]), process.pid)
                    return
            raise PlacementError(f"{' '.join(words)} does not start")
        finally:
            process.kill()


def ours(*arguments: str) -> Any:
    """`stowplan serve`."""
    return started(["-m", "stowplan", "serve", "--port", "0", *arguments], r"127\.0\.0\.1:(\d+)")


def filled(server: Server, instances: int) -> None:
    """Simulated instances, and a task definition."""
    body = json.dumps({"instance_type": "m5.large", "count": instances}).encode()
    load(server.port, [plain("/_stowplan/instances", body, "application/json")])
    load(server.port, [plain("/_stowplan/clock", b'{"advance": "5m"}', "application/json")])
    server.ask("RegisterTaskDefinition", **TASK)
    end = time.monotonic() + 300
    while _count(server) < instances:
        if time.monotonic() > end:
            raise PlacementError(f"{instances} instances did not register")
        time.sleep(0.2)


def _count(server: Server) -> int:
    (cluster,) = server.ask("DescribeClusters")["clusters"]
    return int(cluster["registeredContainerInstancesCount"])


def moto_filled(server: Server, instances: int) -> None:
    """The same at moto: EC2 instances that register."""
    server.ask("CreateCluster", clusterName="default")
    server.ask("RegisterTaskDefinition", **TASK)
    form = "application/x-www-form-urlencoded"
    left = instances
    while left:
        some = min(left, 1000)
        left -= some
        asked = {
            "Action": "RunInstances",
            "Version": "2016-11-15",
            "ImageId": "ami-12c6146b",
            "MinCount": some,
            "MaxCount": some,
        }
        _, (body,) = load(server.port, [plain("/", urlencode(asked).encode(), form)])
        names = re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", body)
        documents = [json.dumps({"instanceId": name.decode()}) for name in names]
        register = "RegisterContainerInstance"
        load(server.port, [request(register, instanceIdentityDocument=d) for d in documents])


def _rows(arguments: argparse.Namespace) -> Iterator[Row | str]:
    yield "moto's server ..."
    theirs = _peer(arguments) if find_spec("moto") is not None else None
    yield "instances register ..."
    with ours() as server:
        filled(server, arguments.instances)
        run = [request("RunTask", taskDefinition="bench", count=A_CALL)]
        server.asked(run * WARM)
        yield "RunTask ..."
        rate, took, answers = server.asked(run * (arguments.tasks // A_CALL))
        yield from _rate_rows("RunTask", rate, took, theirs)
        yield _late_row(server, "RunTask", run, took.rate)
        requests = describing(answers)
        yield "DescribeTasks ..."
        rate, took, _ = server.asked(requests)
        yield from _rate_rows("DescribeTasks", rate, took, theirs)
        yield _late_row(server, "DescribeTasks", requests, took.rate)
        yield at_most("memory with all tasks", server.memory() / 2**20, "MiB", 2048)
    yield "churn ..."
    yield from _churn_rows(arguments.churn)


def _late_row(server: Server, operation: str, requests: list[bytes], rate: float) -> Row:
    """How late answers come at half of the highest rate, for five seconds."""
    some = list(itertools.islice(itertools.cycle(requests), max(CLIENTS, int(2.5 * rate))))
    late, _ = load(server.port, some, CLIENTS, rate / 2)
    case = f"{operation}: p99, {CLIENTS} clients, {rate / 2:,.0f} requests/s"
    return at_most(case, 1000 * late.percentile(0.99), "ms", P99_MS, "the wall clock")


def _rate_rows(
    operation: str, rate: float, took: Load, theirs: dict[str, float] | None
) -> Iterator[Row]:
    beside = f"by the wall clock {took.rate:,.0f}"
    yield Row(f"{operation} of {A_CALL} tasks", rate, "requests/s", None, True, beside)
    case = f"{operation}: times moto's server"
    if theirs is None:
        yield Row(case, None, "x", FASTER, True, "moto is not installed")
    else:
        yield at_least(case, rate / theirs[operation], "x", FASTER, f"{theirs[operation]:,.1f}/s")


def describing(answers: list[bytes]) -> list[bytes]:
    """DescribeTasks of what each RunTask was answered with."""
    made = []
    for body in answers:
        arns = [task["taskArn"] for task in json.loads(body)["tasks"]]
        if arns:
            made.append(request("DescribeTasks", tasks=arns))
    return made


def _peer(arguments: argparse.Namespace) -> dict[str, float]:
    """moto's rates by its processor; of the first calls alone, as later ones take longer there."""
    with started(["-m", "moto.server", "-p", "0"], r"Running on http://127\.0\.0\.1:(\d+)") as moto:
        moto_filled(moto, arguments.instances)
        run = request("RunTask", taskDefinition="bench", count=A_CALL)
        rate, _, answers = moto.asked([run] * arguments.peer_calls)
        described, _, _ = moto.asked(describing(answers))
        return {"RunTask": rate, "DescribeTasks": described}


def _churn_rows(tasks: int) -> Iterator[Row]:
    """Tasks that run and are stopped, at an hour a second: what is gone is soon forgotten."""
    with ours("--clock", "3600") as server:
        filled(server, 100)
        run = request("RunTask", taskDefinition="bench", count=A_CALL)
        points = []
        for _ in range(8):
            for _ in range(max(1, tasks // (8 * 100 * A_CALL))):
                _, answers = load(server.port, [run] * 100)
                arns = [task["taskArn"] for body in answers for task in json.loads(body)["tasks"]]
                load(server.port, [request("StopTask", task=arn) for arn in arns])
            time.sleep(1.5)
            points.append(server.memory())
    a_point = tasks / 8
    slope = (points[-1] - points[len(points) // 2 - 1]) / (a_point * (len(points) // 2))
    shown = ", ".join(f"{point / 2**20:.0f}" for point in points)
    case = "memory that a task leaves which came and went, in the second half"
    yield at_most(case, slope, "bytes", BYTES_A_TASK, f"MiB over time: {shown}")
