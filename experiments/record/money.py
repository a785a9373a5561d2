"""Metrics of money, and of services at their worst: each a function of a finished recorder."""

from __future__ import annotations

from collections.abc import Callable

from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.costs import OwnerCost, owner_costs
from stowplan.experiments.record.recorder import Recorder


def dollars_busy(recorder: Recorder) -> float:
    """The price of all instances, counting only the time in which an instance was busy."""
    paid = sum(i.price_microusd_hour * i.busy_ms for i in recorder.instances)
    return paid / (1e6 * MS_PER_HOUR)


def owners_of(recorder: Recorder) -> list[OwnerCost]:
    """What each service and workload of a finished run cost."""
    paid = recorder.capacity.paid
    return owner_costs(paid, recorder.instances, recorder.held, recorder.now_ms)


def dollars_per(hours: float) -> Callable[[Recorder], float | None]:
    """Dollars in so many hours, at the mean rate of the run."""

    def of(recorder: Recorder) -> float | None:
        ran = recorder.now_ms / MS_PER_HOUR
        return recorder.capacity.dollars(recorder.now_ms) / ran * hours if ran else None

    return of


def dollars_idle(recorder: Recorder) -> float | None:
    """Of all dollars, the percent for what no task reserves; None where nothing costs."""
    costs = owners_of(recorder)
    dollars = sum(each.dollars for each in costs)
    return 100 * sum(each.dollars_idle for each in costs) / dollars if dollars else None


def below_minimum(recorder: Recorder) -> float | None:
    """The longest time, in s, in which a service was below its minimum; None without services."""
    worst = [up.worst for (_, zone), up in recorder.services_log.up.items() if not zone]
    times = [0 if each is None else each.below_minimum_longest_ms for each in worst]
    return max(times) / 1000 if times else None
