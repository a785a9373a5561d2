"""Auto Scaling groups in simulation: they keep their size, zones even, and try again."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import InstanceTypeTable
from tests.sim.test_driver import driver, job, models, news

TYPES = {
    name: InstanceTypeTable(cpu=1024, memory=1024, price_microusd_hour=100) for name in ("x", "y")
}
BOOT = models(boot="30s")


def group(**fields) -> CapacityProviderTable:
    table = {"name": "cp", "instance_types": ["x", "y"], "zones": ["a", "b"], "max_size": 9}
    return CapacityProviderTable.model_validate({**table, **fields})


def world(*faults: dict, until_ms=1_000_000, arrivals=(), **fields):
    return driver(
        *arrivals,
        fleet=(),
        until_ms=until_ms,
        models=BOOT,
        capacity_providers=[group(**fields)],
        instance_types=TYPES,
        faults=[Fault.model_validate(fault) for fault in faults],
    )


def of_group(log: list[tuple[int, m.Event]]) -> list[tuple[int, m.Event]]:
    """Without what the one instance of the fleet does."""
    return [(at, e) for at, e in log if getattr(e, "ec2_instance_id", "") != "i-0"]


def where(event: m.InstancesLaunched) -> list[tuple[str, str]]:
    return [(each.zone, each.instance_type) for each in event.instances]


def launches(log) -> list[tuple[int, list[tuple[str, str]]]]:
    return [(at, where(e)) for at, e in log if isinstance(e, m.InstancesLaunched)]


def test_what_a_group_begins_with_is_up_and_what_it_launches_registers_when_it_has_booted():
    sim = world(desired_size=3)
    log = of_group(news(sim))
    assert launches(log) == [(0, [("a", "x"), ("b", "x"), ("a", "x")])]
    registered = [(at, e.capacity_provider) for at, e in log[1:]]
    assert registered == [(0, "cp")] * 3
    sim.execute(m.SetDesiredCapacity("cp", 4))
    [_, (at, event)] = of_group(news(sim))
    assert (at, event.capacity_provider) == (30_000, "cp")


def test_spot_instances_cost_less():
    [(_, event), *_] = of_group(news(world(desired_size=1, market="spot", discount_percent=60)))
    assert event.instances[0].price_microusd_hour == 40


def test_a_smaller_group_takes_from_the_fullest_zone_and_only_what_is_unprotected():
    sim = world(desired_size=3, managed_termination_protection=True, managed_draining=False)
    [launched] = [e for _, e in news(sim) if isinstance(e, m.InstancesLaunched)]
    names = [each.ec2_instance_id for each in launched.instances]
    sim.execute(m.SetDesiredCapacity("cp", 1))
    assert news(sim) == []
    sim.execute(m.SetInstanceProtection("cp", (names[1], names[2]), False))
    events = [e for _, e in news(sim)]
    assert isinstance(events[0], m.InstancesGone)
    assert events[1] == m.InstancesTerminated((names[2], names[1]))


def test_managed_draining_waits_for_the_word_of_the_scheduler():
    sim = world(desired_size=1)
    [launched] = [e for _, e in news(sim) if isinstance(e, m.InstancesLaunched)]
    name = launched.instances[0].ec2_instance_id
    sim.execute(m.SetDesiredCapacity("cp", 0))
    assert [e for _, e in news(sim)] == [m.InstancesTerminating((name,), "scale-in")]
    sim.execute(m.CompleteTermination((name,)))
    gone, ended = [e for _, e in news(sim)]
    assert gone.reason == "terminated by scale-in"
    assert ended == m.InstancesTerminated((name,))
    sim.execute(m.CompleteTermination((name,)))
    assert news(sim) == []


def test_what_is_lost_is_replaced():
    lost = {"kind": "instance-loss", "at": "60s", "capacity_provider": "cp", "detect": "10s"}
    log = of_group(news(world(lost, desired_size=1)))
    assert [at for at, e in log if isinstance(e, m.InstancesTerminated)] == [70_000]
    assert [at for at, _ in launches(log)] == [0, 70_000]


def test_a_lost_zone_gets_no_instances_and_what_boots_there_never_registers():
    lost = {"kind": "zone-loss", "at": "10s", "zone": "a"}
    sim = world(lost)
    sim.execute(m.SetDesiredCapacity("cp", 2))
    log = of_group(news(sim))
    assert launches(log) == [(0, [("a", "x"), ("b", "x")]), (30_000, [("b", "x")])]
    assert sum(isinstance(e, m.InstanceRegistered) for _, e in log) == 2


def test_a_spot_reclaim_names_the_instances_of_a_capacity_provider():
    reclaim = {"kind": "spot-reclaim", "at": "60s", "capacity_provider": "cp"}
    log = of_group(news(world(reclaim, desired_size=1, market="spot")))
    drained = [e.instances for _, e in log if isinstance(e, m.UpdateContainerInstancesState)]
    assert drained == [(1,)]
    assert [at for at, _ in launches(log)] == [0, 180_000]


def test_where_ec2_has_no_capacity_another_zone_or_type_is_taken():
    zone = {"kind": "insufficient-capacity", "at": "0s", "zone": "a"}
    kind = {"kind": "insufficient-capacity", "at": "0s", "instance_type": "x"}
    for fault, expected in ((zone, ("b", "x")), (kind, ("a", "y"))):
        sim = world(fault, until_ms=100_000)
        news_at_0 = sim.wait(0)
        assert news_at_0 is not None
        sim.execute(m.SetDesiredCapacity("cp", 1))
        assert launches(of_group(news(sim))) == [(0, [expected])]


def test_without_any_capacity_the_group_tries_again_later_and_later():
    none = {"kind": "insufficient-capacity", "at": "0s", "until": "150s"}
    sim = world(none)
    sim.wait(0)
    sim.execute(m.SetDesiredCapacity("cp", 2))
    log = of_group(news(sim))
    failed = [(at, e.count, e.reason) for at, e in log if isinstance(e, m.LaunchFailed)]
    why = "InsufficientInstanceCapacity"
    assert failed == [(0, 2, why), (30_000, 2, why), (90_000, 2, why)]
    assert launches(log) == [(210_000, [("a", "x"), ("b", "x")])]


def test_throttled_launches_are_tried_again():
    slow = {"kind": "api-throttling", "at": "0s", "burst": 1, "rate_per_s": 1, "until": "10s"}
    sim = world(slow)
    sim.wait(0)
    for size in (1, 2):
        sim.execute(m.SetDesiredCapacity("cp", size))
    log = of_group(news(sim))
    failed = [(at, e.reason) for at, e in log if isinstance(e, m.LaunchFailed)]
    assert failed == [(0, "RequestLimitExceeded")]
    assert [at for at, _ in launches(log)] == [0, 30_000]


# --- throttled calls ------------------------------------------------------------------------------


def test_calls_beyond_the_rate_come_again_later_each_once():
    slow = {"kind": "api-throttling", "at": "0s", "burst": 2, "rate_per_s": 1}
    log = news(
        driver(*(job(n, at_ms=1_000) for n in range(5)), faults=[Fault.model_validate(slow)])
    )
    throttled = [e for _, e in log if isinstance(e, m.CallThrottled)]
    made = [(at, e) for at, e in log if isinstance(e, m.RunTask)]
    assert [e.request for e in throttled[:3]] == [2, 3, 4]
    assert sorted(e.request for _, e in made) == [0, 1, 2, 3, 4]
    assert {e.started_by for _, e in made if e.request > 1} == {"/retry"}
    times = sorted(at for at, _ in made)
    assert all(times[n] >= 1_000 + 1_000 * (n - 1) for n in range(2, 5))


def test_a_call_of_twenty_tasks_is_two_calls():
    slow = {"kind": "api-throttling", "at": "0s", "burst": 2, "rate_per_s": 1, "until": "1m"}
    for count, throttled in ((10, []), (20, [1])):
        jobs = job(0, 1_000, count=count), job(1, 1_000)
        log = news(driver(*jobs, faults=[Fault.model_validate(slow)]))
        assert [e.request for _, e in log if isinstance(e, m.CallThrottled)][:1] == throttled


def test_calls_about_a_service_keep_their_order():
    slow = {"kind": "api-throttling", "at": "0s", "burst": 1, "rate_per_s": 1}
    names = [m.CreateService(f"s{n}", "app") for n in range(3)]
    updates = [m.UpdateService(f"s{n}", desired_count=size) for size in (1, 2) for n in range(3)]
    arrivals = [Arrival(1_000, call) for call in (*names, *updates)]
    log = [e for _, e in news(driver(*arrivals, faults=[Fault.model_validate(slow)]))]
    for n in range(3):
        mine = [e for e in log if getattr(e, "service", "") == f"s{n}"]
        assert [type(e).__name__ for e in mine] == ["CreateService", *["UpdateService"] * 2]
        assert [e.desired_count for e in mine] == [0, 1, 2]
