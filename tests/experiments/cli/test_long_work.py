"""Long work, seen from outside: it says how far it is, ends when it is told to, and loses nothing
on a full disk."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.output import output_folder
from stowplan.experiments.record.results import load_results
from stowplan.experiments.report.console import ProgressBars
from stowplan.experiments.report.progress_lines import ProgressLines, in_words
from stowplan.placement.errors import SpecError

TEXT = """
name = "caf\u00e9 \u00d7"
duration = "{duration}"
[[fleet]]
name = "f"
instance_type = "m5.large"
count = 4
zones = ["a", "b"]
[task_definitions.web]
family = "web"
containerDefinitions = [{{ name = "main", image = "web", cpu = 128, memory = 256 }}]
[[service]]
name = "web"
task_definition = "web"
desired_count = 4
[[workload]]
name = "jobs"
task_definition = "web"
kind = "poisson"
until = "{duration}"
options = {{ rate_per_s = {rate}, run = {{ mean = "30s" }} }}
"""


def scenario(folder: Path, duration="5m", rate=0.1) -> Path:
    path = folder / "s.toml"
    path.write_text(TEXT.format(duration=duration, rate=rate), encoding="utf-8")
    return path


def begin(*arguments, **more) -> subprocess.Popen:
    command = [sys.executable, "-m", "stowplan", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


# --- how far it is --------------------------------------------------------------------------------


def told(seconds_per_step: float, steps: int) -> list[tuple[float, str]]:
    """(second, line) of work of so many steps."""
    now, stream, lines = 0.0, io.StringIO(), []
    progress = ProgressLines("work", steps, stream, lambda: now)
    for step in range(1, steps + 1):
        now = step * seconds_per_step
        before = stream.tell()
        progress(step)
        if stream.tell() > before:
            lines.append((now, stream.getvalue()[before:].strip()))
    return lines


def test_short_work_says_nothing():
    assert told(0.04, 100) == []


def test_a_piped_line_comes_at_a_tenth_with_the_time_that_is_left():
    lines = told(3.0, 100)  # a tenth takes 30 s
    assert lines[0] == (30.0, "work: 10 %, about 4 min left")
    assert [at for at, _ in lines] == [30.0 * n for n in range(1, 10)]


def test_lines_are_ten_seconds_apart_where_work_is_quick_and_a_minute_where_it_is_slow():
    quick = [at for at, _ in told(0.2, 100)]
    assert quick == [10.0]
    slow = [at for at, _ in told(30.0, 100)][:5]
    assert slow == [60.0, 120.0, 180.0, 240.0, 300.0]


def test_times_in_words():
    assert [in_words(s) for s in (4, 89, 600, 7_500)] == ["4 s", "89 s", "10 min", "2 h 5 min"]


def test_runs_that_are_piped_say_how_many_are_done(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with ProgressBars(["a", "b"], 1000) as bars:
        bars._lines._clock = lambda: now[0]
        bars._lines._begin = bars._lines._last = 0.0
        now[0] = 20.0
        bars("a", -1)
    assert capsys.readouterr().err == "all runs: 50 %, 1 of 2 done, about 20 s left\n"


# --- an end ---------------------------------------------------------------------------------------


def test_sigterm_ends_the_workers_and_leaves_no_hidden_folder(tmp_path):
    slow = scenario(tmp_path, duration="60d", rate=20)
    run = begin("simulate", slow, "--out", tmp_path / "out", "--jobs", 1, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".out-*/journals/*")):
        assert time.monotonic() < deadline, "it never began"
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.1)
    os.kill(run.pid, signal.SIGTERM)
    _, said = run.communicate(timeout=30)
    assert run.returncode == 143
    assert said.endswith("stowplan: terminated; nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]
    deadline = time.monotonic() + 20
    while processes_of(run.pid):
        assert time.monotonic() < deadline, f"of its session are left: {processes_of(run.pid)}"
        time.sleep(0.1)


def processes_of(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, its = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


# --- one folder, one run --------------------------------------------------------------------------


def test_two_runs_into_one_folder_at_a_time_are_an_error(tmp_path, capsys):
    out = tmp_path / "out"
    with output_folder(out):
        assert main(["simulate", str(scenario(tmp_path)), "--out", str(out)]) == 2
        assert "another run writes into it now" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s.toml"]


def test_what_a_killed_run_left_is_removed_by_the_next_and_nothing_else(tmp_path):
    for name in (".out-abcdefgh", ".out-2-abcdefgh", ".out-mine"):
        (tmp_path / name).mkdir()
    with output_folder(tmp_path / "out"):
        pass
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".out-2-abcdefgh", ".out-mine", "out"]


# --- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_on_a_full_disk_the_results_are_kept_elsewhere_and_said(small_disk, tmp_path):
    (small_disk / "filler").write_bytes(bytes(100_000))
    spare = tmp_path / "spare"
    spare.mkdir()
    run = begin(
        *("simulate", scenario(tmp_path, duration="6h", rate=0.5), "--ties", "set"),
        *("--out", small_disk / "out"),
        env={**os.environ, "TMPDIR": str(spare)},
    )
    table, said = run.communicate(timeout=120)
    assert run.returncode == 2, said
    assert "Traceback" not in said
    assert "ecs-default" in table, "what was computed is shown"
    [kept] = spare.glob("stowplan-out-*")
    assert f"results and report are in {kept}" in said
    assert len(load_results(kept).results) == 1
    assert (kept / "report.html").is_file()
    assert not list(small_disk.glob(".*"))


# --- names, and signs -----------------------------------------------------------------------------


def test_errors_name_services_and_not_their_index_all_in_one_pass(tmp_path):
    path = scenario(tmp_path)
    text = path.read_text(encoding="utf-8")
    text += """
[[service]]
name = "api"
task_definition = "apii"
[[service]]
name = "cache"
task_definition = "web"
health_check_grace_period = "9s"
availability_zone_rebalancing = true
maximum_percent = 100
constraints = ["attribute:ecs.availability-zone == a"]
"""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as error:
        load_scenario(path)
    said = str(error.value)
    assert "service[" not in said
    assert f"{path}: service api.task_definition: " in said
    assert f"{path}: service cache.health_check_grace_period: " in said
    assert "ECS refuses it with a maximum_percent of 100" in said
    assert "ECS refuses it with a constraint on ecs.availability-zone" in said


@pytest.mark.long
def test_an_ascii_terminal_gets_no_traceback(tmp_path):
    out = tmp_path / "out"
    env = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    path = scenario(tmp_path)
    for command in (
        ("simulate", path, "--out", out),
        ("check", path),
        ("regret", out),
        ("optimize", path, "--goal", "placement"),
        ("verify", *[out / "journals" / "ecs-default__shared__none.jsonl.gz"]),
        ("optimize", path, "--goal", "nonsense"),
    ):
        run = begin(*command, env=env)
        found, said = run.communicate(timeout=120)
        assert "Traceback" not in said, (command, said)
        assert (found + said).isascii(), command
        assert run.returncode in (0, 2), (command, said)
