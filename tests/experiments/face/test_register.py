"""One way to add what is your own: by an object, a file, or an entry point."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import stowplan as sp
from stowplan._register import GIVEN, REGISTRIES
from stowplan.placement.errors import PlacementError
from stowplan.placement.registry import Registry
from tests.experiments.face.test_placing import problems
from tests.experiments.face.test_simulating import Emptiest, small


@pytest.fixture(autouse=True)
def registries_as_they_were():
    before = {kind: registry.added for kind, registry in REGISTRIES.items()}
    yield
    for kind, registry in REGISTRIES.items():
        for name in registry.added.keys() - before[kind].keys():
            del registry[name]
            GIVEN.pop((kind, name), None)


def test_what_ships_stays_and_what_is_added_comes_after():
    registry = Registry("thing", {"a": 1})
    registry["b"] = 2
    registry["b"] = 3
    assert dict(registry) == {"a": 1, "b": 3}
    assert registry.added == {"b": 3}
    for wrong in (lambda: registry.__setitem__("a", 0), lambda: registry.__delitem__("a")):
        with pytest.raises(PlacementError, match="ships with stowplan"):
            wrong()
    with pytest.raises(PlacementError, match="a text"):
        registry[""] = 1
    del registry["b"]
    assert list(registry) == ["a"]


def test_a_strategy_by_name_in_chains_scenarios_and_tables():
    sp.strategy("emptiest")(Emptiest)
    chain = ["spread:attribute:ecs.availability-zone", "emptiest"]
    by_name = sp.simulate(small(strategies={"mine": chain}))
    by_object = sp.simulate(small(), strategies={"mine": [chain[0], Emptiest]})[0]
    assert by_name.metrics.equals(by_object.metrics)
    assert sp.verify(by_name)
    assert sp.strategies().loc["emptiest"].tolist() == ["Fewest tasks first.", True]


def test_a_constraint_binds():
    @sp.constraint("evenInstance")
    class Even(sp.Constraint):
        def allows(self, task, cluster):
            return np.arange(cluster.size) % 2 == 0

    cluster = sp.cluster({"m5.large": 4}, zones=["a"])
    tasks = sp.tasks(cpu=256, count=6, constraints="evenInstance")
    placed = sp.place(tasks, cluster, "spread:instanceId")
    assert placed.summary["instances_used"].item() == 2


def test_a_workload_is_a_function_and_a_predictor_tells_of_its_jobs():
    told = []

    @sp.workload("three")
    def three(rng):
        """Three jobs, ten seconds apart."""
        for number in range(3):
            yield sp.Job(at_ms=10_000 * number, count=2, run_ms=5_000)

    @sp.predictor("twice")
    def twice():
        def expect(job):
            told.append(job)
            return 2 * job.run_ms

        return expect

    table = {"name": "jobs", "task_definition": "job", "kind": "three", "expected": "twice"}
    scenario = small(service=[], workload=[table])
    run = sp.simulate(scenario, tasks=True)
    assert run.tasks["submitted_s"].tolist() == [0, 0, 10, 10, 20, 20]
    assert len(told) == 3
    cut = small(service=[], workload=[{**table, "until": "15s"}])
    assert sp.simulate(cut).metrics["submitted"] == 4
    assert sp.workloads().loc["three"].tolist() == ["Three jobs, ten seconds apart.", {}, True]
    found = problems(lambda: small(workload=[{**table, "expected": "twise", "options": {"x": 1}}]))
    assert "did you mean twice?" in found["scenario: workload[0].expected"]
    assert "unknown field" in found["scenario: workload[0].options.x"]


def test_a_metric_is_a_column():
    @sp.metric("half", unit="%", better="less")
    def half(run):
        """Half of all."""
        return 50.0

    runs = sp.simulate(small(), seeds=[1])
    assert runs.frame["half"].tolist() == [50.0]
    assert sp.metrics().loc["half"].tolist() == ["Half of all.", "%", "less", True]


def test_a_policy_runs_the_openb_evaluation():
    from stowplan.experiments.studies.openb import POLICIES

    sp.register("policy", "mine", lambda workload: Emptiest())
    assert isinstance(POLICIES["mine"](None), Emptiest)


def test_a_file_is_named_by_path_and_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = """
        class Mine:
            def __init__(self, field=None):
                self.sign = -1 if field == "last" else 1
            def keys(self, task, cluster, candidates, rng):
                return self.sign * candidates
    """
    Path("mine.py").write_text(textwrap.dedent(code))
    sp.register("strategy", "mine", "mine.py:Mine")
    cluster, tasks = sp.cluster({"m5.large": 3}), sp.tasks(cpu=1, count=2)
    rows = {
        chain: sp.place(tasks, cluster, chain).placements["instance"].iloc[0][-1]
        for chain in ("mine", "mine:last", "mine.py:Mine:last")
    }
    assert rows == {"mine": "0", "mine:last": "2", "mine.py:Mine:last": "2"}
    assert sp.verify(sp.simulate(small(), "mine.py:Mine"))


@pytest.mark.parametrize(
    ("kind", "name", "thing", "what"),
    [
        ("strategie", "a", Emptiest, "did you mean strategy?"),
        ("strategy", "binpack", Emptiest, "ships with stowplan"),
        ("strategy", "a", 3, "neither a class nor an object"),
        ("strategy", "a", "no.py:Mine", "no file"),
        ("workload", "a", 3, "neither a class nor a function"),
        ("metric", "a", 3, "neither a function"),
    ],
)
def test_what_cannot_be_registered_is_an_error(kind, name, thing, what):
    found = problems(lambda: sp.register(kind, name, thing))
    assert what in next(iter(found.values()))


PACKAGE = """
    import numpy as np
    class Newest:
        "Newest first."
        def keys(self, task, cluster, candidates, rng):
            return -candidates
    def three(run):
        "Always three."
        return 3.0
"""
POINTS = """
    [stowplan.strategies]
    newest = plugin:Newest
    [stowplan.metrics]
    three = plugin:three
"""
SCRIPT = """
    import sys
    import stowplan as sp
    from stowplan.experiments.cli.main import main
    from stowplan.experiments.record.results import load_results
    if __name__ == "__main__":
        assert sp.simulate(sp.load("small"), "newest").metrics["three"] == 3
        code = main(["simulate", sys.argv[1], "--out", "out", "--strategy", "n=newest", "--only",
                     "n__shared__none", "--jobs", "1"])
        table = load_results("out").results
        print(code, table["strategy"].tolist(), table["three"].tolist())
        print(main(["verify", "out/journals/n__shared__none.jsonl.gz"]))
"""


def test_an_entry_point_is_known_here_and_to_worker_processes(tmp_path):
    """A package that is installed: its names stand in chains, also of the command line."""
    site = tmp_path / "site"
    (site / "plugin-1.dist-info").mkdir(parents=True)
    (site / "plugin.py").write_text(textwrap.dedent(PACKAGE))
    (site / "plugin-1.dist-info" / "METADATA").write_text("Name: plugin\nVersion: 1\n")
    points = site / "plugin-1.dist-info" / "entry_points.txt"
    points.write_text(textwrap.dedent(POINTS))
    (tmp_path / "run.py").write_text(textwrap.dedent(SCRIPT))
    scenario = Path(sp.load("small").loaded.path)

    run = ran(tmp_path, site, scenario)
    assert "0 ['n'] [3.0]" in run.stdout, run.stdout + run.stderr
    assert "0 violations" in run.stdout

    points.write_text("[stowplan.strategies]\nbinpack = plugin:Newest\nother = plugin:Gone\n")
    run = ran(tmp_path, site, scenario)
    assert "entry point stowplan.strategies: binpack = plugin:Newest" in run.stderr
    assert "entry point stowplan.strategies: other = plugin:Gone: AttributeError" in run.stderr


def ran(folder, site, scenario):
    path = ":".join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(":")
    command = [sys.executable, "run.py", str(scenario)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def raises(*_):
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("jobs", "what"),
    [
        ([sp.Job(10, 1, 5), sp.Job(5, 1, 5)], "job 1: comes at 5 ms, before"),
        ([sp.Job(0.5, 1, 5)], "job 0: at_ms: expected a whole number"),
        ([sp.Job(0, 1.5, 5)], "job 0: count: expected a whole number"),
        ([sp.Job(0, 0, 5)], "job 0: count: expected a whole number of at least 1"),
        ([sp.Job(0, 1, 5, cpu=-5)], "job 0: cpu: expected a whole number"),
        ([{"at_ms": 1}], "job 0: expected a Job"),
        (map(raises, [1]), "job 0: KeyError: 'mine'"),
    ],
)
def test_a_workload_that_makes_no_sense_is_one_error(jobs, what):
    sp.workload("odd")(lambda rng: iter(jobs))
    table = {"name": "jobs", "task_definition": "job", "kind": "odd"}
    scenario = small(service=[], workload=[table])
    with pytest.raises(sp.PlacementError, match=f"workload odd: {what}"):
        sp.simulate(scenario)


@pytest.mark.parametrize("said", [1.5, -1, "long"])
def test_a_predictor_says_whole_milliseconds(said):
    sp.predictor("odd")(lambda: lambda job: said)
    sp.workload("one")(lambda rng: iter([sp.Job(0, 1, 5)]))
    table = {"name": "jobs", "task_definition": "job", "kind": "one", "expected": "odd"}
    with pytest.raises(sp.PlacementError, match="predictor odd: of Job"):
        sp.simulate(small(service=[], workload=[table]))


@pytest.mark.parametrize(("metric", "what"), [(raises, "KeyError: 'mine'"), (lambda _: "x", "'x'")])
def test_a_metric_that_gives_no_number_is_one_error(metric, what):
    sp.metric("odd")(metric)
    with pytest.raises(sp.PlacementError, match=f"metric odd: .*{what}"):
        sp.simulate(small())


def test_a_class_that_is_no_constraint_is_one_error():
    sp.constraint("odd")(Emptiest)
    assert (
        "takes no arguments"
        in problems(lambda: sp.tasks(cpu=1, constraints="odd"))["row 0: constraints"]
    )
