"""Whether what describe calls would answer is what the scheduler has: the two share no code."""

from __future__ import annotations

from functools import partial

from stowplan.placement.describe import State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.engine.explain import explain_kind
from stowplan.placement.model import PORTS, InstanceStatus, TaskStatus
from stowplan.placement.scheduler.described import Described
from stowplan.placement.scheduler.lacking import lack_of_service, offers_of, residents
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.scheduler.tasks import NOWHERE


def differences(state: State, scheduler: Scheduler) -> list[str]:
    """Where a state, fed by all rounds, differs from the scheduler after the last of them."""
    found = [*_instances(state, scheduler), *_tasks(state, scheduler), *_services(state, scheduler)]
    found += [] if found else _explained(state, scheduler)
    if of_snapshot(state.snapshot()) != state:
        found.append("a snapshot of the state is another state")
    return [f"described otherwise than it is: {what}" for what in found]


def _instances(state: State, scheduler: Scheduler) -> list[str]:
    cluster, found = scheduler.cluster, []
    alive = [each for each in state.instances.values() if each.gone_ms is None]
    present = {row for row in range(cluster.size) if cluster.present[row]}
    if {each.number for each in alive} != present:
        found.append(f"instances {sorted(each.number for each in alive)} of {sorted(present)}")
    for each in alive:
        row = each.number
        if row not in present:
            continue
        amounts = dict(zip(cluster.resources, cluster.remaining[row].tolist(), strict=True))
        left = {name: amounts[name] for name in each.remaining if name != PORTS}
        if left != each.remaining:
            found.append(f"instance {row} has {each.remaining} left, not {left}")
        strings = cluster.strings_of(row)
        named = {n.partition(":")[2]: v for n, v in strings.items() if n.startswith("attribute:")}
        if named != each.attributes:
            found.append(f"instance {row} has attributes {each.attributes}, not {named}")
        draining = each.status is InstanceStatus.DRAINING
        if draining is not cluster.is_draining(row):
            found.append(f"instance {row} is {each.status}")
        if each.running + each.pending != cluster.running_tasks_count[row]:
            found.append(f"instance {row} has {each.running} and {each.pending} tasks")
    return found


def _tasks(state: State, scheduler: Scheduler) -> list[str]:
    table, found = scheduler.tasks, []
    if state.tasks_ever != len(table):
        found.append(f"{state.tasks_ever} tasks, not {len(table)}")
    for number in range(len(table)):
        task, status = state.tasks.get(number), table.status[number]
        if task is None:
            if status is not TaskStatus.STOPPED:
                found.append(f"task {number} is not there, and {status}")
            continue
        row = NOWHERE if task.instance is None else task.instance
        alive = task.desired_status is TaskStatus.RUNNING
        if (task.last_status, row, alive) != (status, table.instance[number], table.alive(number)):
            found.append(f"task {number} is {task.last_status} on {row}, not {status}")
    return found


def _services(state: State, scheduler: Scheduler) -> list[str]:
    found = []
    active = {name for name, each in state.services.items() if each.status == "ACTIVE"}
    if active != scheduler.services.keys():
        found.append(f"services {sorted(active)} of {sorted(scheduler.services)}")
    for name in sorted(active & scheduler.services.keys()):
        service, each = scheduler.services[name], state.services[name]
        if list(each.tasks) != list(service.tasks) or each.running != len(service.running):
            found.append(f"service {name} has tasks {list(each.tasks)}, not {list(service.tasks)}")
        # A daemon keeps its old deployments in mind.
        those = service.deployments[:1] if service.daemon else service.deployments
        mine = each.deployments[:1] if service.daemon else each.deployments
        want = [(d.id, d.launch.task_definition, d.rollout_state, len(d.tasks)) for d in those]
        have = [(d.id, d.task_definition, d.rollout_state, d.running + d.pending) for d in mine]
        if want != have:
            found.append(f"service {name} has deployments {have}, not {want}")
    return found


def _explained(state: State, scheduler: Scheduler) -> list[str]:
    """Services of which the state alone does not explain what the scheduler does."""
    described, there = Described(state), partial(residents, scheduler)
    offers, found = offers_of(scheduler), []
    for name in scheduler.services:
        want, have = lack_of_service(scheduler, name), described.lack(name)
        if have is None or have.kind != want.kind:
            found.append(f"service {name} lacks {have}, not {want}")
            continue
        said = described.explain(have.kind, offers, seek_changes=False)
        known = explain_kind(scheduler.engine, want.kind, there, offers, seek_changes=False)
        if said != known:
            found.append(f"service {name} is explained otherwise than by the scheduler")
        # A service that holds back after failures, or hears its targets, is not described whole.
        waits = scheduler.services[name].not_before_ms > scheduler.now_ms
        hears = scheduler.services[name].target is not None
        if have.count != want.count and not (waits or hears):
            found.append(f"service {name} lacks {have.count} tasks, not {want.count}")
    return found
