"""`stowplan drain`, `stop-task` and `update-service`: calls to the run that drives a cluster.

A call is tried on a copy of the run's scheduler, so that a wrong one is refused at once. Then it is
left in the journal, and the run makes it. Nothing here needs the run to go on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stowplan.experiments.cli.docker_status import (
    cluster_arguments,
    is_driven,
    read_cluster,
    scheduler_of,
    strings,
)
from stowplan.experiments.loading.definition_file import read_task_definition
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.model import InstanceStatus
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.clusters import ClusterFolder
from stowplan.realdriver.journal import DurableJournal


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
    return _leave(cluster, scheduler, m.UpdateContainerInstancesState(numbers, str(state)))


def stop_task(arguments: argparse.Namespace) -> int:
    """`stowplan stop-task`: stops tasks, as ECS's StopTask."""
    cluster, header, rounds = read_cluster(arguments)
    scheduler = scheduler_of(header, rounds)
    known = range(len(scheduler.tasks))
    if unknown := [task for task in arguments.task if task not in known]:
        raise SpecError([(f"task {task}", "no such task in this cluster") for task in unknown])
    return _leave(cluster, scheduler, m.StopTask(tuple(arguments.task), arguments.reason))


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
    return _leave(cluster, scheduler, *calls, update)


def _leave(cluster: ClusterFolder, scheduler: Scheduler, *calls: m.Event) -> int:
    """Leave calls for the run, unless its scheduler (a copy of it) would reject one."""
    for call in calls:
        scheduler.receive(call)
    tried = scheduler.decide(scheduler.now_ms)
    if rejected := [each.reason for each in tried if isinstance(each, m.CallRejected)]:
        raise SpecError([(f"cluster {cluster.name}", reason) for reason in rejected])
    journal = DurableJournal(cluster.journal, writing=False)
    for call in calls:
        journal.leave_call(call)
    journal.close()
    told = "the run is told" if is_driven(cluster) else "the run is told when it is taken up again"
    print(told)
    return 0
