"""From samples to models: known distributions are found again, and a scenario draws from them."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from stowplan.experiments.calibration.calibration import (
    Call,
    Level,
    Pulled,
    calibration,
    fit_pulls,
    fit_servers,
    lognormal,
    works_s,
)
from stowplan.experiments.record.task_lives import read_history
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.errors import SpecError
from stowplan.sim.machines import Machines
from tests.experiments.scenarios import changed, load, problems_of

LEVELS = ((1, 1), (1, 4), (3, 1), (3, 4))


def played(works_s, engines, at_once, servers, shared):
    """The calls that machines of the model make of so much work on each engine."""
    machines, calls = Machines(servers, None, shared=shared), []
    lines = [[1000 * work_s for work_s in works_s[engine::engines]] for engine in range(engines)]

    def begin(engine, now_ms):
        if lines[engine]:
            done = partial(end, engine, now_ms)
            machines.start(engine, (lines[engine].pop(),), now_ms, done)

    def end(engine, began_ms, now_ms):
        calls.append(Call(engine, began_ms / 1000, now_ms / 1000))
        begin(engine, now_ms)

    for engine in range(engines):
        for _ in range(at_once):
            begin(engine, 0)
    while (at_ms := machines.next_ms) is not None:
        machines.turn(at_ms)
    return tuple(calls)


def made(servers=2.5, shared=True, count=60, median_s=0.6, sigma=0.2):
    """Levels as the model has them: every step, works of lognormals of known parameters."""
    rng = np.random.default_rng(5)
    levels = []
    for step, alone_s in (("create", 0.05), ("start", median_s), ("stop", 0.15)):
        for engines, at_once in LEVELS:
            works_s = alone_s * rng.lognormal(0, sigma, count)
            calls = played(works_s.tolist(), engines, at_once, servers, shared)
            levels.append(Level(step, engines, at_once, calls))
    return levels


def test_a_lognormal_is_found_again_and_fits():
    fit = lognormal(np.random.default_rng(1).lognormal(-0.5, 0.3, 4000))
    assert fit.mu == pytest.approx(-0.5, abs=0.02)
    assert fit.sigma == pytest.approx(0.3, abs=0.01)
    assert fit.p > 0.05


def test_two_humps_are_no_lognormal():
    rng = np.random.default_rng(2)
    humps = [*rng.lognormal(-2, 0.1, 40), *rng.lognormal(0, 0.1, 40)]
    assert lognormal(humps).p < 0.01


def test_a_sound_fit_is_seldom_rejected():
    """The test's own level: of samples that are lognormal, 5 % are taken for something else."""
    rng = np.random.default_rng(3)
    rejected = sum(lognormal(rng.lognormal(0, 1, 24)).p < 0.05 for _ in range(60))
    assert rejected <= 9  # more has a chance of 0.3 %


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("servers", [1.0, 2.5, 8.0])
def test_servers_are_found_again_and_whether_engines_share_them(servers, shared):
    levels = [each for each in made(servers, shared, 400) if each.step == "start"]
    found, found_shared = fit_servers(levels)
    assert found == pytest.approx(servers, rel=0.15)
    assert found_shared is shared


def test_what_a_call_would_have_taken_alone_counts_who_was_there_from_moment_to_moment():
    # Two beside each other for 3 s at half again the time, then the longer one alone for 1 s.
    calls = (Call(0, 0.0, 3.0), Call(1, 0.0, 4.0))
    assert works_s(Level("start", 2, 1, calls), 2.0, True).tolist() == [2.0, 3.0]
    assert works_s(Level("start", 2, 1, calls), 2.0, False).tolist() == [3.0, 4.0]


def test_a_single_round_of_a_crowd_is_not_taken_for_a_lasting_one():
    """As many calls as may be made at a time: the longest end beside few others."""
    rng = np.random.default_rng(6)
    levels = []
    for engines, at_once in LEVELS:
        rounds = [
            played(rng.lognormal(0, 0.4, engines * at_once).tolist(), engines, at_once, 2.5, True)
            for _ in range(80)
        ]
        calls = [
            Call(call.engine, 1000 * n + call.began_s, 1000 * n + call.ended_s)
            for n, calls in enumerate(rounds)
            for call in calls
        ]
        levels.append(Level("start", engines, at_once, tuple(calls)))
    assert fit_servers(levels)[0] == pytest.approx(2.5, rel=0.1)


def test_the_models_are_those_that_made_the_samples():
    models = calibration(made(), [], 4, {})["models"]
    assert models["start"]["distribution"] == "lognormal"
    assert int(models["start"]["median"].removesuffix("ms")) == pytest.approx(600, rel=0.06)
    assert models["start"]["sigma"] == pytest.approx(0.2, abs=0.03)
    assert int(models["stop"]["median"].removesuffix("ms")) == pytest.approx(150, rel=0.06)
    assert (models["callers"], models["servers_shared"]) == (4, True)


def test_where_no_lognormal_fits_the_samples_are_drawn_from():
    humps = (*np.linspace(0.1, 0.11, 30), *np.linspace(1.0, 1.1, 30))
    levels = [each for each in made() if each.step != "start"]
    calls = played(humps, 1, 1, 2.0, True)
    models = calibration([*levels, Level("start", 1, 1, calls)], [], 4, {})["models"]
    assert models["start"]["distribution"] == "empirical"
    assert len(models["start"]["samples"]) == 60


def test_pulls_are_a_line_over_size():
    pulled = [Pulled(f"i{mib}", mib, (0.2 + 0.012 * mib,) * 3) for mib in (1, 20, 60)]
    assert fit_pulls(pulled) == {"latency": "200ms", "ms_per_mib": 12.0}
    with pytest.raises(SpecError, match="larger images"):
        fit_pulls([Pulled("a", 1, (2.0,)), Pulled("b", 50, (1.0,))])


# --- in a scenario --------------------------------------------------------------------------------

CROWD = {
    "name": "crowd",
    "task_definition": "batch",
    "kind": "burst",
    "options": {"count": 9, "run": {"mean": "10s"}},
}


def crowd(**models):
    """Nine tasks at once on three instances, on machines that the file describes."""
    document = changed(("workload",), [CROWD]) | {"service": [], "models": models}
    return document | {"faults": {"none": []}, "layouts": {"shared": {}}}


def written(models, **more):
    Path("c.json").write_text(json.dumps({"format": 1, "models": models, **more}))


def test_a_scenario_takes_its_models_from_the_file_and_says_otherwise_itself(folder):
    content = calibration(made(), [Pulled("i", 1, (0.5,) * 3)], 4, {})
    Path("c.json").write_text(json.dumps(content))
    scenario = load(crowd(calibration="c.json", stop={"mean": "7ms"})).scenario
    assert scenario.models.start.median == int(content["models"]["start"]["median"][:-2])
    assert scenario.models.servers == content["models"]["servers"]
    assert scenario.models.stop.mean == 7
    assert scenario.pulls.ms_per_mib == 500.0


def test_starts_on_one_machine_slow_each_other_down_in_simulation(folder):
    written({"start": {"mean": "500ms"}, "servers": 2.0, "callers": 4})
    alone = simulated(load(crowd(start={"mean": "500ms"})))
    together = simulated(load(crowd(calibration="c.json")))
    # Nine at once, none waits in line: each 1 + 8 / 2 times as long.
    assert set(alone.starts_ms) == {500}
    assert set(together.starts_ms) == {2500}
    # They end together, too, and that is a stop each: the same nine times 300 ms by default.
    assert together.makespan_ms == 2500 + 10_000 + 5 * 300


def test_what_starts_at_one_moment_is_created_first(folder):
    models = {"start": {"mean": "500ms"}, "create": {"mean": "100ms"}}
    written({**models, "servers": 1e9, "callers": 1})
    # Three on each instance, one call at a time: 300 ms of creates, then a start after the other.
    starts = simulated(load(crowd(calibration="c.json"))).starts_ms
    assert sorted(set(starts)) == [800, 1300, 1800]


def test_tasks_that_agents_play_start_by_the_same_model(folder):
    written({"start": {"mean": "500ms"}, "servers": 2.0})
    document = crowd(calibration="c.json") | {"images": {"app:1": {"layers": {"all": 1}}}}
    document["pulls"] = {"latency": "0s", "ms_per_mib": 1.0}
    assert set(simulated(load(document)).starts_ms) == {2500 + 1}
    written({"start": {"mean": "500ms"}, "create": {"mean": "100ms"}, "servers": 2.0})
    assert set(simulated(load(document)).starts_ms) == {3000 + 1}


def test_an_empirical_start_draws_the_samples_and_nothing_else(folder):
    written({"start": {"distribution": "empirical", "samples": [0.1, 0.3]}})
    assert set(simulated(load(crowd(calibration="c.json"))).starts_ms) == {100, 300}


def test_what_is_wrong_with_the_file_is_said_with_its_place(folder):
    place = "test.toml: models.calibration"
    assert problems_of(crowd(calibration="c.json")) == [(place, "no file c.json")]
    Path("c.json").write_text("{")
    assert "not valid JSON" in problems_of(crowd(calibration="c.json"))[0][1]
    Path("c.json").write_text('{"format": 7}')
    assert "not a calibration of format 1" in problems_of(crowd(calibration="c.json"))[0][1]
    written({"start": {"distribution": "empirical"}, "servers": -1.0})
    places = {place for place, _ in problems_of(crowd(calibration="c.json"))}
    assert places == {"c.json: models.start", "c.json: models.servers"}


def simulated(loaded):
    """The history of a scenario's only run."""
    run = next(loaded.scenario.runs())
    simulate(loaded, run, Path("journal.jsonl.gz"))
    return read_history(Path("journal.jsonl.gz"))[1]
