"""The EC2 driver: instances are launched, tasks run on them, all of it once, and it goes again."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.testing import check_driver
from tests.realdriver.ec2.rig import Rig, slots
from tests.realdriver.rig import registration, run_task, service

APP = {"name": "c", "image": "i", "cpu": 64, "memory": 64}


def test_the_driver_keeps_the_contract(world):
    rig = Rig(world, fleet=slots(1))
    document = {"family": "app", "containerDefinitions": [APP]}
    check_driver(lambda: rig.driver, definition=document, patience_ms=30_000, quiet_ms=700)
    rig.down()
    assert world.running() == []


def test_a_run_from_launch_to_the_end(world):
    rig = Rig(world, [registration("app", APP), service("app", 3), run_task("app", 2, 1, 1_500)])
    rig.until(rig.runs(5))
    assert len(world.running()) == 2
    there = world.tasks(f"stowplan-{rig.cluster}")
    assert len(there) == 5
    rig.until(rig.runs(3))
    rig.check()
    assert len(world.front.launches) == 2  # one for each zone
    rig.down()
    assert world.running() == []
    assert f"stowplan-{rig.cluster}" not in str(world.client("ecs").list_clusters())
    ended = rig.events(m.TasksChanged)
    assert {e.stop_code for e in ended if e.stop_code} == {"EssentialContainerExited"}


def test_after_a_crash_everything_is_taken_up_and_nothing_is_done_twice(world):
    rig = Rig(world, [registration("app", APP), service("app", 4)])
    rig.until(rig.runs(4))
    before = {each["taskArn"] for each in world.tasks(f"stowplan-{rig.cluster}")}
    rig = rig.again().go_on(2)
    assert len(rig.running()) == 4
    assert {each["taskArn"] for each in world.tasks(f"stowplan-{rig.cluster}")} == before
    assert len(world.running()) == 2
    rig.check()
    rig.down()
    assert world.running() == []
