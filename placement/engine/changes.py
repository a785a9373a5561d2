"""Single changes, each of which might let a task in. The engine says whether it does.

What a change costs is ours, on a scale that makes a smaller task comparable with the rest: its cost
is the share of what it asks that it gives up. See docs/design/engine.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.cluster.columns import CAPACITY_PROVIDER
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.engine.obstacles import Obstacle, Resident, Residents, amount
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    INSTANCE_TYPE,
    PORTS,
    InstanceStatus,
    PlacementConstraint,
    TaskKind,
)
from stowplan.placement.query import conjuncts, parse_query
from stowplan.placement.reasons import (
    AGENT,
    ATTRIBUTE,
    DRAINING,
    EMPTY_CAPACITY_PROVIDER,
    LOCATION,
    RESOURCE_PREFIX,
    constraint_of,
    resource_reason,
)

# What each sort of change costs. A smaller task costs the share that it gives up, so a quarter less
# memory comes before another zone, and three quarters less after one more instance.
COSTS = {
    "reconnect": 0.0,
    "activate": 0.1,
    "dynamic port": 0.2,
    "free port": 0.25,
    "zone": 0.3,
    "capacity provider": 0.3,
    "clause": 0.4,
    "attribute": 0.4,
    "limit": 0.4,
    "instance": 0.5,
    "type": 0.6,
}
MEMORY_LEAST_MIB = 6  # of a container, by Docker
CANDIDATES_MOST = 1_000  # instances that are looked at, the nearest first
NEW = "(new)"  # the EC2 id of an instance that is thought of

Misses = Sequence[tuple[int, tuple[Obstacle, ...]]]
Edit = Callable[[Cluster], None]


def _nothing(_: Cluster) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Offer:
    """An instance that could be added: what it would register, and its price where that is known.

    `strings` by subject, as `Cluster.register` takes them. `there`: the cluster has means to launch
    it, a capacity provider's template; else it is of another type than all of those.
    """

    type: str
    resources: Mapping[str, int]
    strings: Mapping[str, str]
    price_microusd_hour: int = 0
    there: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to change, after which `kind` is to be placed.

    Attributes:
        sort: a key of COSTS, or `smaller`.
        words: what to do, beginning with a verb; `{instance}` stands for the name of `row`.
        kind: the task as it is then.
        row: the instance that it is about; None: of none that is there.
        less: (resource, how much less is asked) of a smaller task.
        task: the number of the task that has to go.
        edit: does to a copy of the cluster what is to be done to the real one.
    """

    sort: str
    words: str
    cost: float
    kind: TaskKind
    row: int | None = None
    less: tuple[tuple[str, int], ...] = ()
    task: int | None = None
    edit: Edit = field(default=_nothing, compare=False, repr=False)

    def apply(self, cluster: Cluster) -> None:
        """Change `cluster`; the task that is then to be placed is `kind`."""
        self.edit(cluster)


def candidate_changes(
    cluster: Cluster,
    kind: TaskKind,
    misses: Misses,
    residents: Residents,
    offers: Sequence[Offer] = (),
) -> Iterator[Change]:
    """Changes that might place `kind`, for (row, what is in the way) of instances, nearest first.

    Nothing is tried here. An instance that two unlike things keep it off is no single change away.
    """
    for row, obstacles in misses[:CANDIDATES_MOST]:
        smaller = _smaller(kind, row, obstacles)
        if smaller is not None:
            yield smaller
        if all(each.reason.startswith(RESOURCE_PREFIX) for each in obstacles):
            yield from _without_tasks(kind, row, obstacles, residents(row))
        if len(obstacles) == 1:
            yield from _simple(cluster, kind, row, obstacles[0])
    yield from _one_more(cluster, kind)
    for offer in offers:
        if all(offer.resources.get(name, 0) >= n for name, n in kind.resources if name != PORTS):
            yield _bought(kind, offer)


def _change(sort: str, words: str, kind: TaskKind, row: int, edit: Edit = _nothing) -> Change:
    return Change(sort, words, COSTS[sort], kind, row, edit=edit)


def _smaller(kind: TaskKind, row: int, obstacles: tuple[Obstacle, ...]) -> Change | None:
    """A task that asks for so much less that it fits; None where that is not what is amiss."""
    asked = dict(kind.resources)
    less = {each.name: each.short for each in obstacles if each.short}
    if len(less) < len(obstacles) or PORTS in less:
        return None
    least = {"MEMORY": MEMORY_LEAST_MIB}
    for name, short in less.items():
        if asked.get(name, 0) - short < least.get(name, 1):
            return None
    resources = tuple((name, amount - less.get(name, 0)) for name, amount in kind.resources)
    parts = [f"{amount(name, n)} less (of {asked[name]})" for name, n in less.items()]
    cost = sum(n / asked[name] for name, n in less.items())
    words = f"ask for {' and '.join(parts)}, and it fits on {{instance}}"
    smaller = replace(kind, resources=resources)
    return Change("smaller", words, cost, smaller, row, tuple(less.items()))


def _without_tasks(
    kind: TaskKind, row: int, obstacles: tuple[Obstacle, ...], there: Sequence[Resident]
) -> Iterator[Change]:
    """The one task that holds all the ports goes elsewhere, and what it holds besides is free.

    Not one of the same group: in its place would be another that lacks.
    """
    holders = {task for each in obstacles for task in each.tasks}
    held = [each for each in there if each.task in holders]
    if len(held) != 1 or held[0].kind.group == kind.group:
        return
    task = held[0]
    names = ", ".join(each.name for each in obstacles if each.tasks)
    words = f"free port {names} of {{instance}}: stop task {task.task} of {task.kind.group}"
    change = _change(
        *("free port", words, kind, row),
        lambda cluster: cluster.release(task.kind, row, task.devices),
    )
    yield replace(change, task=task.task)


def _simple(cluster: Cluster, kind: TaskKind, row: int, only: Obstacle) -> Iterator[Change]:
    """Where one thing alone is in the way: that thing away."""
    strings = cluster.strings_of(row)
    if only.reason == DRAINING:
        words = "set {instance} ACTIVE again"
        yield _change(
            *("activate", words, kind, row), lambda c: c.set_status(row, InstanceStatus.ACTIVE)
        )
    elif only.reason == AGENT:
        words = "reconnect the agent of {instance}"
        yield _change(*("reconnect", words, kind, row), lambda c: c.set_connected(row, True))
    elif only.reason == resource_reason(PORTS) and not only.short:
        yield _dynamic(kind, row, only)
    elif only.reason == ATTRIBUTE:
        words = f"give {{instance}} the attribute {only.name}, or do not require it"
        rest = tuple(name for name in kind.required_attributes if name != only.name)
        yield _change("attribute", words, replace(kind, required_attributes=rest), row)
    elif only.reason == LOCATION and f"attribute:{AVAILABILITY_ZONE}" in strings:
        zone = strings[f"attribute:{AVAILABILITY_ZONE}"]
        words = f"add a subnet in zone {zone}"
        yield _change("zone", words, replace(kind, zones=(*kind.zones, zone)), row)
    elif only.reason == EMPTY_CAPACITY_PROVIDER:
        name = strings.get(CAPACITY_PROVIDER)
        to = "launch type EC2" if name is None else f"capacity provider {name}"
        words = f"use {to} instead of capacity provider {kind.capacity_provider}"
        yield _change("capacity provider", words, replace(kind, capacity_provider=name), row)
    elif not only.reason.startswith(RESOURCE_PREFIX):
        yield from _looser(kind, row, only)


def _dynamic(kind: TaskKind, row: int, only: Obstacle) -> Change:
    """Another host port in the place of one that is taken; the count of ports stays."""
    protocol, port = only.name.split()
    tcp = tuple(p for p in kind.tcp_ports if (protocol, port) != ("tcp", str(p)))
    udp = tuple(p for p in kind.udp_ports if (protocol, port) != ("udp", str(p)))
    words = f"take a dynamic host port instead of {protocol} {port}"
    other = replace(kind, tcp_ports=tcp, udp_ports=udp)
    return _change("dynamic port", words, other, row)


def _looser(kind: TaskKind, row: int, only: Obstacle) -> Iterator[Change]:
    """A placement constraint without the clause that is false, or with a higher limit."""
    for at, constraint in enumerate(kind.constraints):
        if constraint.type != constraint_of(only.reason):
            continue
        made = _loosened(constraint, only)
        if made is None:
            continue
        sort, words, instead = made
        rest = (*kind.constraints[:at], *instead, *kind.constraints[at + 1 :])
        yield _change(sort, words, replace(kind, constraints=rest), row)


def _loosened(
    constraint: PlacementConstraint, only: Obstacle
) -> tuple[str, str, tuple[PlacementConstraint, ...]] | None:
    """(sort, words, what stands in its place); None where it is not what is in the way."""
    expression = constraint.expression
    if constraint.type == "memberOf" and expression is not None:
        parts = [each.expression for each in conjuncts(parse_query(expression))]
        if only.name not in parts:
            return None
        rest = " and ".join(f"({part})" for part in parts if part != only.name)
        left = (PlacementConstraint("memberOf", rest),) if rest else ()
        return "clause", f"drop `{only.name}`, and it fits on {{instance}}", left
    if constraint.type not in CONSTRAINTS:
        return None
    try:
        most = getattr(CONSTRAINTS[constraint.type](expression), "most", None)  # it need not say
    except (ValueError, PlacementError):
        return None
    if most is None or only.name.partition(" ")[0] != constraint.type:
        return None
    # There may be more than the limit says, of before it was set.
    allowed = max(most, len(only.tasks)) + 1
    higher = PlacementConstraint("maxPerInstance", str(allowed))
    words = f"allow {allowed} tasks on an instance in place of {constraint.type}'s {most}"
    return "limit", words, (higher,)


def _one_more(cluster: Cluster, kind: TaskKind) -> Iterator[Change]:
    """An empty instance more, like one that is or was there; the smallest first."""
    shapes: dict[object, int] = {}
    for row in range(cluster.size):
        strings = cluster.strings_of(row)
        strings.pop("ec2InstanceId", None)
        amounts = cluster.registered[row].tolist(), cluster.device_capacity[row].tolist()
        shapes.setdefault((*map(tuple, amounts), tuple(strings.items())), row)
    sizes = cluster.registered.max(axis=0, initial=1).clip(min=1)
    for row in shapes.values():
        strings = cluster.strings_of(row)
        name = strings.get(f"attribute:{INSTANCE_TYPE}")
        words = f"add one more instance {'like {instance}' if name is None else f'of type {name}'}"
        words += _where(strings)
        share = float((cluster.registered[row] / sizes).mean())
        change = _change("instance", words, kind, row, _adds_like(row))
        yield replace(change, cost=change.cost + share / 1000)


def _where(strings: Mapping[str, str]) -> str:
    zone = strings.get(f"attribute:{AVAILABILITY_ZONE}")
    provider = strings.get(CAPACITY_PROVIDER)
    words = "" if zone is None else f" in zone {zone}"
    return words if provider is None else f"{words} of capacity provider {provider}"


def _adds_like(row: int) -> Edit:
    def edit(cluster: Cluster) -> None:
        cluster.add_like(row, NEW)

    return edit


def _bought(kind: TaskKind, offer: Offer) -> Change:
    """An instance as offered; of those of other types the cheapest, by price, comes first."""
    strings = {**offer.strings, "ec2InstanceId": NEW}
    sort, price = "instance" if offer.there else "type", offer.price_microusd_hour / 1e6
    words = f"add one more instance of type {offer.type}{_where(strings)}"
    words += f" (${price:.4g} an hour)" if price else ""

    def edit(cluster: Cluster) -> None:
        cluster.register(cluster.size, offer.resources, strings, at_ms=cluster.now_ms)

    # A thousandth for a dollar: prices decide among offers and not between sorts.
    return Change(sort, words, COSTS[sort] + price / 1000, kind, edit=edit)
