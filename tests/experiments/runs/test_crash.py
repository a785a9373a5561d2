"""The scheduler is killed anywhere in a run and restarted from its journal.

Nothing is lost, nothing happens twice, and where no time was lost the journal is that of the run
without a crash.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stowplan.experiments.cli.soak import forgotten, random_scenario, settled
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.report.report import _words
from stowplan.experiments.runs import restarts
from stowplan.experiments.runs.restarts import Kill, outages, run_killed
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import ReplayError
from stowplan.placement.messages import CreateService, Round, RunTask, TasksChanged
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.sim.lives import Lives

RUN = Run("ecs-default", "shared", "some")
RACKS = {"constraints": ["attribute:rack exists"]}  # not on the instances of the group


def definition(cpu: int, **fields) -> dict:
    main = {"name": "main", "image": "main", "cpu": cpu, "memory": 128} | fields
    return {"family": "app", "containerDefinitions": [main]}


GROUP = {
    "name": "asg",
    "instance_types": ["small"],
    "zones": ["a"],
    "max_size": 3,
    "managed_draining": True,
    "managed_scaling": {"instance_warmup": 30, "scale_in_minutes": 2},
}
WEB = {
    "name": "web",
    "task_definition": "old",
    "desired_count": 4,
    "deploy": [{"at": "3m", "task_definition": "new"}],
}
SIDE = {
    "name": "side",
    "task_definition": "big",
    "desired_count": 2,
    "scale": [{"at": "3m", "desired_count": 1}],
    "capacity_provider_strategy": [{"capacity_provider": "asg", "weight": 1}],
}
JOBS = {
    "name": "jobs",
    "task_definition": "job",
    "kind": "poisson",
    "until": "4m",
    "options": {"rate_per_s": 0.04, "run": {"distribution": "exponential", "mean": 60}},
    "retry": 60,
}
FAULTS = (
    {"kind": "drain", "at": "2m", "instances": "attribute:rack == b"},
    {"kind": "instance-loss", "at": "5m", "detect": 10, "instances": "attribute:rack == c"},
)


def made(*faults: dict) -> Loaded:
    """Services with a deployment and a scale-in, jobs that find no room, a group that scales, a
    drain and an instance that is lost."""
    one = {"instance_type": "large", "count": 1, "zones": ["a"]}
    table = {
        "name": "crash",
        "seed": 3,
        "duration": "9m",
        "instance_types": {
            "small": {"cpu": 1024, "memory": 2048},
            "large": {"cpu": 2048, "memory": 2048},
        },
        "fleet": [one | {"name": rack, "attributes": {"rack": rack}} for rack in "abc"],
        "capacity_provider": [GROUP],
        "task_definitions": {
            "old": definition(256),
            "new": definition(256, healthCheck={"command": ["CMD", "true"], "interval": 10}),
            "job": definition(900),
            "big": definition(600),
        },
        "service": [
            WEB | RACKS,
            SIDE,
            {"name": "agent", "task_definition": "old", "scheduling_strategy": "DAEMON"},
        ],
        "workload": [JOBS | RACKS],
        "models": {"stop": {"distribution": "exponential", "mean": 2}},
        "faults": {"some": [*FAULTS, *faults]},
    }
    return Loaded(Scenario.model_validate(table), Path("crash"), {})


def run(loaded: Loaded, *kills: Kill) -> tuple[list[Round], Scheduler]:
    """The rounds of a run, and the scheduler at its end, which is as whole as one can be."""
    rounds: list[Round] = []
    scheduler, driver = world(loaded, RUN, loaded.scenario.duration)
    if kills:
        scheduler = run_killed(scheduler, driver, rounds.append, kills, loaded.strategies)
    else:
        scheduler = drive(loaded, RUN, scheduler, driver, rounds.append)
    scheduler.cluster.check()
    return rounds, scheduler


def wrong(loaded: Loaded, rounds: list[Round], scheduler: Scheduler) -> list[str]:
    """What is wrong with a run."""
    found = [str(violation) for violation in check_rounds(rounds)]
    found += [name for name, service in scheduler.services.items() if not settled(service)]
    return found + forgotten(rounds, loaded.scenario)


def test_the_story_has_everything_in_it():
    rounds, _ = run(made())
    commands = [command for entry in rounds for command in entry.commands]
    kinds = {type(command).__name__ for command in commands}
    assert {"StopTasks", "RunTaskFailed", "SetDesiredCapacity", "CompleteTermination"} <= kinds
    assert wrong(made(), *run(made())) == []


@pytest.mark.parametrize("carried_out", [True, False])
def test_killed_after_any_entry_it_goes_on_as_if_nothing_had_been(carried_out):
    loaded = made()
    whole, _ = run(loaded)
    for entry in range(len(whole)):
        rounds, _ = run(loaded, Kill(entry=entry, carried_out=carried_out))
        assert rounds == whole, f"killed after entry {entry}"


def test_killed_after_every_entry_it_goes_on_as_if_nothing_had_been():
    loaded = made()
    whole, _ = run(loaded)
    kills = [Kill(entry=entry, carried_out=entry % 2 == 0) for entry in range(len(whole))]
    assert run(loaded, *kills)[0] == whole


@pytest.mark.parametrize("carried_out", [True, False])
def test_gone_for_a_minute_after_any_entry_it_breaks_no_rule(carried_out):
    loaded = made()
    whole, _ = run(loaded)
    for entry in range(0, len(whole), 8):
        back_ms = whole[entry].now_ms + 60_000
        if back_ms > loaded.scenario.duration - 60_000:
            break  # no time is left to make up for it
        kill = Kill(entry=entry, until_ms=back_ms, carried_out=carried_out)
        rounds, scheduler = run(loaded, kill)
        assert wrong(loaded, rounds, scheduler) == [], f"killed after entry {entry}"
        following = next((each.now_ms for each in rounds[entry + 1 :]), back_ms)
        assert following >= back_ms


def test_while_it_is_gone_nothing_is_decided_and_then_all_at_once():
    loaded = made({"kind": "scheduler-restart", "at": "150s", "until": "260s"})
    rounds, scheduler = run(loaded)
    assert not [entry for entry in rounds if 150_000 <= entry.now_ms < 260_000]
    (back,) = [entry for entry in rounds if entry.now_ms == 260_000]
    asked = {event.request for event in back.events if isinstance(event, RunTask)}
    ran = [e for e in back.events if isinstance(e, TasksChanged) and e.status is TaskStatus.STOPPED]
    assert asked
    assert ran
    assert wrong(loaded, rounds, scheduler) == []


def test_gone_at_the_beginning_and_at_the_end():
    faults = [
        {"kind": "scheduler-restart", "at": 0, "until": "1s"},
        {"kind": "scheduler-restart", "at": "500s", "until": "2h"},
    ]
    rounds, _ = run(made(*faults))
    assert rounds[0].now_ms == 1_000
    assert len(rounds[0].events) > 8
    assert 400_000 < rounds[-1].now_ms < 500_000
    assert check_rounds(rounds) == []


def test_restarts_that_overlap_are_one():
    faults = [
        Fault(kind="scheduler-restart", at=at, until=until)
        for at, until in [(50, 60), (10, 30), (20, 40), (40, 45)]
    ]
    assert outages(faults) == [
        Kill(at_ms=10_000, until_ms=45_000),
        Kill(at_ms=50_000, until_ms=60_000),
    ]
    assert _words(faults[0]) == (
        "the scheduler is gone from 50 s until 1 min, then restarts from its journal"
    )


_NEWS = Lives._news


def _everything_is_news(self, tasks, order):
    _NEWS(self, tasks, order)
    return list(tasks)


@pytest.mark.parametrize(
    ("owner", "name", "planted"),
    [
        (Lives, "_news", _everything_is_news),
        (restarts, "Notice", ()),
    ],
    ids=["a driver that carries out everything twice", "callers are told twice"],
)
def test_what_happens_twice_is_found(owner, name, planted, monkeypatch):
    loaded = made()
    whole, _ = run(loaded)
    monkeypatch.setattr(owner, name, planted)
    kills = [Kill(entry=entry) for entry in range(0, len(whole), 5)]
    try:
        rounds, _ = run(loaded, *kills)
    except (AssertionError, KeyError):
        return
    assert rounds != whole


def test_a_journal_that_leaves_something_out_is_found(monkeypatch):
    loaded = made()
    scheduler, driver = world(loaded, RUN, loaded.scenario.duration)
    scheduler.receive(CreateService("unseen", "app", 1))
    with pytest.raises(ReplayError):
        run_killed(scheduler, driver, lambda entry: None, [Kill(entry=3)], loaded.strategies)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_drawn_worlds_are_the_same_with_crashes(seed):
    loaded = Loaded(random_scenario(seed), Path(f"soak-{seed}"), {})
    rounds: list[Round] = []
    where = Run("drawn", "shared", "drawn")
    scheduler, driver = world(loaded, where, loaded.scenario.duration)
    drive(loaded, where, scheduler, driver, rounds.append)
    without: list[Round] = []
    every = max(1, len(rounds) // 10)
    kills = [Kill(entry=n, carried_out=n % 2 == 0) for n in range(0, len(rounds), every)]
    if outages(loaded.scenario.faults["drawn"]):
        pytest.skip("its scheduler restarts anyway")
    scheduler, driver = world(loaded, where, loaded.scenario.duration)
    run_killed(scheduler, driver, without.append, kills, loaded.strategies)
    assert without == rounds
