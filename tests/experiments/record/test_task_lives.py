"""What became of each task: known by who asked for it, and which of these it is."""

from __future__ import annotations

from stowplan.experiments.record.task_lives import History
from stowplan.placement import messages as m
from tests.driving import Driven, definition, gone, instance, run_task, running, stopped


def history_of(world: Driven) -> History:
    history = History()
    for entry in world.rounds:
        history(entry)
    return history


def test_lives_are_known_by_request_or_service_and_have_their_times():
    world = Driven()
    world.round(definition(), instance(0), m.CreateService("web", "app", 1), at_ms=0)
    world.round(running(0), run_task(3, 2), at_ms=1_000)
    world.round(running(1, 2), at_ms=1_500)
    world.round(stopped(1), gone(0), at_ms=9_000)
    history = history_of(world)
    assert list(history.lives) == [("web", 0), (3, 0), (3, 1)]
    times = [(x.placed_ms, x.running_ms, x.stopped_ms) for x in history.lives.values()]
    assert times == [(0, 1_000, None), (1_000, 1_500, 9_000), (1_000, 1_500, None)]
    assert history.starts_ms == [500, 500, 1_000]
    assert history.makespan_ms == 9_000
    assert history.timeline() == [(0, 0), (1_000, 1), (1_500, 3), (9_000, 2)]
    assert history.instances == {"i-0"}


def test_the_state_before_a_task_depends_on_what_is_there_and_on_nothing_else():
    def before(*events: m.Event) -> int:
        world = Driven()
        world.round(definition(), instance(0), instance(1), run_task(0))
        world.round(running(0), *events)
        world.round(run_task(9))
        return history_of(world).lives[9, 0].before

    assert before() == before(m.AgentConnectionChanged((1,), True))
    assert len({before(), before(stopped(0)), before(gone(1)), before(run_task(5))}) == 4
