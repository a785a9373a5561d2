"""The command line as its user meets it: exit codes, one clear error, nothing half-written."""

import argparse
import gzip
import importlib
import io
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from stowplan.experiments.cli.main import COMMANDS, main
from stowplan.experiments.report.progress_lines import with_progress
from stowplan.experiments.studies import compare_strategies
from stowplan.placement import messages as m

ROOT = Path(__file__).parents[3]
SMALL = ROOT / "experiments" / "scenarios" / "small.toml"
MINE = """\
import numpy as np

class Mine:
    def keys(self, task, cluster, candidates, rng):
        return np.abs(cluster.remaining[candidates, 0] - cluster.demand(task)[0])
"""


def stowplan(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "stowplan", *words], capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture(scope="module")
def small_out(tmp_path_factory):
    """The small scenario, with a strategy of the user's own beside its three."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "mine.py").write_text(MINE)
    out = folder / "out"
    code = main(["simulate", str(SMALL), "--out", str(out), "--strategy", _mine(folder)])
    assert code == 0
    return out


def _mine(folder: Path) -> str:
    return f"mine={folder / 'mine.py'}:Mine"


def test_a_simulation_leaves_report_results_and_journals(small_out):
    runs = pd.read_parquet(small_out / "results.parquet")
    journals = sorted(path.name for path in (small_out / "journals").iterdir())

    assert len(runs) == 8
    assert len(journals) == 8
    assert "ecs-default__shared__none.jsonl.gz" in journals
    assert (small_out / "report.html").stat().st_size > 10_000


def test_a_strategy_of_the_users_own_stands_in_table_report_and_journal(small_out):
    runs = pd.read_parquet(small_out / "results.parquet").set_index(["strategy", "faults"])
    report = (small_out / "report.html").read_text()

    assert runs.loc[("mine", "none"), "started"] == 935
    assert ">mine<" in report
    with gzip.open(small_out / "journals" / "mine__shared__none.jsonl.gz") as stream:
        assert b"mine.py:Mine" in stream.readline()


def test_every_journal_of_a_simulation_verifies(small_out, capsys):
    journals = sorted(str(path) for path in (small_out / "journals").iterdir())

    assert main(["verify", *journals]) == 0
    assert capsys.readouterr().out.count(", 0 violations") == 8


def test_results_that_are_not_what_the_journal_comes_to_do_not_verify(small_out, tmp_path, capsys):
    name = "binpack__shared__none.jsonl.gz"
    (tmp_path / "journals").mkdir()
    copy = tmp_path / "journals" / name
    copy.write_bytes((small_out / "journals" / name).read_bytes())
    runs = pd.read_parquet(small_out / "results.parquet")
    runs.to_parquet(tmp_path / "results.parquet")
    assert main(["verify", str(copy)]) == 0
    assert "are what the journal comes to" in capsys.readouterr().out

    runs["dollars_busy"] += 0.01
    runs.to_parquet(tmp_path / "results.parquet")
    assert main(["verify", str(copy)]) == 1
    assert "dollars_busy is " in capsys.readouterr().err


def test_a_long_verification_says_now_and_then_how_far_it_is():
    said = io.StringIO()
    rounds = [m.Round(n * 10_000, (), ()) for n in range(600)]
    assert list(with_progress(rounds, "a.jsonl.gz", lambda: 3, said, every_s=0)) == rounds
    first, second = said.getvalue().splitlines()
    assert first == "a.jsonl.gz: 256 rounds, up to 0:42:30 of the run, 3 violations so far"
    assert "512 rounds, up to 1:25:10" in second


def test_a_journal_that_was_tampered_with_does_not_verify(small_out, tmp_path, capsys):
    source = small_out / "journals" / "binpack__shared__none.jsonl.gz"
    lines = gzip.decompress(source.read_bytes()).splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"instances":[' in line)
    lines[at] = lines[at].replace(b'"instances":[', b'"instances":[11,', 1)
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(b"".join(lines)))

    assert main(["verify", str(tmp_path / "bad.jsonl.gz")]) == 1
    assert "replays differently" in capsys.readouterr().err


def test_help_answers_at_once():
    stowplan("--help")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = stowplan("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    # Of the processor: what else runs on the machine is not our doing.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert answer.returncode == 0
    assert all(name in answer.stdout for name in COMMANDS)


def arguments_of(parser, name):
    """(command, argument, its help) of a parser and of its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action._choices_actions:
                yield name, each.dest, each.help
            for sub, inner in action.choices.items():
                yield from arguments_of(inner, f"{name} {sub}")
        else:
            yield name, action.option_strings or action.dest, action.help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_has_help(name):
    module, function, _ = COMMANDS[name]
    parser = argparse.ArgumentParser(name)
    getattr(importlib.import_module(module), function)(parser)
    assert [found[:2] for found in arguments_of(parser, name) if not found[2]] == []


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"stowplan {version}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([name, "--help"])

    assert exit_.value.code == 0
    assert "usage: stowplan" in capsys.readouterr().out


def _folder_of_mistakes(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "broken.toml").write_text("name = ")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.txt").write_text("years of work")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"config"')[:12])


MISTAKES = {
    "no such scenario": "simulate none.toml --out out",
    "broken toml": "simulate broken.toml --out out",
    "scenario is a folder": "check .",
    "output below a file": "simulate SMALL --out file/out",
    "output is a file": "simulate SMALL --out file",
    "output is foreign": "simulate SMALL --out foreign",
    "strategy without a name": "simulate SMALL --out out --strategy binpack",
    "unknown strategy": "simulate SMALL --out out --strategy x=bestest:cpu",
    "strategy file missing": "simulate SMALL --out out --strategy x=no.py:X",
    "no process": "simulate SMALL --out new/out --jobs 0",
    "fewer processes than none": "simulate SMALL --out new/out --jobs -1",
    "no run matches": "simulate SMALL --out out --only nothing",
    "no such journal": "verify none.gz",
    "journal is cut": "verify cut.jsonl.gz",
    "journal is no gzip": "verify broken.toml",
    "cluster exists": "create-cluster SMALL",
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_users_mistake_ends_in_one_error_and_exit_code_2(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _folder_of_mistakes(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    assert main(words.replace("SMALL", str(SMALL)).split()) == 2

    error = capsys.readouterr().err
    assert error.startswith("stowplan: ")
    assert "Traceback" not in error
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"


def test_a_failure_in_the_middle_leaves_the_old_result_as_it_was(small_out, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.parquet").write_text("an earlier result")
    (tmp_path / "bad.py").write_text(
        "class Bad:\n    def keys(self, *a):\n        raise RuntimeError('mine is broken')\n"
    )

    code = main(
        [
            "simulate",
            str(SMALL),
            "--out",
            str(out),
            "--only",
            "bad__shared__none",
            "--strategy",
            f"bad={tmp_path / 'bad.py'}:Bad",
        ]
    )

    assert code == 2
    assert "mine is broken" in capsys.readouterr().err
    assert (out / "results.parquet").read_text() == "an earlier result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.py", "out"]


def test_a_comparison_without_its_baseline_says_so_before_it_simulates(monkeypatch, capsys):
    scenario = SMALL.with_name("image_pull.toml")
    monkeypatch.setattr(sys, "argv", ["compare_strategies", str(scenario)])
    monkeypatch.setattr(compare_strategies, "run_all", None)

    with pytest.raises(SystemExit) as exit_:
        compare_strategies.main()

    assert exit_.value.code == 2
    said = "strategies: needs one called ecs-default, to compare with; there are piled-up, spread\n"
    assert capsys.readouterr().err == f"compare_strategies: {scenario}: {said}"


@pytest.mark.parametrize("command", ["verify", "replay", "regret"])
def test_what_is_no_journal_is_called_that(command, capsys):
    assert main([command, str(SMALL)]) == 2
    said = f"stowplan: {SMALL}: not a journal of stowplan (Not a gzipped file (b'# '))\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("command", ["verify none.gz", "replay none.gz", "compare none.gz b.gz"])
def test_a_journal_that_is_not_there_is_one_plain_line(command, capsys):
    assert main(command.split()) == 2
    assert capsys.readouterr().err == "stowplan: none.gz: no such file\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("soak --seeds 0", "argument --seeds: expected a number above 0, found '0'"),
        ("soak --seeds -1", "argument --seeds: expected"),
        ("optimize x.toml --time-limit -3", "argument --time-limit: expected a number from 0 to"),
        ("optimize x.toml --time-limit nan", "argument --time-limit: expected a number from 0 to"),
        ("bench optimal --time-limit -3", "argument --time-limit: expected a number from 0 to"),
    ],
)
def test_a_number_out_of_range_is_an_error_of_its_argument(command, said, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(command.split())

    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["small", "small.toml", "experiments/scenarios/small.toml"])
def test_a_scenario_that_ships_is_known_by_its_name_anywhere(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 0
    assert f"{name}: 12 instances" in capsys.readouterr().out
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("own = true")  # what is here comes first
    assert main(["check", name]) == 2


def test_a_name_that_nothing_here_has_brings_those_that_ship(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "smal"]) == 2
    assert "smal: no such file; did you mean small, which ships?" in capsys.readouterr().err
    assert main(["check", "qqqq"]) == 2
    assert "capacity/oscillation" in capsys.readouterr().err
