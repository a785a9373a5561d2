"""The README's examples run as they stand."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from experiments.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_and_shows_what_fits_and_what_does_not():
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    out = io.StringIO()

    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})

    assert "RESOURCE:CPU" in out.getvalue()
    assert out.getvalue().count("-1") == 6


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
