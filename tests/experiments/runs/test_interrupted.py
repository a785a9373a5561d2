"""Ctrl-C ends runs where they are, and what was done so far is written."""

import gzip
import os
import signal
import subprocess
import sys
import time

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.results import load_results
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.journal import read_journal

SMALL = SCENARIOS / "small.toml"
LONG = """
name = "long"
duration = "900d"
[task_definitions]
app = {{ family = "app", containerDefinitions = [{{ name = "a", image = "a", memory = 64 }}] }}
[[fleet]]
name = "f"
instance_type = "m5.large"
count = 2
zones = ["a"]
[[workload]]
name = "w"
task_definition = "app"
kind = "poisson"
until = "900d"
options = {{ rate_per_s = 0.5, run = {{ mean = "9s" }} }}
[strategies]
{strategies}
"""


def test_a_run_that_is_stopped_keeps_what_it_did(tmp_path):
    loaded = load_scenario(SMALL)
    run, asked = next(loaded.scenario.runs()), iter(range(30))
    journal = tmp_path / "journal.jsonl"
    result = simulate(loaded, run, journal, stopped=lambda: next(asked, None) is None)
    whole = simulate(loaded, run)
    assert 0 < result.metrics["simulated_s"] < whole.metrics["simulated_s"]
    assert whole.metrics["simulated_s"] * 1000 == loaded.scenario.duration
    assert (result.whole, whole.whole) == (False, True)
    assert result.samples == whole.samples[: len(result.samples)]
    _, rounds = read_journal(gzip.decompress(journal.read_bytes()).splitlines())
    assert len(list(rounds)) == 30


def test_after_ctrl_c_the_folder_holds_what_was_done(tmp_path):
    names = [f"s{number}" for number in range(5)]
    text = LONG.format(strategies="\n".join(f'{name} = "random"' for name in names))
    (tmp_path / "long.toml").write_text(text)
    command = [sys.executable, "-m", "stowplan", "simulate", "long.toml", "--out", "out"]
    process = subprocess.Popen(
        [*command, "--jobs", "2"],
        cwd=tmp_path,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        while len(list(tmp_path.glob(".out-*/journals/*"))) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "3 runs never began; cut short: s0__shared__none, s1__shared__none" in output
    results = load_results(tmp_path / "out").results
    assert results["strategy"].tolist() == ["s0", "s1"]
    assert (results["simulated_s"] < 900 * 86_400).all()
    report = (tmp_path / "out" / "report.html").read_text()
    assert "they stopped at different times: nothing is compared" in report
