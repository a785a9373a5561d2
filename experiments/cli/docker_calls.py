"""`stowplan drain`, `stop-task` and `update-service`: calls to the run that drives a cluster.

A call is tried on a copy of the run's scheduler, so that a wrong one is refused at once. Then it is
left in the journal, and the run makes it. Nothing here needs the run to go on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from stowplan.experiments.cli.docker_status import (
    cluster_arguments,
    is_driven,
    read_cluster,
    scheduler_of,
    strings,
)
from stowplan.experiments.loading.definition_file import read_task_definition
from stowplan.experiments.runs.permits import ALLOWED, check_permits, check_variables
from stowplan.placement import messages as m
from stowplan.placement.describe.state import named
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.model import InstanceStatus
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.clusters import ClusterFolder
from stowplan.realdriver.docker.config import ENGINES, EnginesTable
from stowplan.realdriver.journal import DurableJournal

_ANSWER_S = 10  # how long the run has to take up a call


def add_drain_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan drain`."""
    parser.add_argument("instance", nargs="+", help="by name, as `stowplan status` has it")
    parser.add_argument("--back", action="store_true", help="set ACTIVE again")
    cluster_arguments(parser)
    parser.set_defaults(command=drain)


def add_stop_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan stop-task`."""
    parser.add_argument("task", type=int, nargs="+", help="tasks by number")
    parser.add_argument("--reason", default=m.StopTask((0,)).reason, help="what its record says")
    cluster_arguments(parser)
    parser.set_defaults(command=stop_task)


def add_update_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan update-service`."""
    parser.add_argument("service", help="by name, as `stowplan status` has it")
    parser.add_argument("--desired-count", type=int, metavar="N", help="how many tasks from now on")
    parser.add_argument(
        "--task-definition",
        metavar="FILE.json|NAME",
        help="a file is registered first; else a family, or family:revision, that is there",
    )
    parser.add_argument(
        "--force-new-deployment", action="store_true", help="replace its tasks as they are"
    )
    cluster_arguments(parser)
    parser.set_defaults(command=update_service)


def drain(arguments: argparse.Namespace) -> int:
    """`stowplan drain`: sets instances DRAINING, or back to ACTIVE."""
    cluster, header, rounds = read_cluster(arguments)
    scheduler = scheduler_of(header, rounds)
    rows = {
        name: row
        for row, name in enumerate(strings(scheduler, "ec2InstanceId"))
        if scheduler.cluster.present[row]
    }
    unknown = [name for name in arguments.instance if name not in rows]
    if unknown:
        what = f"no such instance; there are {', '.join(rows) or 'none yet'}"
        raise SpecError([(name, what) for name in unknown])
    state = InstanceStatus.ACTIVE if arguments.back else InstanceStatus.DRAINING
    numbers = tuple(rows[name] for name in arguments.instance)
    return leave(cluster, header, scheduler, m.UpdateContainerInstancesState(numbers, str(state)))


def stop_task(arguments: argparse.Namespace) -> int:
    """`stowplan stop-task`: stops tasks, as ECS's StopTask."""
    cluster, header, rounds = read_cluster(arguments)
    scheduler = scheduler_of(header, rounds)
    known = range(len(scheduler.tasks))
    if unknown := [task for task in arguments.task if task not in known]:
        raise SpecError([(f"task {task}", "no such task in this cluster") for task in unknown])
    return leave(cluster, header, scheduler, m.StopTask(tuple(arguments.task), arguments.reason))


def update_service(arguments: argparse.Namespace) -> int:
    """`stowplan update-service`: another count, or a rolling update, as ECS's UpdateService."""
    asked = (arguments.desired_count, arguments.task_definition)
    if asked == (None, None) and not arguments.force_new_deployment:
        what = "nothing to change; --desired-count, --task-definition or --force-new-deployment"
        raise SpecError([(f"service {arguments.service}", what)])
    cluster, header, rounds = read_cluster(arguments)
    scheduler = scheduler_of(header, rounds)
    if arguments.service not in scheduler.services:
        what = f"no such service; there are {', '.join(scheduler.services) or 'none yet'}"
        raise SpecError([(f"service {arguments.service}", what)])
    calls: list[m.Event] = []
    name = arguments.task_definition
    if name is not None and name.endswith(".json"):
        definition = read_task_definition(Path(name))
        calls.append(m.RegisterTaskDefinition(dict(definition.document)))
        name = definition.family
    update = m.UpdateService(
        arguments.service,
        arguments.desired_count,
        name,
        force_new_deployment=arguments.force_new_deployment,
    )
    return leave(cluster, header, scheduler, *calls, update)


def leave(cluster: ClusterFolder, header: Header, scheduler: Scheduler, *calls: m.Event) -> int:
    """Leave calls for the run, unless its scheduler (a copy of it) would reject one.

    Of tasks it says what became of them, where a run goes on.

    Returns: 1 where the run did not start all tasks that were asked for.
    """
    _check_rights(cluster, header, calls)
    for call in calls:
        scheduler.receive(call)
    tried = scheduler.decide(scheduler.now_ms)
    if rejected := [each.reason for each in tried if isinstance(each, m.CallRejected)]:
        raise SpecError([(f"cluster {cluster.name}", reason) for reason in rejected])
    journal = DurableJournal(cluster.journal, writing=False)
    try:
        after = sum(1 for _ in journal.rounds(0)) if _asks_tasks(calls) else 0
        for call in calls:
            journal.leave_call(call)
        if not is_driven(cluster):
            print("the run is told when it is taken up again")
            return 0
        print("the run is told")
        return _became(journal, after, calls[-1]) if _asks_tasks(calls) else 0
    finally:
        journal.close()


def _asks_tasks(calls: Sequence[m.Event]) -> bool:
    return isinstance(calls[-1], m.RunTask)


def _became(journal: DurableJournal, after: int, call: m.Event) -> int:
    """Wait for the round that holds a RunTask, and say which tasks came of it."""
    until = time.monotonic() + _ANSWER_S
    while time.monotonic() < until:
        for entry in journal.rounds(after):
            after += 1
            for made in entry.events:
                if isinstance(made, m.RunTask) and replace(made, request=0) == call:
                    return _say_tasks(entry, made.request)
        time.sleep(0.1)
    print("it has not said yet what became of it; `stowplan status` will")
    return 0


def _say_tasks(entry: m.Round, request: int) -> int:
    left = 0
    for said in entry.commands:
        if isinstance(said, m.StartTasks) and said.request == request:
            print(f"{named(said.tasks)} placed")
        elif isinstance(said, m.TasksProvisioning) and said.request == request:
            print(f"{named(said.tasks)} wait for capacity: {said.failure.reason}")
        elif isinstance(said, m.RunTaskFailed) and said.request == request:
            left += said.count
            print(f"{said.count} not placed: {said.failure.reason}")
    return int(left > 0)


def _check_rights(cluster: ClusterFolder, header: Header, calls: Sequence[m.Event]) -> None:
    """New task definitions ask for nothing that the run was not allowed on a shared engine."""
    documents = [each.document for each in calls if isinstance(each, m.RegisterTaskDefinition)]
    if not documents or ENGINES not in header.run:
        return
    engines = EnginesTable.model_validate_json(header.run[ENGINES])
    allowed = tuple(filter(None, header.run.get(ALLOWED, "").split(",")))
    check_variables(documents, engines)
    for asked in check_permits(documents, engines, allowed):
        print(f"note: {asked}", file=sys.stderr)
