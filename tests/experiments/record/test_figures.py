"""Every number of a run's results, against what the audit works out from the journal by itself."""

from __future__ import annotations

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.cost_frames import (
    costs_frame,
    named_costs,
    owner_costs_frame,
)
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.result import result_of
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement import messages as m
from stowplan.placement.audit.figures import Figures, differing
from stowplan.placement.scenario.scenario import Run
from tests.driving import (
    Driven,
    definition,
    gone,
    instance,
    launched,
    provider,
    run_task,
    running,
    stopped,
    terminated,
)

# What needs an optimizer is no sum over a journal; watts are of a table (see test_energy.py).
NOT_BY_ITSELF = {"dollars_busy_least", "dollars_busy_gap_pct", "kwh", "kg_co2e"}
RUNS = [
    ("small.toml", "none"),
    ("small.toml", "zone-loss"),
    ("deployments.toml", None),
    ("autoscaling.toml", None),
]


def both(rounds: list[m.Round]) -> tuple[dict, dict]:
    """The row of the results, and that of the audit."""
    recorder, figures, usage = Recorder(), Figures(), Usage()
    for entry in rounds:
        recorder(entry)
        usage(entry)
        figures(entry)
    result = result_of(Run("any", "any", "any"), recorder, usage, rounds[-1].now_ms)
    costs = named_costs(costs_frame([result]), owner_costs_frame([result]))
    assert sum(v for n, v in costs.items() if n.startswith("dollars of ")) == pytest.approx(
        result.metrics["dollars"], rel=1e-9
    )
    return {**result.metrics, **costs}, figures.row()


def simulated(name: str, faults: str | None, until_ms: int) -> list[m.Round]:
    loaded = load_scenario(SCENARIOS / name)
    runs = [r for r in loaded.scenario.runs() if faults is None or r.faults == faults]
    run, rounds = runs[-1], []
    scheduler, driver = world(loaded, run, until_ms)
    drive(loaded, run, scheduler, driver, rounds.append)
    return [*rounds, m.Round(max(until_ms, rounds[-1].now_ms), (), ())]


FILES = sorted(
    path.relative_to(SCENARIOS).as_posix() for path in (SCENARIOS / "capacity").glob("*.toml")
)


@pytest.mark.parametrize(("name", "faults"), [*RUNS, *((name, None) for name in FILES)], ids=str)
def test_the_results_of_a_run_are_what_its_journal_comes_to(name, faults):
    said, row = both(simulated(name, faults, 900_000))
    assert differing(row, said) == []
    assert row["started"] or row["started_per_hour"]


def test_every_metric_is_worked_out_twice():
    row = Figures().row()
    assert row.keys() == METRICS.keys() - NOT_BY_ITSELF, "a new metric needs a figure of its own"


def test_what_few_runs_have_is_worked_out_twice_too():
    world = Driven()
    service = m.CreateService("web", "app", 1)
    world.round(definition(), provider(desired_capacity=1), launched(0), service)
    world.round(instance(0, price_microusd_hour=7), run_task(count=2, started_by="job"))
    world.round(running(0, 1, 2), m.CallThrottled("RunTask", 5, 3, "late"))
    world.round(m.StopTask((0,)), run_task(6, count=9, capacity_provider="cp"))
    world.round(instance(1, resources={"GPU": 2}), running(3), stopped(1), at_ms=130_000)
    world.round(m.LaunchFailed("cp", 1, "none"), run_task(5, count=3, started_by="late/retry"))
    world.round(gone(0), terminated(0), at_ms=200_000)
    world.round(instance(0), run_task(count=1, started_by="job/resubmit"), at_ms=250_000)
    world.round(at_ms=400_000)
    said, row = both(world.rounds)
    assert differing(row, said) == []
    for name in ("lost", "throttled", "launch_failures", "terminations", "refusals"):
        assert row[name], name


def test_dollars_of_somebody_whom_the_journal_does_not_know_are_told():
    said, row = both(simulated("small.toml", "none", 60_000))
    assert row["dollars of service web"] == pytest.approx(said["dollars of service web"])
    (what,) = differing(row, {**said, "dollars of service webb": 0.5})
    assert what == "dollars of service webb: the results have it, the journal has not"


@pytest.mark.parametrize("name", sorted(METRICS.keys() - NOT_BY_ITSELF))
def test_a_wrong_number_is_told(name):
    row = Figures().row()
    wrong = {**row, name: (row[name] or 0) + 1.0}
    assert [what.split()[0] for what in differing(row, wrong)] == [name]
