"""Processes are begun only where several are asked for, and a script that lacks a guard is told."""

import subprocess
import sys
import textwrap

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.runs.processes import UNGUARDED

NEVER = """
    import multiprocessing.process

    def begun(self):
        raise AssertionError("a process was begun")

    multiprocessing.process.BaseProcess.start = begun
"""
FACE = """
    import stowplan as sp

    print(len(sp.simulate(sp.load("small"), seeds=[1, 2], journal=False, jobs={jobs})))
"""
COMMAND = """
    from stowplan.experiments.cli.main import main

    print(main(["simulate", {small!r}, "--out", "out", "--jobs", "{jobs}", "--ties", "set"]))
"""


def ran(code, folder, jobs, guarded=False):
    lines = textwrap.dedent(code).format(jobs=jobs, small=str(SCENARIOS / "small.toml"))
    if guarded:
        lines = 'if __name__ == "__main__":\n' + textwrap.indent(lines, "    ")
    (folder / "script.py").write_text(lines)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=240
    )


@pytest.mark.parametrize("code", [FACE, COMMAND], ids=["face", "command"])
def test_with_one_job_a_script_needs_no_guard_and_begins_no_process(code, tmp_path):
    run = ran(NEVER + code, tmp_path, jobs=1)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] in ("2", "0")


@pytest.mark.parametrize("code", [FACE, COMMAND], ids=["face", "command"])
def test_with_several_an_unguarded_script_is_told_before_any_begins(code, tmp_path):
    run = ran(NEVER + code, tmp_path, jobs=2)
    assert UNGUARDED in run.stderr
    assert run.stderr.count("script.py:") <= 2  # a traceback's and ours, of one process
    assert not (tmp_path / "out").exists()


def test_a_guarded_script_gets_its_processes(tmp_path):
    run = ran(FACE, tmp_path, jobs=2, guarded=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "2\n"
