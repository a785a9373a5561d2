"""`stowplan status` and `logs`: a look at a cluster on real engines.

The journal holds what should run, the engines what does; both are shown. Nothing here needs the run
to go on, and nothing changes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stowplan.experiments.loading.load import load_strategies
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, replay
from stowplan.placement.messages import Round
from stowplan.placement.model import CPU, MEMORY, InstanceStatus, TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.scheduler.tasks import NOWHERE
from stowplan.placement.strategies import STRATEGIES
from stowplan.realdriver.clusters import ID, ClusterFolder, engines_of, find_cluster, state_folder
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection, EngineContainer
from stowplan.realdriver.docker.errors import Unreachable
from stowplan.realdriver.journal import Busy

_REASONS = 8


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan status`."""
    cluster_arguments(parser)
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
    own = load_strategies(header.strategies, Path())
    scheduler = Scheduler(header.config, {**STRATEGIES, **own})
    replay(scheduler, rounds)
    return scheduler


# --- status ---------------------------------------------------------------------------------------


def status(arguments: argparse.Namespace) -> int:
    """`stowplan status`: instances and how full they are, services, tasks, the last reasons."""
    cluster, header, rounds = read_cluster(arguments)
    scheduler = scheduler_of(header, rounds)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    driven = (
        "goes on" if is_driven(cluster) else "is broken off; the same `stowplan run` takes it up"
    )
    at = f"{scheduler.now_ms / 1000:.0f} s"
    console.print(f"cluster {cluster.name}: {header.run['scenario']}, {at} in; the run {driven}")
    console.print(_instances(scheduler))
    if scheduler.services:
        console.print(_services(scheduler))
    containers, silent = _containers(engines_of(header), cluster.name, header.run[ID])
    console.print(_tasks(scheduler, containers))
    for name in silent:
        console.print(f"engine {name} does not answer: what runs there is not shown")
    for line in _last_reasons(rounds):
        console.print(line, style="dim", highlight=False, markup=False)
    return 0


def is_driven(cluster: ClusterFolder) -> bool:
    """Whether a run goes on there."""
    try:
        cluster.lock().close()
    except Busy:
        return True
    return False


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _instances(scheduler: Scheduler) -> Table:
    table = _table("instance", "status", "zone", "CPU", "memory", "tasks")
    cluster = scheduler.cluster
    at = [cluster.resources.index(name) for name in (CPU, MEMORY)]
    for row, name in enumerate(strings(scheduler, "ec2InstanceId")):
        total, left = cluster.registered[row], cluster.remaining[row]
        fill = [f"{total[i] - left[i]}/{total[i]}" for i in at]
        zone = strings(scheduler, "attribute:ecs.availability-zone")[row]
        tasks = str(cluster.running_tasks_count[row])
        table.add_row(name, _state(scheduler, row), zone, *fill, tasks)
    return table


def strings(scheduler: Scheduler, subject: str) -> list[str]:
    """An attribute of every instance, by its number; "" where it has none."""
    column = scheduler.cluster.column(subject)
    return [column.values[code] if code >= 0 else "" for code in column.codes]


def _state(scheduler: Scheduler, row: int) -> str:
    cluster = scheduler.cluster
    if not cluster.present[row]:
        return "gone"
    if not cluster.agent_connected[row]:
        return "away"
    draining = cluster.is_draining(row)
    return str(InstanceStatus.DRAINING if draining else InstanceStatus.ACTIVE)


def _services(scheduler: Scheduler) -> Table:
    table = _table("service", "desired", "running", "deployments")
    for name, service in scheduler.services.items():
        deployments = ", ".join(
            f"{d.launch.task_definition} {d.rollout_state}" for d in service.deployments
        )
        table.add_row(name, str(service.desired_count), str(len(service.running)), deployments)
    return table


def _tasks(scheduler: Scheduler, containers: dict[int, list[EngineContainer]]) -> Table:
    table = _table("task", "group", "status", "instance", "containers")
    names_of = strings(scheduler, "ec2InstanceId")
    for task in range(len(scheduler.tasks)):
        state, row = scheduler.tasks.status[task], scheduler.tasks.instance[task]
        there = containers.get(task, ())
        if state is TaskStatus.STOPPED and not there:
            continue
        launch = scheduler.tasks.launch[task]
        place = "" if row == NOWHERE else names_of[row]
        what = "; ".join(map(_container, there))
        table.add_row(str(task), launch.kind.group, str(state), place, what)
    return table


def _container(container: EngineContainer) -> str:
    words = [container.name, container.status]
    if container.status == "exited":
        words.append(f"({container.exit_code})")
    if container.health not in (None, "none"):
        words.append(str(container.health))
    words += [f"{port}->{where}" for port, where in container.published]
    return " ".join(words)


def _containers(
    engines: EnginesTable, cluster: str, run: str
) -> tuple[dict[int, list[EngineContainer]], list[str]]:
    """The containers of a run by task, and the engines that could not be asked."""
    found: dict[int, list[EngineContainer]] = {}
    silent: list[str] = []
    for table in engines.engine:
        connection = Connection(table, engines)
        try:
            connection.check(engines.silence / 1000)
            for each in connection.list({names.CLUSTER: cluster, names.RUN: run}):
                container = connection.inspect(each["Id"])
                found.setdefault(container.task, []).append(container)
        except Unreachable:
            silent.append(connection.name)
        finally:
            connection.close()
    return found, silent


def _last_reasons(rounds: Sequence[Round]) -> list[str]:
    lines = [
        f"{entry.now_ms / 1000:8.1f} s  {text}"
        for entry in rounds
        for message in (*entry.events, *entry.commands)
        for text in _reason(message)
    ]
    return lines[-_REASONS:]


def _reason(message: m.Event | m.Command) -> Iterator[str]:
    match message:
        case m.TasksChanged(TaskStatus.STOPPED, tasks, code, reason):
            yield f"{_named(tasks)} stopped: {code}: {reason}"
        case m.StopTasks(tasks, code, reason):
            yield f"{_named(tasks)} to stop: {code}: {reason}"
        case m.TasksStopped(tasks, code, reason):
            yield f"{_named(tasks)} lost: {code}: {reason}"
        case m.RunTaskFailed(request, count, failure):
            yield f"request {request}: {count} not placed: {failure.reason}"
        case m.ServiceEvent(_, text):
            yield text
        case m.CallRejected(_, _, reason):
            yield f"call rejected: {reason}"


def _named(tasks: Sequence[int]) -> str:
    some = ", ".join(map(str, tasks[:5])) + (", ..." if len(tasks) > 5 else "")
    return f"task {some}" if len(tasks) == 1 else f"{len(tasks)} tasks ({some})"


# --- logs -----------------------------------------------------------------------------------------


def logs(arguments: argparse.Namespace) -> int:
    """`stowplan logs TASK`: what its containers wrote, each line with its container."""
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
