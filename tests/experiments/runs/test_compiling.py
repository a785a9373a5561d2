"""The first call says that it compiles; one that finds everything compiled does not."""

from __future__ import annotations

import subprocess
import sys

from stowplan.experiments.runs.compiling import SENTENCE

CODE = """
from numba import njit
from stowplan.experiments.runs.compiling import say_when_compiling

say_when_compiling()
from made import double, treble

print(double(2), treble(2))
"""
MADE = """
from numba import njit


@njit(cache=True)
def double(x):
    return 2 * x


@njit(cache=True)
def treble(x):
    return 3 * x
"""


def test_it_is_said_once_and_not_when_the_cache_is_warm(tmp_path):
    (tmp_path / "made.py").write_text(MADE)
    (tmp_path / "main.py").write_text(CODE)
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout == "4 6\n"
        said.append(done.stderr)
    assert said == [SENTENCE + "\n", ""]
