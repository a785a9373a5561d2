"""The same scenario and seed: the same bytes, in any process, and the same commands in a replay."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import read_journal, replay
from stowplan.placement.scheduler.scheduler import Scheduler

SMALL = SCENARIOS / "small.toml"
RUNS = [run.id for run in load_scenario(SMALL).scenario.runs()]
ELSEWHERE = """
import hashlib, sys
from pathlib import Path
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import simulate

scenario, folder = Path(sys.argv[1]), Path(sys.argv[2])
loaded = load_scenario(scenario)
for run in loaded.scenario.runs():
    simulate(loaded, run, folder / run.id)
    print(run.id, hashlib.sha256((folder / run.id).read_bytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load_scenario(SMALL)


@pytest.fixture(scope="module")
def journals(loaded, tmp_path_factory) -> dict[str, Path]:
    """The journal of every run, by id."""
    folder = tmp_path_factory.mktemp("journals")
    for run in loaded.scenario.runs():
        simulate(loaded, run, folder / run.id)
    return {run.id: folder / run.id for run in loaded.scenario.runs()}


def elsewhere(folder: Path, hash_seed: str) -> dict[str, str]:
    """The digests of all journals, written by another process."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(SMALL), str(folder)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return dict(line.split() for line in done.stdout.splitlines())


def test_the_same_run_twice_gives_the_same_bytes(loaded, journals, tmp_path):
    run = next(iter(loaded.scenario.runs()))
    simulate(loaded, run, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == journals[run.id].read_bytes()


def test_processes_with_other_hash_seeds_give_the_same_bytes(journals, tmp_path):
    here = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in journals.items()}
    assert elsewhere(tmp_path / "one", "1") == here
    assert elsewhere(tmp_path / "two", "4242") == here


def test_runs_differ_by_strategy_and_by_faults(journals):
    assert len({path.read_bytes() for path in journals.values()}) == len(RUNS)


def test_another_seed_gives_another_journal(loaded, journals, tmp_path):
    scenario = loaded.scenario.model_copy(update={"seed": 8})
    run = next(iter(scenario.runs()))
    simulate(Loaded(scenario, SMALL, {}), run, tmp_path / "other")
    assert (tmp_path / "other").read_bytes() != journals[run.id].read_bytes()


@pytest.mark.parametrize("name", RUNS)
def test_a_journal_replays_through_a_fresh_scheduler_to_the_same_commands(journals, name):
    with gzip.open(journals[name]) as lines:
        header, rounds = read_journal(lines, name)
        assert replay(Scheduler(header.config), rounds) > 1_000


@pytest.mark.parametrize("name", RUNS)
def test_the_checkers_find_nothing_wrong_with_a_journal(journals, name):
    with gzip.open(journals[name]) as lines:
        assert [str(v) for v in check_rounds(read_journal(lines, name)[1])] == []
