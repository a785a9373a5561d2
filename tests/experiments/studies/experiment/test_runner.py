"""Runs are made once: what is known is read, what changed is run, what ended is kept."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import simulate
from stowplan.experiments.studies.experiment.cells import design_of
from stowplan.experiments.studies.experiment.experiment import read_experiment
from stowplan.experiments.studies.experiment.runner import Runner
from stowplan.experiments.studies.experiment.spec import read_spec
from stowplan.experiments.studies.experiment.statistics import mean_interval
from stowplan.experiments.studies.experiment.store import Store
from stowplan.placement.errors import PlacementError, SpecError


def run(folder, out="out", **options):
    """(the experiment, how many runs were made) of `question.toml`."""
    path = folder / "question.toml"
    design = design_of(read_spec(path), folder, str(path))
    runner = Runner(design, Store(folder / out), **{"jobs": 1, **options})
    found = runner.run()
    return found, runner.made


def change(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_runs_are_those_of_simulate(folder):
    found, made = run(folder)
    assert made == 6
    loaded = load_scenario(folder / "tiny.toml").seeded(2)
    alone = simulate(loaded, next(loaded.scenario.runs()))
    row = found.frame.query("strategy == 'binpack' and seed == 2")
    assert row["instances_busy_mean"].item() == alone.metrics["instances_busy_mean"]


def test_what_is_known_is_not_run_again(folder):
    first, _ = run(folder)
    again, made = run(folder)
    assert made == 0
    assert again.frame.equals(first.frame)
    assert read_experiment(folder / "out").frame.equals(first.frame)


CHANGES = {
    "a name for people": ("tiny.toml", 'name = "tiny"', 'name = "other"', 0),
    "the question": ("question.toml", "cost anything", "cost much", 0),
    "other metrics": ("question.toml", '"started"]', '"started", "dollars"]', 0),
    "one strategy": ("tiny.toml", '"spread:instanceId"', '"random"', 3),
    "the fleet": ("tiny.toml", "count = 4", "count = 5", 6),
    "more seeds": ("question.toml", "seeds = 3", "seeds = 5", 4),
    "a warm-up": ("question.toml", "seeds = 3", 'seeds = 3\nwarm_up = "1m"', 6),
    "a new axis value": (
        *("question.toml", '"started"]', '"started"]\n[axes]\n"fleet[0].count" = [4, 8]'),
        6,
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_run_and_nothing_else(folder, what):
    run(folder)
    *edit, expected = CHANGES[what]
    change(folder, *edit)
    if what == "other metrics":
        change(folder, "question.toml", "instances_busy_mean", "instances_mean")
        change(folder, "question.toml", '"started", "dollars"', '"lost", "dollars"')
    _, made = run(folder)
    assert made == expected


def test_a_strategys_source_is_part_of_its_runs(folder):
    source = "class Mine:\n    def keys(self, task, cluster, candidates, rng):\n        return {}\n"
    (folder / "mine.py").write_text(source.format("candidates"))
    change(folder, "tiny.toml", '"spread:instanceId"', '"mine.py:Mine"')
    run(folder)
    (folder / "mine.py").write_text(source.format("-candidates"))
    _, made = run(folder)
    assert made == 3


def test_a_traces_content_is_part_of_its_runs(folder):
    trace = "at,run\n0,10\n5,20\n"
    (folder / "jobs.csv").write_text(trace)
    path = folder / "tiny.toml"
    head, tail = path.read_text().split('kind = "poisson"')
    strategies = tail[tail.index("[strategies]") :]
    path.write_text(f'{head}kind = "table"\nfile = "jobs.csv"\n{strategies}')
    run(folder)
    assert run(folder)[1] == 0
    (folder / "jobs.csv").write_text(trace + "7,20\n")
    assert run(folder)[1] == 6


def test_a_broken_file_is_made_again(folder):
    first, _ = run(folder)
    path = sorted((folder / "out" / "runs").glob("[!.]*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(SpecError, match="makes it again"):
        read_experiment(folder / "out")
    again, made = run(folder)
    assert made == 1
    assert again.frame.equals(first.frame)


def test_a_table_that_was_not_kept_is_made(folder):
    run(folder)
    change(folder, "question.toml", "seeds = 3", 'seeds = 3\nkeep = ["timeline"]')
    found, made = run(folder)
    assert made == 6
    name = found.cells[0].names[1]
    assert len(Store(folder / "out").table(name, "timeline")) > 10


@pytest.mark.long
def test_processes_give_the_same_files(folder):
    run(folder)
    run(folder, "beside", jobs=2)
    files = [sorted((folder / out / "runs").glob("[!.]*.parquet")) for out in ("out", "beside")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    digests = [[hashlib.md5(f.read_bytes()).hexdigest() for f in each] for each in files]
    assert digests[0] == digests[1]


def test_a_run_that_fails_says_which_and_loses_none(folder):
    (folder / "mine.py").write_text(
        "class Mine:\n    def keys(self, task, cluster, candidates, rng):\n        return 1 / 0\n"
    )
    change(folder, "tiny.toml", '"spread:instanceId"', '"mine.py:Mine"')
    with pytest.raises(PlacementError, match=r"spread__shared__none, seed 1: .*mine\.py:3"):
        run(folder)
    assert len(list((folder / "out" / "runs").glob("[!.]*.parquet"))) == 1
    change(folder, "mine.py", "1 / 0", "candidates")
    assert run(folder)[1] == 5


def test_foreign_folders_are_left_alone(folder):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.doc").write_text("mine")
    with pytest.raises(SpecError, match="no experiment"):
        run(folder)
    with pytest.raises(SpecError, match="no experiment"):
        read_experiment(folder / "out")
    assert [path.name for path in (folder / "out").iterdir()] == ["thesis.doc"]


def test_one_process_at_a_time_writes(folder):
    with Store(folder / "out").writing(), pytest.raises(SpecError, match="another experiment"):
        run(folder)


def hears_ctrl_c():
    """A shell has what it runs in the background not hear of Ctrl-C; this process is to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


COMMAND = (sys.executable, "-m", "stowplan", "experiment", "run", "question.toml", "--out", "out")


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGKILL]
)
def test_an_experiment_that_is_cut_goes_on(folder, sent):
    change(folder, "question.toml", "seeds = 3", "seeds = 40")
    process = subprocess.Popen(
        [*COMMAND, "--jobs", "1" if sent == signal.SIGKILL else "2"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hears_ctrl_c,
    )
    runs = folder / "out" / "runs"
    deadline = time.monotonic() + 120
    while len(list(runs.glob("[!.]*.parquet"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    if sent == signal.SIGKILL:
        os.killpg(process.pid, sent)
    else:
        process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    kept = len(list(runs.glob("[!.]*.parquet")))
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert "goes on" in said
    assert 3 <= kept < 80
    _, made = run(folder)
    assert made == 80 - kept


# --- how many runs, and of what time --------------------------------------------------------------


def test_runs_until_the_interval_is_narrow(folder):
    change(folder, "question.toml", "seeds = 3", "seeds = 4\nseeds_max = 60")
    with (folder / "question.toml").open("a") as file:
        file.write('[precision]\ninstances_busy_mean = "4 %"\n')
    found, _ = run(folder)
    assert found.pilot == 4
    apart = found.cells[1].values("instances_busy_mean") - found.cells[0].values(
        "instances_busy_mean"
    )
    assert 4 < apart.size <= 60
    width = 0.04 * abs(found.cells[0].values("instances_busy_mean")[:4].mean())
    assert mean_interval(apart, first=4).half_width <= width * 1.001 or apart.size == 60
    assert run(folder)[1] == 0


def test_a_warm_up_that_is_said(folder):
    whole, _ = run(folder)
    change(folder, "question.toml", "seeds = 3", 'seeds = 3\nwarm_up = "1m"')
    part, _ = run(folder)
    assert part.cut_ms == 60_000
    assert (part.frame["started"] < whole.frame["started"]).all()
    # It begins with nothing that runs, so that the mean without the beginning is higher.
    assert part.frame["instances_busy_mean"].mean() > whole.frame["instances_busy_mean"].mean()


def test_a_warm_up_that_is_found(folder):
    change(folder, "tiny.toml", 'duration = "4m"', 'duration = "40m"')
    change(folder, "tiny.toml", 'until = "4m"', 'until = "40m"')
    change(folder, "question.toml", "seeds = 3", 'seeds = 2\nwarm_up = "mser-5"')
    found, made = run(folder)
    assert made == 2 * 2 + 2 * 5
    assert 20_000 <= found.cut_ms <= 20 * 60_000
    assert np.isfinite(found.frame["instances_busy_mean"]).all()
