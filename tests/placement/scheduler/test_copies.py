"""A deep copy of a scheduler and its original know nothing of each other."""

from __future__ import annotations

import copy

import pytest

from stowplan.placement import messages as m
from stowplan.placement.journal import Round, replay
from stowplan.placement.model import PlacementStrategy, StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler

CONTAINER = {"name": "c", "image": "i", "memory": 64, "cpu": 64, "essential": True}


def told(scheduler, journal, now_ms, *events):
    """A round."""
    for event in events:
        scheduler.receive(event)
    journal.append(Round(now_ms, events, scheduler.decide(now_ms)))


def begun(strategy):
    scheduler, journal = Scheduler(), []
    attributes = {"ecs.availability-zone": "a"}
    instances = [
        m.InstanceRegistered(row, f"i-{row}", {"CPU": 2048, "MEMORY": 4096}, attributes)
        for row in range(4)
    ]
    definition = m.RegisterTaskDefinition({"family": "a", "containerDefinitions": [CONTAINER]})
    service = m.CreateService("web", "a:1", 6)
    daemon = m.CreateService("log", "a:1", 0, scheduling_strategy="DAEMON")
    told(scheduler, journal, 0, *instances, definition, service, daemon)
    # So many that the kernels' standing index is there, too.
    for second in range(1, 40):
        calls = [m.RunTask(second, "a:1", 1, placement_strategy=strategy) for _ in range(8)]
        told(scheduler, journal, 1000 * second, *calls)
        tasks = tuple(range(len(scheduler.tasks) - 8, len(scheduler.tasks)))
        told(
            scheduler,
            journal,
            1000 * second + 1,
            m.TasksChanged(status=TaskStatus.STOPPED, tasks=tasks),
        )
    return scheduler, journal


@pytest.mark.parametrize(
    "strategy", [(PlacementStrategy("random"),), (), (PlacementStrategy("binpack", "memory"),)]
)
def test_both_go_their_own_way_and_both_replay(strategy):
    original, journal = begun(strategy)
    copied, other = copy.deepcopy(original), list(journal)
    before = original.cluster.dump()
    told(copied, other, 50_000, m.UpdateService("web", desired_count=1))
    told(copied, other, 50_001, m.RunTask(500, "a:1", 20, placement_strategy=strategy))
    told(
        copied, other, 50_002, m.InstancesGone((0,), "terminated.", StopCode.INFRASTRUCTURE_HEALTH)
    )
    told(copied, other, 50_003, m.RunTask(501, "a:1", 3, placement_strategy=strategy))
    assert original.cluster.dump() == before
    assert original.services["web"].desired_count == 6
    told(original, journal, 50_000, m.RunTask(600, "a:1", 3, placement_strategy=strategy))
    told(original, journal, 50_001, m.UpdateTaskProtection((0,), True, 60))
    told(original, journal, 50_002, m.UpdateService("web", desired_count=9))
    assert copied.services["web"].desired_count == 1
    assert [r.commands for r in journal[-3:]] != [r.commands for r in other[-3:]]
    assert replay(Scheduler(), journal) == len(journal)
    assert replay(Scheduler(), other) == len(other)
    original.cluster.check()
    copied.cluster.check()
