"""Scenarios out of objects, simulated with strategies of the notebook's own."""

import gzip

import numpy as np
import pytest

import stowplan as sp
from stowplan._register import GIVEN
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.runs.simulate import simulate as simulated
from stowplan.placement.scenario.scenario import ServiceTable
from tests.experiments.face.test_placing import problems


class Emptiest:
    """Fewest tasks first."""

    def keys(self, task, cluster, candidates, rng):
        return cluster.running_tasks_count[candidates]


def small(**fields):
    tables = {
        "duration": "5m",
        "task_definitions": {
            "web": sp.task_definition("web", cpu=256, memory=512),
            "job": sp.task_definition("job", cpu=128, memory=256),
        },
        "service": [{"name": "web", "task_definition": "web", "desired_count": 4}],
        "workload": [
            {
                "name": "jobs",
                "task_definition": "job",
                "kind": "poisson",
                "until": "4m",
                "options": {
                    "rate_per_s": 0.5,
                    "run": {"distribution": "exponential", "mean": "10s"},
                },
            }
        ],
    }
    return sp.scenario(sp.cluster({"m5.large": 3}), **{**tables, **fields})


def test_a_scenario_of_objects_is_that_of_the_file():
    """The same tables, said in Python, run to the same rounds."""
    path = SCENARIOS / "small.toml"
    loaded = load_scenario(path).scenario
    definitions = {n: SCENARIOS / "taskdefs" / f"{n}.json" for n in loaded.task_definitions}
    of = sp.scenario(
        sp.cluster([{"instance_type": "m5.xlarge", "count": 12, "name": "general"}]),
        name="small",
        duration="10m",
        seed=7,
        task_definitions={n: str(each) for n, each in definitions.items()},
        service=list(loaded.service),
        workload=list(loaded.workload),
        strategies={"packed": "binpack:memory"},
    )
    ours = sp.simulate(of, "packed")
    theirs = sp.simulate(sp.load(path), "binpack")
    ignored = b"\n"  # the header, which names the strategies
    rounds = [gzip.decompress(r.journal.data).partition(ignored)[2] for r in (ours, theirs)]
    assert rounds[0] == rounds[1]
    assert ours.metrics.equals(theirs.metrics)


def test_a_run_is_that_of_the_command_line():
    loaded = load_scenario(SCENARIOS / "small.toml")
    run = next(run for run in loaded.scenario.runs() if run.strategy == "binpack")
    expected = simulated(loaded, run).metrics
    found = sp.simulate(sp.load("small"), "binpack").metrics
    assert list(found.index) == list(METRICS)
    for name in METRICS:
        value = expected[name]
        assert found[name] == value or (value is None and np.isnan(found[name])), name


def test_everything_that_is_wrong_with_a_scenario_is_said_at_once():
    found = problems(
        lambda: small(
            duration="5 minutes",
            service=[{"name": "web", "task_definition": "wep", "desired_count": 1.5}],
            strategies={"a": "binpak", "b": "spread:attribute:rack"},
            faults={"none": [], "zone": [{"kind": "zone-loss", "zone": "nowhere", "at": "1m"}]},
        )
    )
    assert "expected a duration" in found["scenario: duration"]
    assert "found 1.5" in found["scenario: service[0].desired_count"]
    assert "did you mean" in found["scenario: service[0].task_definition"]
    assert "did you mean binpack?" in found["scenario: strategies.a"]
    assert "rack" in found["scenario: strategies.b"]
    assert "nowhere" in found["scenario: faults.zone[0].zone"]


def test_what_was_given_is_left_as_it_was():
    service = {"name": "web", "task_definition": "web", "desired_count": 4, "strategy": [Emptiest]}
    tables = {"service": [service]}
    small(**tables)
    assert tables == {"service": [service]}
    assert service["strategy"] == [Emptiest]


def test_tables_may_be_the_objects_of_the_toolkit():
    table = ServiceTable(name="web", task_definition="web", desired_count=4, at="1m")
    assert small(service=[table]).tables.service == (table,)


def test_strategies_by_seeds_in_their_order():
    runs = sp.simulate(small(), strategies={"e": Emptiest, "r": "random"}, seeds=range(2))
    assert [(run.strategy, run.seed) for run in runs] == [("e", 0), ("e", 1), ("r", 0), ("r", 1)]
    frame = runs.frame
    assert frame[["strategy", "seed"]].to_numpy().tolist() == [
        ["e", 0], ["e", 1], ["r", 0], ["r", 1],
    ]  # fmt: skip
    assert frame["submitted"][0] == frame["submitted"][2] != frame["submitted"][1]
    assert set(METRICS) <= set(frame.columns)
    mean = frame[frame["strategy"] == "e"]["submitted"].mean()
    assert runs.summary("submitted").loc["e"].iloc[0, 0] == mean
    assert len(sp.results_frame([*runs, *runs[:1]])) == 5


def test_a_seed_repeats_to_the_byte_and_a_run_leaves_no_trace_on_an_object():
    class Counting(Emptiest):
        asked = 0

        def keys(self, *arguments):
            self.asked += 1
            return super().keys(*arguments)

    mine = Counting()
    first, again = (sp.simulate(small(), mine, seed=3) for _ in range(2))
    assert first.journal.data == again.journal.data
    assert mine.asked == 0


@pytest.mark.parametrize("faults", ["none", "zone-loss"])
def test_a_row_per_task_adds_up_to_the_metrics(faults):
    run = sp.simulate(sp.load("small"), "binpack", faults=faults, tasks=True)
    tasks, metrics = run.tasks, run.metrics
    jobs = tasks[tasks["of"] == "batch"]
    first = jobs[jobs["submitted_s"].notna()]
    assert len(first) >= metrics["submitted"]
    assert tasks["running_s"].count() == metrics["started_per_hour"] * 600 / 3600
    ended = tasks[tasks["stop_code"] == "EssentialContainerExited"]
    assert len(ended) == metrics["finished"]
    lost = tasks[(tasks["stop_code"] == "InfrastructureHealth")]
    assert len(lost) == metrics["lost"]
    starts = tasks["running_s"] - tasks["placed_s"]
    assert starts.median() == pytest.approx(metrics["start_p50_s"])
    for earlier, later in (
        ("submitted_s", "placed_s"),
        ("placed_s", "running_s"),
        ("running_s", "ended_s"),
    ):
        both = tasks[tasks[earlier].notna() & tasks[later].notna()]
        assert (both[earlier] <= both[later]).all()
    assert set(tasks["instance"].dropna()) <= set(run.instances["instance"])
    if faults == "none":
        waits = first["running_s"] - first["submitted_s"]
        assert waits.median() == pytest.approx(metrics["wait_p50_s"])


def test_a_task_that_never_found_a_place_is_a_row_without_one():
    wide = sp.scenario(
        sp.cluster({"m5.large": 1}),
        duration="2m",
        task_definitions={"job": sp.task_definition("job", cpu=1024, memory=256)},
        workload=[
            {
                "name": "jobs",
                "task_definition": "job",
                "kind": "burst",
                "options": {"count": 3, "at": ["10s"], "run": {"mean": "1h"}},
            }
        ],
    )
    tasks = sp.simulate(wide, tasks=True).tasks
    assert tasks["submitted_s"].tolist() == [10.0, 10.0, 10.0]
    assert tasks["placed_s"].isna().tolist() == [False, False, True]
    assert tasks["task"].isna().tolist() == [False, False, True]


def test_what_was_not_kept_is_said():
    run = sp.simulate(small(), journal=False)
    assert "tasks=True" in problems(lambda: run.tasks)["tasks"]
    assert "journal=True" in problems(lambda: run.journal)["journal"]
    assert "journal=True" in problems(lambda: sp.verify(run))["journal"]


def test_a_run_is_verified_and_replayed_from_memory_and_from_a_file(tmp_path):
    run = sp.simulate(small(), Emptiest)
    assert sp.verify(run)
    file = run.journal.save(tmp_path / "run.jsonl.gz")
    assert sp.verify(file, strategies={"Emptiest": Emptiest}).violations.empty
    assert "STRATEGIES has no Emptiest" in repr(sp.verify(file))

    class Other(Emptiest):
        def keys(self, *arguments):
            return -super().keys(*arguments)

    wrong = sp.verify(file, strategies={"Emptiest": Other})
    assert not wrong.ok
    assert "does not replay" in repr(wrong)
    page = sp.replay(file)
    assert page.save(tmp_path / "run.html").read_text() == page.html
    assert page.html == sp.replay(run).html
    assert page._repr_html_().startswith('<iframe srcdoc="')


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"strategy": "binpak"}, "strategy binpak"),
        ({"strategy": "binpack:cp"}, "strategies.binpack:cp"),
        ({"layout": "x"}, "layout"),
        ({"faults": "x"}, "faults"),
        ({"seeds": [1.5]}, "seed"),
        ({"seeds": 5}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"seed": 1, "seeds": [1]}, "seed"),
    ],
)
def test_what_is_not_there_is_an_error(arguments, place):
    assert place in problems(lambda: sp.simulate(small(), **arguments))


def test_plots_have_a_curve_for_each_strategy():
    runs = sp.simulate(small(), strategies=["random", Emptiest], seeds=[1, 2])
    assert [len(axis.lines) for axis in runs.plot().axes] == [2, 2]
    assert [len(axis.patches) for axis in runs.plot_fragmentation().axes] == [4, 4]
    for each in (runs, runs[0]):
        assert "<table" in each._repr_html_()


def test_an_optimum_is_proven_and_says_so():
    best = sp.optimize(small(), "placement", time_limit=30)
    assert best.status == "optimal"
    assert best.gap == 0
    assert best.frame["copies"].sum() == best.plan["instances"]
    assert "proven least" in repr(best)
    bought = sp.scenario(
        duration="5m",
        buys=True,
        task_definitions={"web": sp.task_definition("web", cpu=256, memory=512)},
        service=[{"name": "web", "task_definition": "web", "desired_count": 4}],
        optimize={"offer": [{"instance_type": "m5.large", "zones": ["a"]}]},
    )
    assert sp.optimize(bought, "fleet").objective == 96_000
    moved = sp.optimize(small(), "repack", free=1)
    assert moved.status == "optimal"
    assert problems(lambda: sp.optimize(small(), "flet", free=1)).keys() == {"goal", "free"}


def test_packing_takes_whole_numbers_of_any_shape():
    assert sp.pack([3, 3, 2, 2, 2], 6).bins == 2
    packing = sp.pack([[2, 1], [1, 2]], [3, 3], counts=[2, 2])
    assert packing.frame["copies"].sum() == packing.bins == 2
    found = problems(lambda: sp.pack([[0.5, -1]], [3, 3]))
    assert found.keys() == {"sizes[0][0]", "sizes[0][1]"}
    assert sp.pack([7], 6).status == "infeasible"
    assert problems(lambda: sp.pack([[1, 2]], [3, 3, 3]))


def test_processes_beside_each_other_give_the_same_results():
    """`Emptiest` is of a module that others can import, and `sent` is registered there, too."""
    sp.register("metric", "sent", seven)
    try:
        arguments = {"strategies": {"mine": Emptiest, "r": "random"}, "seeds": [1, 2]}
        service = {"name": "web", "task_definition": "web", "desired_count": 4}
        of = small(service=[{**service, "strategy": [Emptiest]}])
        alone = sp.simulate(of, **arguments, tasks=True)
        beside = sp.simulate(of, **arguments, tasks=True, jobs=2)
    finally:
        METRICS.pop("sent")
        GIVEN.pop(("metric", "sent"))
    assert beside.frame.equals(alone.frame)
    assert beside[0].run.metrics["sent"] == 7
    for one, other in zip(alone, beside, strict=True):
        assert one.journal == other.journal
        assert one.tasks.equals(other.tasks)


def seven(run):
    return 7


def test_what_is_of_the_notebook_itself_stays_here(monkeypatch):
    monkeypatch.setattr(Emptiest, "__module__", "__main__")
    with pytest.warns(UserWarning, match="Emptiest .* stay in this one"):
        runs = sp.simulate(small(), Emptiest, seeds=[1, 2], jobs=2)
    assert len(runs) == 2
