"""What a run costs: by capacity provider, type and market over time, and by whose tasks it is for.

How the price of an instance is split between tasks is the rule of AWS's split cost allocation data
(docs.aws.amazon.com/cur/latest/userguide/example-split-cost-allocation-data.html): a vCPU weighs
nine times a GiB, as in Fargate's prices; a task is charged for what it reserves; what nobody
reserved of a resource is shared out by what each reserved of it. AWS does so hour by hour; here it
is done once for each instance, over all of the time that it is paid for. *Ours*: a resource of
which nobody reserved any goes by the other one, and an instance that never held a task is charged
to nobody. Amounts other than CPU and memory (GPUs, ports) split nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stowplan.experiments.record.capacity_record import MS_PER_HOUR, Paid
from stowplan.experiments.record.records import InstanceRecord, OwnerRecord, TaskRecord

CPU_WEIGHT = 9  # of a vCPU, where a GiB of memory weighs 1
HOURS_PER_MONTH = 730  # as AWS's pricing calculator has it
BINS_MOST = 400
NOBODY = "(no task)"  # whom instances are charged to that never held a task

Owner = tuple[str, bool]  # name of a service or a workload, whether it is a service
_STEPS_MS = (60_000, 600_000, MS_PER_HOUR, 24 * MS_PER_HOUR)


@dataclass(frozen=True, slots=True)
class CostRow:
    """What the instances of a provider, type and market cost from `since_ms` to `until_ms`;
    `instances`: how many were up, mean over that time."""

    capacity_provider: str
    type: str
    market: str
    since_ms: int
    until_ms: int
    instances: float
    instance_hours: float
    dollars: float


@dataclass(slots=True)
class OwnerCost:
    """What a service or workload cost: for what its tasks reserve, and its share of what is idle.

    A task reserves from the command that places it to the report that it stopped.
    """

    owner: str
    is_service: bool
    vcpu_hours: float = 0.0
    memory_gib_hours: float = 0.0
    dollars_reserved: float = 0.0
    dollars_idle: float = 0.0

    @property
    def dollars(self) -> float:
        """Both together."""
        return self.dollars_reserved + self.dollars_idle


@dataclass
class Held:
    """What was held of each instance by the tasks of each owner: amount times ms."""

    by_instance: dict[int, dict[Owner, list[int]]] = field(default_factory=dict)

    def add(self, task: TaskRecord, owner: OwnerRecord, now_ms: int) -> None:
        """A task holds nothing from now on; called once in the life of each."""
        cpu, memory = task.kind[0][1], task.kind[1][1]
        ms, whose = now_ms - task.placed_ms, (owner.name, owner.is_service)
        owners = self.by_instance.get(task.instance)
        if owners is None:
            owners = self.by_instance[task.instance] = {}
        cell = owners.get(whose)
        if cell is None:
            owners[whose] = [cpu * ms, memory * ms]
        else:
            cell[0] += cpu * ms
            cell[1] += memory * ms


def owner_costs(
    paid: Mapping[str, Paid], instances: Sequence[InstanceRecord], held: Held, now_ms: int
) -> list[OwnerCost]:
    """What each service and each workload cost until `now_ms`; together, what all instances cost.

    Services come first, by name; then workloads; last, where there is something, `NOBODY`.
    """
    found: dict[Owner, OwnerCost] = {}
    nobody = OwnerCost(NOBODY, is_service=False)
    numbers = {record.name: number for number, record in enumerate(instances)}
    for name, bill in paid.items():
        ms = bill.ms(now_ms)
        dollars = bill.price_microusd_hour * ms / (1e6 * MS_PER_HOUR)
        owners = held.by_instance.get(numbers.get(name, -1))
        if not owners:
            nobody.dollars_idle += dollars
            continue
        record = instances[numbers[name]]
        offered = np.array([record.cpu * ms, record.memory * ms], np.float64)
        amounts = np.array(list(owners.values()), np.float64)
        reserved, idle = _split(dollars, record, offered, amounts)
        rows = zip(owners, amounts.tolist(), reserved.tolist(), idle.tolist(), strict=True)
        for owner, (cpu, memory), used, unused in rows:
            cost = found.setdefault(owner, OwnerCost(*owner))
            cost.vcpu_hours += cpu / (1024 * MS_PER_HOUR)
            cost.memory_gib_hours += memory / (1024 * MS_PER_HOUR)
            cost.dollars_reserved += used
            cost.dollars_idle += unused
        nobody.dollars_idle += dollars - float(reserved.sum() + idle.sum())
    ordered = sorted(found.values(), key=lambda each: (not each.is_service, each.owner))
    return [*ordered, *([nobody] if nobody.dollars_idle > 1e-9 else [])]


def _split(
    dollars: float,
    record: InstanceRecord,
    offered: NDArray[np.float64],
    amounts: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each owner what it pays for what it reserves, and its share of what is idle.

    Args:
        offered: CPU and memory, times ms.
        amounts: (owners, 2), likewise.
    """
    weights = np.array([CPU_WEIGHT * record.cpu, record.memory], np.float64)
    parts = dollars * weights / max(1.0, float(weights.sum()))
    used = np.divide(amounts, offered, out=np.zeros_like(amounts), where=offered > 0)
    totals = used.sum(axis=0)
    # Tasks of a lost instance stay in ECS's record after its bill has ended.
    reserved = used / np.maximum(totals, 1)
    idle = 1 - np.minimum(totals, 1)
    ratios = np.divide(used, totals, out=np.zeros_like(used), where=totals > 0)
    for one, other in ((0, 1), (1, 0)):
        if not totals[one]:
            ratios[:, one] = ratios[:, other]
    return reserved @ parts, ratios @ (idle * parts)


def bin_ms(now_ms: int) -> int:
    """How wide the bins of a run of that length are: a minute, ten, an hour or a day."""
    return next((step for step in _STEPS_MS if now_ms <= BINS_MOST * step), _STEPS_MS[-1])


def costs_over_time(paid: Iterable[Paid], now_ms: int) -> list[CostRow]:
    """A row per provider, type, market and bin in which an instance of these was up."""
    step = bin_ms(now_ms)
    edges = np.unique(np.append(np.arange(0, now_ms, step), now_ms)).astype(np.float64)
    groups: dict[tuple[str, str, str], list[Paid]] = {}
    for each in paid:
        groups.setdefault((each.capacity_provider, each.type, each.market), []).append(each)
    rows = []
    for key in sorted(groups):
        members = groups[key]
        since = np.array([each.since_ms for each in members], np.float64)
        until = np.array([each.since_ms + each.ms(now_ms) for each in members], np.float64)
        prices = np.array([each.price_microusd_hour for each in members], np.float64)
        # Up to each edge: how long all of them were up, and what that cost.
        up = [np.clip(edge, since, until) - since for edge in edges]
        hours = np.diff([each.sum() for each in up]) / MS_PER_HOUR
        dollars = np.diff([each @ prices for each in up]) / (1e6 * MS_PER_HOUR)
        for at in np.flatnonzero(hours > 0).tolist():
            begin, end = int(edges[at]), int(edges[at + 1])
            mean = float(hours[at]) * MS_PER_HOUR / (end - begin)
            rows.append(CostRow(*key, begin, end, mean, float(hours[at]), float(dollars[at])))
    return rows
