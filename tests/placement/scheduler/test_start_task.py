"""StartTask: the caller chooses the instance; ECS checks that the task may run there."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from tests.driving import Driven, definition, draining, gone, instance, member_of, of, run_task


def driven() -> Driven:
    world = Driven()
    world.round(
        definition(),
        definition("port", host_port=80),
        definition(
            "picky",
            placementConstraints=[
                {"type": "memberOf", "expression": "attribute:ecs.availability-zone == b"}
            ],
        ),
        instance(0),
        instance(1),
    )
    return world


def start(world: Driven, *rows: int, family: str = "app", **fields) -> tuple[m.Command, ...]:
    return world.round(m.StartTask(9, family, rows, **fields))


def reasons(commands) -> list[tuple[int | None, str]]:
    return [(c.instance, c.failure.reason) for c in of(m.RunTaskFailed, commands)]


def test_a_task_starts_on_each_named_instance():
    world = driven()
    assert world.places(start(world, 1, 0)) == [1, 0]
    assert world.violations() == []


def test_some_may_fail_while_others_start():
    world = driven()
    world.round(m.AgentConnectionChanged((0,), False))
    commands = start(world, 0, 1, 7)
    assert world.places(commands) == [1]
    assert reasons(commands) == [(0, "AGENT"), (7, "MISSING")]


@pytest.mark.parametrize(
    ("before", "family", "fields", "reason"),
    [
        (run_task(1, 8), "app", {}, "RESOURCE:CPU"),
        (m.StartTask(1, "port", (0,)), "port", {}, "RESOURCE:PORTS"),
        (draining(0), "app", {}, "DRAINING"),
        (gone(0), "app", {}, "INACTIVE"),
        (m.AgentConnectionChanged((0,), False), "app", {}, "AGENT"),
        (m.AgentConnectionChanged((0,), True), "app", {"memory": 4096}, "RESOURCE:MEMORY"),
        (
            m.AgentConnectionChanged((0,), True),
            "picky",
            {},
            "MemberOf placement constraint unsatisfied.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refusal_names_what_the_instance_lacks(before, family, fields, reason):
    world = driven()
    world.round(before)
    commands = start(world, 0, family=family, **fields)
    assert reasons(commands) == [(0, reason)]
    assert world.places(commands) == []


def test_an_instance_named_twice_gets_two_tasks():
    world = driven()
    assert world.places(start(world, 0, 0)) == [0, 0]


def test_an_unknown_task_definition_is_rejected_whole():
    (answer,) = start(driven(), 0, family="nobody")
    assert isinstance(answer, m.CallRejected)


def test_a_group_of_its_own_counts_for_constraints():
    world = driven()
    start(world, 0, group="g")
    alone = member_of("not(task:group == g)")
    assert world.places(world.round(run_task(1, placement_constraints=alone))) == [1]
