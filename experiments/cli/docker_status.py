"""`stowplan status` and `logs`: a look at a cluster on real engines.

The journal holds what should run, the engines what does; both are shown. Nothing here needs the run
to go on, and nothing changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.endpoint import described_there, state_argument
from stowplan.placement.describe import ContainerInstance, State, Task
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, replay
from stowplan.placement.messages import Round
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    CPU,
    MEMORY,
    InstanceStatus,
    TaskStatus,
)
from stowplan.realdriver.backend import Seen
from stowplan.realdriver.backends import backend_of
from stowplan.realdriver.clusters import ID, PLAYED_BY, ClusterFolder, find_cluster, state_folder
from stowplan.realdriver.journal import Busy

if TYPE_CHECKING:  # a look need not wait for what it does not use
    from rich.console import Console
    from rich.table import Table

    from stowplan.placement.scheduler.scheduler import Scheduler

_REASONS, _ENDED = 8, 10


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan status`."""
    cluster_arguments(parser)
    state_argument(parser)
    parser.set_defaults(command=status)


def add_logs_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan logs`."""
    parser.add_argument("task", type=int, help="the task's number, as `stowplan status` has it")
    parser.add_argument("--container", help="only this one of its containers")
    parser.add_argument("--follow", "-f", action="store_true", help="go on until it ends")
    parser.add_argument("--tail", type=int, help="only so many lines at the end")
    cluster_arguments(parser)
    parser.set_defaults(command=logs)


def cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which cluster is meant."""
    parser.add_argument("--cluster", help="its name; default: the only one")
    parser.add_argument("--state", type=Path, help="folder of journals (~/.local/state/stowplan)")


def read_cluster(arguments: argparse.Namespace) -> tuple[ClusterFolder, Header, list[Round]]:
    """The cluster that is meant, and its journal. Raises SpecError where there is none."""
    cluster = find_cluster(state_folder(arguments.state), arguments.cluster)
    written = cluster.read()
    if written is None:
        raise SpecError([(f"cluster {cluster.name}", "its run has not begun yet")])
    return cluster, *written


def scheduler_of(header: Header, rounds: Sequence[Round]) -> Scheduler:
    """The scheduler as it was after the last round."""
    from stowplan.experiments.loading.load import load_strategies
    from stowplan.placement.scheduler.scheduler import Scheduler
    from stowplan.placement.strategies import STRATEGIES

    own = load_strategies(header.strategies, Path())
    scheduler = Scheduler(header.config, {**STRATEGIES, **own})
    replay(scheduler, rounds)
    return scheduler


# --- status ---------------------------------------------------------------------------------------


def status(arguments: argparse.Namespace) -> int:
    """`stowplan status`: instances and how full they are, services, tasks, the last reasons."""
    from rich.console import Console

    if (served := described_there(arguments)) is not None:
        return _served(served, arguments)
    cluster = find_cluster(state_folder(arguments.state), arguments.cluster)
    looked = cluster.look()
    if looked is None:
        raise SpecError([(f"cluster {cluster.name}", "its run has not begun yet")])
    header, state = looked
    console = Console() if sys.stdout.isatty() else Console(width=120)
    driven = (
        "goes on" if is_driven(cluster) else "is broken off; the same `stowplan run` takes it up"
    )
    at = f"{state.now_ms / 1000:.0f} s in, by its own time that stops while nobody drives it"
    what = f"cluster {cluster.name}: {header.run['scenario']}, {at}; the run {driven}"
    console.print(what, markup=False, highlight=False)
    # Containers are shown by task: without tasks there is nothing to ask engines for.
    nothing = Seen({}, ())
    seen = backend_of(header).look(cluster.name, header.run[ID]) if state.tasks else nothing
    _show(console, state, json.loads(header.run.get(PLAYED_BY, "{}")), seen.by_task)
    for name in seen.silent:
        what = f"engine {name} does not answer: what runs there is not shown"
        console.print(what, markup=False)
    _say(console, state)
    return 0


def _served(state: State, arguments: argparse.Namespace) -> int:
    """A cluster of an endpoint."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=120)
    name, at = arguments.cluster or "default", f"{state.now_ms / 1000:.0f} s"
    what = f"cluster {name} at {arguments.endpoint_url}, {at} in, {state.status}"
    console.print(what, markup=False, highlight=False)
    _show(console, state, {}, {})
    _say(console, state)
    return 0


def _show(
    console: Console,
    state: State,
    played_by: Mapping[str, str],
    containers: Mapping[int, list[str]],
) -> None:
    console.print(_instances(state, played_by))
    if state.list_services():
        console.print(_services(state))
    console.print(_tasks(state, containers))
    ended = [each for each in state.tasks.values() if each.last_status is TaskStatus.STOPPED]
    if ended:
        console.print(_ended(state, ended, containers))


def _say(console: Console, state: State) -> None:
    for each in state.said[-_REASONS:]:
        line = f"{each.at_ms / 1000:8.1f} s  {each.text}"
        console.print(line, style="dim", highlight=False, markup=False)


def is_driven(cluster: ClusterFolder) -> bool:
    """Whether a run goes on there."""
    try:
        cluster.lock().close()
    except Busy:
        return True
    return False


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    """A row as plain text: names may hold brackets, which are no markup."""
    from rich.text import Text

    table.add_row(*map(Text, cells))


def _instances(state: State, played_by: Mapping[str, str]) -> Table:
    table = _table("instance", "status", "engine", "zone", "CPU", "memory", "tasks")
    for each in state.instances.values():
        total, left = each.registered, each.remaining
        fill = [f"{total.get(n, 0) - left.get(n, 0)}/{total.get(n, 0)}" for n in (CPU, MEMORY)]
        zone = each.attributes.get(AVAILABILITY_ZONE, "")
        tasks = str(each.running + each.pending)
        name = each.ec2_instance_id
        _add(table, name, _status_of(each), played_by.get(name, ""), zone, *fill, tasks)
    return table


def strings(scheduler: Scheduler, subject: str) -> list[str]:
    """An attribute of every instance, by its number; "" where it has none."""
    column = scheduler.cluster.column(subject)
    return [column.values[code] if code >= 0 else "" for code in column.codes]


def _status_of(instance: ContainerInstance) -> str:
    if instance.status is InstanceStatus.INACTIVE:
        return "gone"
    return str(instance.status) if instance.agent_connected else "away"


def _services(state: State) -> Table:
    table = _table("service", "desired", "running", "deployments")
    for service in state.list_services():
        words = (f"{each.task_definition} {each.rollout_state}" for each in service.deployments)
        wanted = "each" if service.daemon else str(service.call.desired_count)
        _add(table, service.name, wanted, str(service.running), ", ".join(words))
    return table


def _tasks(state: State, containers: Mapping[int, list[str]]) -> Table:
    table = _table("task", "group", "status", "for", "instance", "containers")
    for task in state.tasks.values():
        if task.last_status is TaskStatus.STOPPED:
            continue
        status, what = str(task.last_status), "; ".join(containers.get(task.number, ()))
        if task.desired_status is TaskStatus.STOPPED:
            status += ", to stop"
        elif task.waits_for is not None:
            what = task.waits_for.reason
        since = task.stopping_at_ms or task.started_at_ms or task.created_at_ms
        lasts = f"{(state.now_ms - since) / 1000:.0f} s"
        _add(table, str(task.number), task.group, status, lasts, _place(state, task), what)
    return table


def _ended(state: State, ended: Sequence[Task], containers: Mapping[int, list[str]]) -> Table:
    """The tasks that ended last, whose logs may still be had."""
    table = _table("ended", "group", "ago", "instance", "exit code", "why", "logs")
    for task in sorted(ended, key=lambda each: each.stopped_at_ms or 0)[: -_ENDED - 1 : -1]:
        ago = f"{(state.now_ms - (task.stopped_at_ms or 0)) / 1000:.0f} s"
        code = "" if task.exit_code is None else str(task.exit_code)
        logs_there = "yes" if containers.get(task.number) else ""
        name, why = str(task.number), task.stopped_reason
        _add(table, name, task.group, ago, _place(state, task), code, why, logs_there)
    if len(ended) > _ENDED:
        _add(table, "...", f"{len(ended) - _ENDED} more", "", "", "", "", "")
    return table


def _place(state: State, task: Task) -> str:
    instance = None if task.instance is None else state.instances.get(task.instance)
    return "" if instance is None else instance.ec2_instance_id


# --- logs -----------------------------------------------------------------------------------------


def logs(arguments: argparse.Namespace) -> int:
    """`stowplan logs TASK`: what its containers wrote, each line with its container."""
    from stowplan.realdriver.docker import names
    from stowplan.realdriver.docker.backend import engines_of
    from stowplan.realdriver.docker.connection import Connection

    cluster, header, _ = read_cluster(arguments)
    engines = engines_of(header)
    labels = {names.CLUSTER: cluster.name, names.RUN: header.run[ID]}
    labels[names.TASK] = str(arguments.task)
    if arguments.container is not None:
        labels[names.CONTAINER] = arguments.container
    found = 0
    for table in engines.engine:
        connection = Connection(table, engines)
        for each in connection.list(labels):
            name = each["Labels"][names.CONTAINER]
            if name == names.PAUSE:
                continue
            found += 1
            prefix = b"" if arguments.container else f"{name}  ".encode()
            tail = "all" if arguments.tail is None else arguments.tail
            for line in _lines(connection.logs(each["Id"], follow=arguments.follow, tail=tail)):
                sys.stdout.buffer.write(prefix + line + b"\n")
                sys.stdout.buffer.flush()
    if not found:
        what = "this task has no containers: it never got any, or they are removed by now"
        raise SpecError([(f"task {arguments.task}", what)])
    return 0


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        yield rest
