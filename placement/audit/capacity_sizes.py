"""How many instances a group needs and shall have, worked out from the journal alone.

Written from ecs-semantics 6.3 and 6.4. All in whole numbers: a size is rounded up, never down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History
from stowplan.placement.audit.history_groups import GroupFacts
from stowplan.placement.audit.host_rules import barred, is_static_member, most_per_host
from stowplan.placement.audit.hosts import Host, Needs
from stowplan.placement.audit.seen import Seen, sees
from stowplan.placement.model import AVAILABILITY_ZONE

MINUTE_MS = 60_000
FROM_ZERO = 2  # what a group of none grows to: the metric is 200 then


def need_of_waiting(history: History, group: GroupFacts) -> tuple[bool, int | None]:
    """Whether tasks wait for a group, and how many new instances the most demanding kind fills.

    None: none of the tasks could be placed on what the group launches.
    """
    name, empty = group.call.capacity_provider, list(_empty_hosts(group.call))
    waits, kinds, room = False, Counter[object](), dict[object, int]()
    for needs, count in history.waiting.items():
        if count <= 0 or needs.capacity_provider != name:
            continue
        waits = True
        most = _most_on_an_empty_one(needs, empty)
        if most:
            apart = needs.group if most_per_host(needs) is not None else None
            key = (frozenset(needs.amounts), needs.ports, apart)
            kinds[key] += count
            room[key] = most
    return waits, max((-(-count // room[key]) for key, count in kinds.items()), default=None)


def _empty_hosts(call: m.CreateCapacityProvider) -> Iterator[Host]:
    for template in call.launch_templates:
        for zone in call.zones:
            attributes = {**template.attributes, AVAILABILITY_ZONE: zone}
            said = m.InstanceRegistered(
                -1, "", template.resources, attributes, capacity_provider=call.capacity_provider
            )
            yield Host(said, 0)


def _most_on_an_empty_one(needs: Needs, empty: list[Host]) -> int:
    """How many fit where each resource is that of the type that has most; 0: one has too little."""
    if not any(not list(barred(needs, h)) and is_static_member(needs, h) for h in empty):
        return 0
    limit = most_per_host(needs)
    most = [] if limit is None else [limit]
    if needs.ports:
        most.append(1)
    for name, amount in needs.amounts:
        offers = [host.offers(name) for host in empty]
        if min(offers) < amount:
            return 0
        most.append(max(offers) // amount)
    return min(most, default=1 << 62)


def size_by_metric(group: GroupFacts, now_ms: int) -> int:
    """What a group shall have now, by the points that its alarms have seen: those before now."""
    call, scaling, before = group.call, group.call.managed_scaling, group.before
    assert scaling is not None, "a metric without managed scaling"
    if not group.points:
        return before
    point, target, running = group.points[-1], scaling.target_capacity, len(group.running)
    wanted = -(-100 * point.needed // target)
    if point.percent > target:
        if point.running == 0 and point.needed > 0:
            wanted = FROM_ZERO
        warm = group.launched_ms is None or now_ms >= group.launched_ms + scaling.instance_warmup_ms
        return max(before, min(wanted, call.max_size)) if warm else before
    minutes, grown_ms = scaling.scale_in_minutes, group.grown_ms
    rested = grown_ms is None or now_ms - grown_ms >= minutes * MINUTE_MS
    low = sum(100 * each.needed < target * each.running for each in group.points[-minutes:])
    if low < minutes or not rested:
        return before
    by_half = running - max(1, running // 2)
    return min(before, max(wanted, by_half, call.min_size))


@sees(m.CapacityProviderReservation)
def sizes_follow_the_metric(history: History, seen: Seen) -> Iterator[str]:
    """When a minute is measured, its group has the size that the minutes before ask for."""
    if not isinstance(seen, m.CapacityProviderReservation):
        return
    group = history.groups.by_name[seen.capacity_provider]
    size = size_by_metric(group, history.now_ms)
    if group.desired != size:
        was = f"had {group.before}" if group.desired != group.before else "stays as it was"
        yield f"{seen.capacity_provider} shall have {group.desired}, by its metric {size}; it {was}"
