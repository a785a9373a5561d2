"""What is explained from a described state is what the scheduler that lived through it explains."""

from __future__ import annotations

from functools import partial

import pytest

from stowplan.placement import messages as m
from stowplan.placement.describe import Reader, State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.engine.explain import explain_kind
from stowplan.placement.scheduler.described import Described
from stowplan.placement.scheduler.lacking import (
    lack_of_service,
    lack_of_task,
    offers_of,
    residents,
)
from tests.driving import (
    BINPACK,
    DISTINCT,
    Driven,
    definition,
    draining,
    gone,
    instance,
    launched,
    on,
    provider,
    run_task,
    running,
    stopped,
)


def web(name="web", family="app", count=3, **fields):
    return m.CreateService(name, family, count, placement_strategy=BINPACK, **fields)


PORT = definition("port", cpu=100, host_port=8080)
FULL = [
    (definition(cpu=600), instance(0), instance(1, zone="b", reserved_tcp=(8080,)), web()),
    (running(0, 1),),
]
PORTS = [
    (PORT, definition("job", cpu=10), instance(0), instance(1), web("edge", "port")),
    (running(0, 1), run_task(0, 1, "job")),
    (draining(0),),
]
GROUPS = [
    (provider(), definition(cpu=600), instance(0), web(capacity_provider_strategy=on(cp=1))),
    (run_task(0, 2, capacity_provider="cp"),),
    (launched(1), instance(1, capacity_provider="cp")),
]
ONCE = [
    (definition(cpu=600), instance(0), instance(1), web(placement_constraints=DISTINCT)),
    (running(0, 1), definition(cpu=700), m.UpdateService("web", 4, "app:2")),
    (m.AgentConnectionChanged((1,), False), m.DeregisterTaskDefinition("app:1")),
    (stopped(0),),
]
DAEMON = [
    (definition(cpu=600), instance(0), instance(1), web(count=1)),
    (m.CreateService("agent", "app", 0, scheduling_strategy="DAEMON"), running(0)),
    (gone(1), instance(2)),
]


@pytest.mark.parametrize("through", [State, lambda: None], ids=["live", "snapshot"])
@pytest.mark.parametrize(
    "story", [FULL, PORTS, GROUPS, ONCE, DAEMON], ids=["full", "ports", "groups", "once", "daemon"]
)
def test_it_is_the_same_after_every_round(story, through):
    world, reader, asked = Driven(), Reader(), 0
    for events in story:
        world.round(*events)
        reader(world.rounds[-1])
        kept = reader.state if through is State else of_snapshot(reader.state.snapshot())
        described, scheduler = Described(kept), world.scheduler
        offers, there = offers_of(scheduler), partial(residents, scheduler)
        assert described.offers() == offers
        lacks = [(name, lack_of_service(scheduler, name)) for name in scheduler.services]
        lacks += [(str(n), lack_of_task(scheduler, n)) for n in range(len(scheduler.tasks))]
        for name, lack in lacks:
            found = described.lack(name)
            if found is None:  # a task of RunTask that waits no more
                assert lack.status != "PROVISIONING"
                continue
            asked += 1
            assert found == lack
            told = explain_kind(scheduler.engine, lack.kind, there, offers)
            assert described.explain(found.kind, offers) == told
    assert asked > len(story)


def test_a_family_is_explained_by_its_last_request_and_what_waits():
    world, reader = Driven(), Reader()
    world.round(definition(cpu=600), instance(0), run_task(7, 3))
    reader(world.rounds[-1])
    lack = Described(reader.state).lack("app")
    assert (lack.name, lack.count, lack.wanted) == ("request 7 of app", 2, 3)
    world.round()
    reader(world.rounds[-1])
    described = Described(reader.state)
    assert described.lack("app").count == 0
    assert not described.explain(described.lack("app").kind).fits
    assert described.lack("nothing") is None
    world.round(provider(), run_task(8, 2, capacity_provider="cp"))
    reader(world.rounds[-1])
    lack = Described(reader.state).lack("app")
    assert (lack.name, lack.count, lack.kind.capacity_provider) == ("family app", 2, "cp")


def test_instances_that_are_forgotten_leave_their_numbers_empty():
    world, reader = Driven(), Reader()
    world.round(definition(), instance(0), instance(1))
    world.round(gone(0))
    world.round(web(count=5), at_ms=8_000_000)
    for entry in world.rounds:
        reader(entry)
    assert list(reader.state.instances) == [1]
    described = Described(reader.state)
    lack = described.lack("web")
    there, engine = partial(residents, world.scheduler), world.scheduler.engine
    assert lack == lack_of_service(world.scheduler, "web")
    told, known = described.explain(lack.kind), explain_kind(engine, lack.kind, there)
    assert told.misses == known.misses
    # "One more like it" is said of an instance that is remembered.
    assert [(change.sort, change.row) for change in told.changes] == [("instance", 1)]
    assert lack.count == 1
