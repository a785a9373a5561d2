"""Rules for Auto Scaling groups: what is up is paid for once, and scaled by the metric alone.

Written from ecs-semantics 6.3 and 6.4 on the checkers' own book, like all of
`placement.audit.checkers`.
"""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.capacity_sizes import need_of_waiting
from stowplan.placement.audit.history import History
from stowplan.placement.audit.history_groups import GroupFacts
from stowplan.placement.audit.seen import Seen, sees
from stowplan.placement.messages import Round

SCALE_IN = "scale-in"  # the reason of a group that terminates because it is to be smaller


@sees(m.InstancesLaunched, m.InstancesTerminated, m.InstanceRegistered, Round)
def money_adds_up(history: History, seen: Seen) -> Iterator[str]:
    """An instance of a group is launched once, ends once, and is there only in between."""
    groups = history.groups
    if isinstance(seen, m.InstancesLaunched):
        group = groups.by_name[seen.capacity_provider]
        for each in seen.instances:
            if each.ec2_instance_id in groups.paid or each.ec2_instance_id in groups.ended:
                yield f"{each.ec2_instance_id} was launched twice"
        if len(group.running) + len(seen.instances) > group.desired:
            yield f"{seen.capacity_provider} launched more than the {group.desired} it shall have"
    elif isinstance(seen, m.InstancesTerminated):
        for name in seen.ec2_instance_ids:
            if name not in groups.paid:
                yield f"{name} ended, which was not up"
    elif isinstance(seen, m.InstanceRegistered):
        if seen.capacity_provider in groups.by_name and seen.ec2_instance_id not in groups.paid:
            yield f"{seen.ec2_instance_id} registered, which is not up"
    elif isinstance(seen, Round):
        for number in sorted(history.left):
            name = history.hosts[number].said.ec2_instance_id
            if name in groups.paid and history.hosts[number].status == "INACTIVE":
                yield f"{name} is gone and still paid for"


@sees(m.CapacityProviderReservation)
def the_metric_is_true(history: History, seen: Seen) -> Iterator[str]:
    """CapacityProviderReservation counts what is there; what waits moves it by the step sizes."""
    if not isinstance(seen, m.CapacityProviderReservation):
        return
    group = history.groups.by_name[seen.capacity_provider]
    scaling = group.call.managed_scaling
    assert scaling is not None, "a metric without managed scaling"
    running, target = len(group.running), scaling.target_capacity
    if seen.running != running:
        yield f"{seen.capacity_provider} has {running} running, not {seen.running}"
    waits, need = need_of_waiting(history, group)
    if not waits:
        needed = _busy(history, group)
    elif need is None:
        needed = -(-running * target // 100)
    else:
        low, high = scaling.minimum_scaling_step_size, scaling.maximum_scaling_step_size
        needed = running + max(low, min(need, high))
    if seen.needed != needed:
        yield f"{seen.capacity_provider} needs {needed} instances, not {seen.needed}"
    if waits and need is None:
        percent = float(target)
    elif running:
        percent = round(100 * needed / running, 2)
    else:
        percent = 200.0 if needed else 100.0
    if seen.percent != percent:
        yield f"{seen.capacity_provider} is at {percent} %, not {seen.percent} %"


def _busy(history: History, group: GroupFacts) -> int:
    """Instances with a task that is no daemon's."""
    daemons = {f"service:{name}" for name, facts in history.services.items() if facts.daemon}
    numbers = (history.groups.numbers.get(name) for name in group.running)
    return sum(
        any(count > 0 and of not in daemons for of, count in history.hosts[number].groups.items())
        for number in numbers
        if number is not None
    )


@sees(m.SetDesiredCapacity)
def scaling_follows_the_metric(history: History, seen: Seen) -> Iterator[str]:
    """A group grows on a point above the target, not while one of it warms up; and shrinks after
    fifteen below (or as many as its settings say), by half at most; always within its bounds."""
    if not isinstance(seen, m.SetDesiredCapacity):
        return
    group = history.groups.by_name[seen.capacity_provider]
    call, scaling = group.call, group.call.managed_scaling
    assert scaling is not None, "a group is scaled that nobody manages"
    name, wanted, target = seen.capacity_provider, seen.desired_capacity, scaling.target_capacity
    if not call.min_size <= wanted <= call.max_size:
        yield f"{name} shall have {wanted}, allowed are {call.min_size} to {call.max_size}"
    if wanted > group.desired:
        if not group.points or group.points[-1].percent <= target:
            yield f"{name} grows to {wanted} without a point above {target} %"
        if group.launched_ms is not None:
            warm_ms = group.launched_ms + scaling.instance_warmup_ms
            if history.now_ms < warm_ms:
                yield f"{name} grows to {wanted} while an instance warms up"
        return
    low = [point for point in group.points if point.percent < target]
    if len(low) < scaling.scale_in_minutes:
        minutes = scaling.scale_in_minutes
        yield f"{name} shrinks to {wanted} after {len(low)} points of {minutes} below {target} %"
    if wanted < min(len(group.running), group.desired) - max(1, len(group.running) // 2):
        yield f"{name} shrinks from {len(group.running)} to {wanted}, more than by half"


@sees(m.InstancesTerminating, m.InstancesGone)
def protected_instances_stay(history: History, seen: Seen) -> Iterator[str]:
    """With managed termination protection no scale-in takes an instance that has tasks."""
    names: tuple[str, ...] = ()
    if isinstance(seen, m.InstancesTerminating) and seen.reason == SCALE_IN:
        names = seen.ec2_instance_ids
    elif isinstance(seen, m.InstancesGone) and seen.reason.endswith(SCALE_IN):
        names = tuple(history.hosts[n].said.ec2_instance_id for n in seen.instances)
    for name in names:
        group = history.groups.group_of(name)
        if group is None or not group.call.managed_termination_protection:
            continue
        if name not in group.unprotected:
            yield f"{name} was scaled in, which is protected"
        number = history.groups.numbers.get(name)
        one = GroupFacts(group.call, 1, {name})
        if number is not None and name in group.running and _busy(history, one):
            yield f"{name} was scaled in, and has tasks"
