"""What ran when, and the provable minimum beside what each run kept busy."""

import dataclasses
import gzip
import json

import numpy as np
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.cli.regret import (
    MICROUSD_MS,
    aligned,
    at_price_one,
    gap_pct,
    least,
    read_run,
)
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.report.formats import dollars
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement import messages as m
from stowplan.placement.model import PlacementConstraint, StopCode, TaskStatus
from stowplan.placement.packing.over_time.bound import Bounds
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.verify import check_over_time
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.strategies import STRATEGIES
from tests.experiments.report.made_results import SMALL

NEEDS_A_FIELD = {"binpack": "binpack:cpu", "spread": "spread:instanceId"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Journals of every registered strategy on two minutes of the small scenario."""
    folder = tmp_path_factory.mktemp("journals")
    chains = {f"s-{name}": NEEDS_A_FIELD.get(name, name) for name in STRATEGIES}
    loaded = load_scenario(SMALL, chains)
    loss = {"loss": (Fault(kind="zone-loss", zone="us-east-1a", at=40, detect=10),)}
    scenario = loaded.scenario.model_copy(update={"duration": 120_000, "faults": loss})
    loaded = dataclasses.replace(loaded, scenario=scenario)
    paths = []
    for run in scenario.runs():
        if run.strategy in chains:
            paths.append(folder / f"{run.id}.jsonl.gz")
            simulate(loaded, run, paths[-1])
    return paths


def test_no_run_of_any_strategy_pays_less_than_the_minimum(runs):
    kept = [read_run(path) for path in runs]
    costs = least([(run.layout, run.problem) for run in kept])
    counted = least([(run.layout, at_price_one(run.problem)) for run in kept])
    assert len(kept) >= len(STRATEGIES)
    for run, (cost, _), (instance_ms, peak) in zip(kept, costs, counted, strict=True):
        assert 0 < cost <= run.cost, run.name
        assert 0 < instance_ms <= run.instance_ms, run.name
        assert 0 < peak <= run.peak, run.name
    # patterns only ever raise a bound
    raised = least([(run.layout, run.problem) for run in kept[:3]], patterns=2)
    alone = least([(run.layout, run.problem) for run in kept[:3]])
    for run, (high, _), (low, _) in zip(kept, raised, alone, strict=False):
        assert low <= high <= run.cost


def test_what_ran_takes_the_room_that_the_recorder_saw(runs):
    recorder, usage = Recorder(), Usage()
    with gzip.open(runs[0]) as stream:
        from stowplan.placement.journal import read_journal

        for entry in read_journal(stream)[1]:
            recorder(entry)
            usage(entry)
    recorder.finish(recorder.now_ms)
    problem = usage.problem(recorder.now_ms)
    held = problem.demand[problem.kind].T @ (problem.end_ms - problem.start_ms)
    assert {recorder.integrals.cpu_used, recorder.integrals.memory_used} >= set(held.tolist())


def test_the_command_prints_a_row_for_every_run(runs, capsys):
    assert main(["regret", str(runs[0].parent)]) == 0
    text = capsys.readouterr().out
    for path in runs:
        run = read_run(path)
        row = next(line for line in text.splitlines() if line.startswith(f"{run.name} ")).split()
        assert row[1] == dollars(run.cost / MICROUSD_MS)
        assert int(row[-1]) <= int(row[-2]) == run.peak


def test_the_json_of_regret_speaks_as_every_goal_does(runs, capsys):
    assert main(["regret", str(runs[0]), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    run = read_run(runs[0])
    assert (found["run"], found["dollars"]["objective"]) == (run.name, run.cost)
    assert found["hours"]["objective"] == run.instance_ms
    for name in ("dollars", "hours", "peak"):
        answer = found[name]
        assert 0 < answer["lower_bound"] <= answer["objective"]
        wide = answer["objective"] - answer["lower_bound"]
        assert answer["gap"] == pytest.approx(wide / answer["objective"])
        assert answer["status"] == ("feasible" if wide else "optimal")
        assert {"goal", "unit", "seconds"} <= set(answer)


def test_runs_of_different_length_are_said_not_to_compare(runs, tmp_path, capsys):
    assert main(["regret", str(runs[0])]) == 0
    assert "do not compare" not in capsys.readouterr().out
    short = tmp_path / "short.jsonl.gz"
    loaded, rounds = load_scenario(SMALL), iter(range(30))
    run = next(loaded.scenario.runs())
    simulate(loaded, run, short, stopped=lambda: next(rounds, None) is None)
    assert main(["regret", str(runs[0]), str(short)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "of 2 min, these runs lasted only so long" in text
    assert "scenario: short " in text
    assert "do not compare" in text


def test_a_path_without_journals_is_named(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["regret", str(tmp_path / "empty"), str(tmp_path / "none.jsonl.gz")]) == 2
    error = capsys.readouterr().err
    assert "empty: holds no journal" in error
    assert "none.jsonl.gz: holds no journal" in error


# --- what counts as running ------------------------------------------------------------------


def document(**more):
    container = {"name": "c", "image": "i", "cpu": 600, "memory": 700} | more
    return {"family": "t", "containerDefinitions": [container]}


def register(instance, **attributes):
    resources = {"CPU": 1000, "MEMORY": 1000}
    return m.InstanceRegistered(instance, f"i-{instance}", resources, attributes, 5)


def usage_of(*rounds, until_ms=100):
    usage = Usage()
    for now_ms, events, commands in rounds:
        usage(m.Round(now_ms, tuple(events), tuple(commands)))
    return usage.problem(until_ms)


def start(*tasks, instances, **of):
    return m.StartTasks("t:1", "g", tasks, instances, **of)


def spans(problem):
    return sorted(zip(problem.start_ms.tolist(), problem.end_ms.tolist(), strict=True))


FIRST = (m.RegisterTaskDefinition(document()), register(0), register(1))


def test_a_task_ends_when_it_is_told_to_stop_when_it_stops_and_with_its_instance():
    stopped = m.TasksChanged(TaskStatus.STOPPED, (1,))
    told = m.StopTasks((0,), StopCode.USER_INITIATED, "")
    problem = usage_of(
        (0, [*FIRST, m.RunTask(0, "t", 4)], [start(0, 1, 2, 3, instances=(0, 1, 0, 1), request=0)]),
        (10, [], [told]),
        (20, [stopped, m.TasksChanged(TaskStatus.STOPPED, (0,))], []),
        (30, [m.InstancesGone((0,))], []),
    )
    assert spans(problem) == [(0, 10), (0, 20), (0, 30), (0, 100)]
    assert problem.demand.tolist() == [[600, 700]]
    assert [(t.price, t.limit, t.capacity.tolist()) for t in problem.types] == [
        (5, 2, [1000, 1000])
    ]


def test_daemons_do_not_count():
    daemon = m.CreateService("d", "t", scheduling_strategy="DAEMON")
    problem = usage_of(
        (
            0,
            [*FIRST, daemon, m.CreateService("s", "t", 1)],
            [start(0, instances=(0,), service="d")],
        ),
        (5, [], [start(1, instances=(1,), service="s")]),
    )
    assert spans(problem) == [(5, 100)]


def test_constraints_part_types_and_limit_what_one_instance_may_hold():
    only = PlacementConstraint("memberOf", "attribute:pool == a")
    alone = PlacementConstraint("distinctInstance")
    problem = usage_of(
        (0, [m.RegisterTaskDefinition(document(cpu=100, memory=100))], []),
        (0, [register(0, pool="a"), register(1, pool="b"), register(2, pool="b")], []),
        (0, [m.CreateService("s", "t", 1, (only,))], [start(0, instances=(0,), service="s")]),
        (0, [m.CreateService("u", "t", 1, (alone,))], [start(1, instances=(1,), service="u")]),
    )
    assert sorted(offer.limit for offer in problem.types) == [1, 2]
    by_limit = np.argsort([offer.limit for offer in problem.types])
    rows = sorted(problem.most[:, by_limit].tolist())
    assert rows[0] == [1, 1]
    assert rows[1][0] > 1
    assert rows[1][1] == 0


def test_runs_of_one_layout_share_their_proofs_and_keep_their_own_bounds():
    first = usage_of((0, [*FIRST, m.RunTask(0, "t", 1)], [start(0, instances=(0,), request=0)]))
    other = usage_of(
        (0, [m.RegisterTaskDefinition(document(cpu=900)), *FIRST[1:], m.RunTask(0, "t", 2)], []),
        (50, [], [start(0, 1, instances=(0, 1), request=0)]),
    )
    together = aligned([first, other])
    assert together[0].demand.tolist() == together[1].demand.tolist()
    bounds = Bounds(together)
    bounds.use_resource_prices()
    bounds.use_patterns(4)
    assert bounds.totals() == [500, 500]
    plan = OverTimePlan(np.array([0, 1]), np.array([0, 0]))
    assert check_over_time(together[1], plan) == 500
    assert least([("a", first), ("a", other)], patterns=4) == [(500, 5), (500, 10)]


def test_the_gap_is_a_share_of_what_was_busy():
    assert gap_pct(4, 3) == 25
    assert gap_pct(0, 0) == 0
    assert MICROUSD_MS == 3_600_000_000_000


def test_daemons_count_neither_in_what_was_busy_nor_in_its_minimum(tmp_path):
    """One daemon on each of twelve instances, and one task: what is paid for is one instance."""
    scenario = load_scenario(SMALL).scenario
    agent = scenario.service[0].model_copy(
        update={"name": "agent", "desired_count": 0, "scheduling_strategy": "DAEMON"}
    )
    one = scenario.service[1].model_copy(update={"desired_count": 1})
    scenario = scenario.model_copy(
        update={"service": (agent, one), "workload": (), "duration": 60_000}
    )
    loaded = dataclasses.replace(load_scenario(SMALL), scenario=scenario)
    path = tmp_path / "one.jsonl.gz"
    result = simulate(loaded, next(scenario.runs()), path)
    kept = read_run(path)
    [(cost, most)] = least([(kept.layout, kept.problem)])
    assert kept.cost == cost > 0
    assert (kept.peak, most) == (1, kept.problem.types[0].price)
    assert (result.metrics["instances"], result.metrics["instances_used"]) == (12, 1)
    assert result.metrics["dollars_busy"] == pytest.approx(cost / MICROUSD_MS)
