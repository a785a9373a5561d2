"""The README's examples run as they stand."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main
from stowplan.placement.strategies import STRATEGIES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def output_of(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return out.getvalue()


def test_the_python_examples_run_and_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    placing, own = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    assert len(placing.strip().splitlines()) <= 12  # ten lines, and their two imports
    placed = output_of(placing)
    for strategy in ("default", "binpack:memory", "random"):
        assert strategy in placed
    assert (tmp_path / "utilisation.png").stat().st_size > 10_000
    try:
        said = output_of(own)
    finally:
        STRATEGIES.pop("emptiest", None)
    assert "rounds replay to the same commands, 0 violations" in said
    assert "instances: 1 instance, at least 1 instance" in said
    assert "optimal: 4 bins, at least 4 needed" in said
    assert (tmp_path / "run.html").is_file()


def test_the_tour_is_five_commands_that_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tour,) = re.findall(r"```\n(stowplan create-cluster.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0] for line in tour.splitlines()]

    for line in lines:
        words = shlex.split(line.replace("experiments/scenarios", f"{ROOT}/experiments/scenarios"))
        assert main(words[1:]) == 0, line

    assert len(lines) == 5
    assert (tmp_path / "out" / "tour" / "report.html").is_file()


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_two_commands_that_set_everything_up_are_there(command):
    target = command.split()[1]
    assert command in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
