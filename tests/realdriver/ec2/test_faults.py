"""What goes wrong between a run and AWS: nothing is done twice, nothing is left."""

from __future__ import annotations

import random
import time

import pytest

from stowplan.placement import messages as m
from stowplan.placement.driver import DriverError
from stowplan.realdriver.ec2.bill import Limits
from tests.realdriver.ec2.front import LOST
from tests.realdriver.ec2.rig import PRICES, Rig, slots, table
from tests.realdriver.rig import registration, service

APP = {"name": "c", "image": "i", "cpu": 64, "memory": 64}
SERVICE = [registration("app", APP), service("app", 4)]


def once(action, fault, times=1):
    """A fault for the first so many calls of an action."""
    left = [times]

    def faults(name, form):
        if name == action and form.get("DryRun") != "true" and left[0]:
            left[0] -= 1
            return fault
        return None

    return faults


def launched(world) -> list[str]:
    """Ids of all instances that were ever made."""
    return [identity for _, ids in world.front.launches for identity in ids]


def ended(rig, world):
    """It is over and nothing is left."""
    rig.check()
    rig.down()
    assert world.running() == []


def test_a_launch_whose_answer_was_lost_is_not_launched_again(world):
    world.front.faults = once("RunInstances", LOST, 2)
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4))
    assert world.front.calls["RunInstances"] == 4
    assert len(launched(world)) == len(world.instances()) == 2
    ended(rig, world)


def test_a_start_whose_answer_was_lost_is_found_by_a_look(world):
    world.ecs.faults = once("StartTask", LOST, 2)
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4)).go_on(2)
    assert len(world.tasks(f"stowplan-{rig.cluster}")) == 4
    assert sum(len(b.body.known) for b in world.machines.values()) == 4
    ended(rig, world)


@pytest.mark.long
def test_a_start_that_was_lost_before_it_was_done_is_made_again(world):
    world.ecs.faults = once("StartTask", (500, "ServerException", "oops"))
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4))
    assert sum(len(b.body.known) for b in world.machines.values()) == 4
    ended(rig, world)


@pytest.mark.long
def test_throttled_calls_come_through(world):
    slow = (400, "ThrottlingException", "Rate exceeded")
    world.ecs.faults = once("StartTask", slow, 2)
    world.front.faults = once("RunInstances", (503, "RequestLimitExceeded", "slow down"), 1)
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4))
    assert len(launched(world)) == 2
    ended(rig, world)


def test_capacity_is_asked_for_elsewhere(world):
    none = (400, "InsufficientInstanceCapacity", "We have none")
    home = world.client("ec2").describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}]
    )["Subnets"][0]["SubnetId"]
    world.front.faults = lambda action, form: (
        none if action == "RunInstances" and form["SubnetId"] == home else None
    )
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4))
    zones = {each["Placement"]["AvailabilityZone"] for each in world.instances()}
    assert zones == {"us-east-1a"}
    assert any("We have none" in line for line in rig.said)
    ended(rig, world)


@pytest.mark.long
def test_another_type_is_asked_for(world):
    none = (400, "InsufficientInstanceCapacity", "We have none")
    world.front.faults = lambda action, form: (
        none if action == "RunInstances" and form["InstanceType"] == "m5.large" else None
    )
    settings = table(world, alternatives={"m5.large": ["c5.large"]})
    rig = Rig(world, SERVICE, settings=settings)
    rig.until(rig.runs(4))
    kinds = {i["InstanceType"] for i in world.instances("running")}
    assert kinds == {"c5.large"}
    ended(rig, world)


@pytest.mark.long
def test_no_room_anywhere_ends_it_in_one_sentence(world):
    none = (400, "InsufficientInstanceCapacity", "We have none")
    world.front.faults = lambda action, form: none if action == "RunInstances" else None
    rig = Rig(world, SERVICE)
    with pytest.raises(DriverError, match="no instance to run anything on"):
        rig.go_on(10)
    assert any("m5.large in us-east-1b" in line for line in rig.said)
    rig.down()


def test_a_run_that_cannot_begin_leaves_nothing_that_costs(world):
    full = (400, "VcpuLimitExceeded", "You have requested more vCPU capacity than your limit")
    seen = []

    def faults(action, form):
        if action != "RunInstances":
            return None
        seen.append(form["ClientToken"])
        return full if len(set(seen)) > 1 else None

    world.front.faults = faults
    rig = Rig(world, SERVICE)
    with pytest.raises(DriverError, match="Service Quotas"):
        rig.go_on(20)
    assert len(launched(world)) == 1
    assert world.running() == []
    rig.down()


@pytest.mark.long
def test_instances_whose_agents_do_not_come_are_terminated(world):
    world.boots = False
    rig = Rig(world, SERVICE, settings=table(world, register_within="2s"))
    with pytest.raises(DriverError, match="no instance"):
        rig.go_on(10)
    assert any("did not register within 2 s" in line for line in rig.said)
    deadline = time.monotonic() + 10
    while world.running():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    rig.down()


def test_an_instance_that_somebody_terminates_is_gone_and_its_tasks_go_elsewhere(world):
    rig = Rig(world, SERVICE)
    rig.until(rig.runs(4))
    gone = world.running()[0]
    world.client("ec2").terminate_instances(InstanceIds=[gone])
    rig.until(lambda: rig.events(m.InstancesGone))
    rig.until(rig.runs(4))
    there = world.tasks(f"stowplan-{rig.cluster}")
    assert len({each["containerInstanceArn"] for each in there}) == 1
    ended(rig, world)


@pytest.mark.parametrize("points", [2, pytest.param(50, marks=pytest.mark.long)])
def test_killed_at_random_points_nothing_is_done_twice_or_left(world, points):
    rng = random.Random(points)
    arrivals = [registration("app", APP), service("app", 6)]
    for point in range(points):
        rig = Rig(world, arrivals, slots(2))
        ids_before, known_before = len(launched(world)), set()
        for _ in range(rng.randrange(1, 3)):
            if rng.random() < 0.3:
                world.front.faults = once("RunInstances", LOST)
            if rng.random() < 0.3:
                world.ecs.faults = once("StartTask", LOST)
            for _ in range(rng.randrange(1, 12)):
                rig.turn()
            rig = rig.again()
        rig.until(rig.runs(6)).go_on(0.5)
        assert len(launched(world)) - ids_before == 2, f"point {point}\n{rig.story()}"
        tasks = world.tasks(f"stowplan-{rig.cluster}")
        ever = [arn for b in world.machines.values() for arn in b.body.known]
        assert len(tasks) == len(ever) == 6, f"point {point}\n{rig.story()}"
        assert not known_before
        ended(rig, world)


@pytest.mark.parametrize("points", [1, pytest.param(20, marks=pytest.mark.long)])
def test_at_max_usd_everything_goes_and_the_bill_is_within_it(world, points, monkeypatch):
    monkeypatch.setattr("stowplan.realdriver.ec2.bill._LEAST_S", 1)  # else it takes a minute
    rng = random.Random(points)
    dear = dict.fromkeys(PRICES, 3600000000)  # a dollar a second
    for _ in range(points):
        usd, reserve_s = 2 * rng.uniform(7, 12), 5.0
        limits = Limits(time.time(), reserve_s, dear, "a test", max_usd=usd)
        rig = Rig(world, SERVICE, limits=limits, settings=table(world, look_every="100ms"))
        while rig.turn():
            if rng.random() < 0.02:
                rig = rig.again()  # the money counts on
        fleet = rig.driver.fleet
        assert "--max-usd" in fleet.over, rig.story()
        at_end = fleet.bill.usd(time.time())
        rig.down()
        fleet.settle()
        assert world.running() == []
        assert usd - 2 * reserve_s - 2 < at_end < fleet.bill.usd(time.time()) <= usd
