"""The README's examples run as they stand."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def output_of(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return out.getvalue()


def test_the_python_examples_run_and_print_what_they_say():
    placing, packing = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    placed = output_of(placing)
    assert "RESOURCE:CPU" in placed
    assert placed.count("-1") == 6
    assert output_of(packing).strip() == packing.strip().split("  # ")[-1]


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
