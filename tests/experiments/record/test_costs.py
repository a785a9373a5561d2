"""Dollars by kind of instance and by whose tasks they are for, on numbers worked out by hand."""

from __future__ import annotations

import pytest

from stowplan.experiments.record.capacity_record import Paid
from stowplan.experiments.record.costs import NOBODY, Held, costs_over_time, owner_costs
from stowplan.experiments.record.records import InstanceRecord, OwnerRecord, TaskRecord

HOUR = 3_600_000


def machine(name="i-0", cpu=4096, memory=16_384):
    return InstanceRecord(name, "a", "m5.xlarge", cpu, memory, 1_000_000, 0)


def held(*tasks):
    """Of (owner, instance, cpu, memory, placed, ended)."""
    found = Held()
    for owner, number, cpu, memory, placed_ms, ended_ms in tasks:
        record = TaskRecord(owner, number, (("CPU", cpu), ("MEMORY", memory)), placed_ms)
        found.add(record, OwnerRecord(owner, True, 0, 1), ended_ms)
    return found


def test_the_example_of_aws():
    """m5.xlarge at 1 $/h, four pods; AWS's own table: split and unused cost, rounded to cents."""
    pods = [("pod1", 1, 4), ("pod2", 1, 4), ("pod3", 1, 2), ("pod4", 1, 2)]
    tasks = [(name, 0, 1024 * cpu, 1024 * memory, 0, HOUR) for name, cpu, memory in pods]
    costs = owner_costs({"i-0": Paid(1_000_000, 0)}, [machine()], held(*tasks), HOUR)
    unit = 1 / (9 * 4 + 16)
    assert [each.owner for each in costs] == ["pod1", "pod2", "pod3", "pod4"]
    assert costs[0].dollars_reserved == pytest.approx(unit * (9 * 1 + 4))
    assert costs[2].dollars_reserved == pytest.approx(unit * (9 * 1 + 2))
    # All CPU is reserved; of the 4 GiB that are not, each bears its share of the 12 that are.
    assert costs[0].dollars_idle == pytest.approx(unit * 4 * 4 / 12)
    assert sum(each.dollars for each in costs) == pytest.approx(1)


def test_what_nobody_reserves_of_cpu_goes_by_memory_and_an_empty_instance_to_nobody():
    paid = {"i-0": Paid(1_000_000, 0), "i-1": Paid(2_000_000, 0), "i-2": Paid(500_000, 0)}
    tasks = [("web", 0, 0, 4096, 0, HOUR), ("api", 0, 0, 4096, HOUR // 2, HOUR)]
    web = held(*tasks)
    costs = owner_costs(paid, [machine(), machine("i-1")], web, HOUR)
    assert [each.owner for each in costs] == ["api", "web", NOBODY]
    api, web, nobody = costs
    assert (api.memory_gib_hours, web.memory_gib_hours) == pytest.approx((2, 4))
    assert web.dollars == pytest.approx(2 / 3)
    assert api.dollars == pytest.approx(1 / 3)
    assert (nobody.dollars_reserved, nobody.dollars) == pytest.approx((0, 2.5))


def test_tasks_that_outlive_the_bill_are_charged_no_more_than_it():
    paid = {"i-0": Paid(1_000_000, 0, HOUR)}
    costs = owner_costs(paid, [machine()], held(("web", 0, 4096, 16_384, 0, 2 * HOUR)), 2 * HOUR)
    assert [(each.dollars_reserved, each.dollars_idle) for each in costs] == [(pytest.approx(1), 0)]


def test_over_time_by_provider_type_and_market():
    paid = [
        Paid(1_000_000, 0, None, "a.large", "cp", "spot"),
        Paid(3_000_000, 30_000, 90_000, "a.large", "cp", "spot"),
        Paid(2_000_000, 0, 60_000, "b.large"),
    ]
    rows = costs_over_time(paid, 150_000)
    assert [(r.capacity_provider, r.type, r.market, r.since_ms, r.until_ms) for r in rows] == [
        ("", "b.large", "on-demand", 0, 60_000),
        ("cp", "a.large", "spot", 0, 60_000),
        ("cp", "a.large", "spot", 60_000, 120_000),
        ("cp", "a.large", "spot", 120_000, 150_000),
    ]
    assert [r.instances for r in rows] == [1, 1.5, 1.5, 1]
    dollars = [2 / 60, 1 / 60 + 3 / 120, 1 / 60 + 3 / 120, 1 / 120]
    assert [r.dollars for r in rows] == pytest.approx(dollars)
    assert costs_over_time(paid, 0) == []


@pytest.mark.parametrize(("hours", "bins"), [(1, 60), (60, 360), (300, 300), (9000, 375)])
def test_long_runs_have_wider_bins(hours, bins):
    assert len(costs_over_time([Paid(1, 0)], hours * HOUR)) == bins
