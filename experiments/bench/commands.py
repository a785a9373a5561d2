"""Rows of `bench optimal` for the whole command on small packing files, Python's start included."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from stowplan.experiments.bench import vpsolver
from stowplan.experiments.bench.rows import Row, at_most
from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.packing_file import read_problem

ITEMS = (25, 100)
FILES_MOST = 20
SECONDS_MOST = 0.5
PATTERNS = ("falk_u/*.txt", "falk_t/*.txt", "scholl1/*.txt", "scholl2/*.txt", "ct/*.vbp")


def small_files() -> list[Path]:
    """Shipped samples of 25 to 100 items, of mixed sets in turn."""
    sets = [sorted((DATA / "packing").glob(pattern)) for pattern in PATTERNS]
    sets = [[file for file in files if _is_small(file)] for files in sets]
    longest = max(map(len, sets), default=0)
    mixed = [files[at] for at in range(longest) for files in sets if at < len(files)]
    return mixed[:FILES_MOST]


def _is_small(file: Path) -> bool:
    least, most = ITEMS
    return least <= int(read_problem(file).counts.sum()) <= most


def command_seconds(file: Path, repeats: int) -> tuple[float, int]:
    """Processor seconds of the fastest of several commands, and the bins that it found."""
    best, words = float("inf"), [sys.executable, "-m", "stowplan", "optimize", "--json"]
    for _ in range(repeats):
        before = _children_seconds()
        done = subprocess.run([*words, "--bpp", str(file)], capture_output=True, check=True)
        best = min(best, _children_seconds() - before)
    answer = json.loads(done.stdout)
    assert answer["status"] == "optimal", f"{file}: {answer['status']}"
    return best, int(answer["bins"])


def command_rows(
    repeats: int = 3, peers: bool = True, most: int = FILES_MOST
) -> Iterator[Row | str]:
    """The slowest of the files, and how many of them VPSolver is quicker at."""
    lacking = "VPSolver is left out" if not peers else vpsolver.lacking()
    taken, slower = [], []
    files = small_files()[:most]
    for file in files:
        yield f"whole command: {file.stem} ..."
        seconds, bins = command_seconds(file, repeats)
        taken.append(seconds)
        if lacking:
            continue
        theirs = vpsolver.solve(read_problem(file), 60)
        assert theirs is None or theirs.bins == bins, f"{file.stem}: VPSolver differs"
        if theirs is not None and theirs.seconds < seconds:
            slower.append(f"{file.stem} {seconds:.2f} of {theirs.seconds:.2f} s")
    middle = sorted(taken)[len(taken) // 2]
    case = f"optimize --bpp, whole command, {len(files)} files of 25 to 100 items: slowest"
    yield at_most(case, max(taken), "s", SECONDS_MOST, f"median {middle:.2f} s")
    case = "the same: slower than VPSolver with CBC"
    if lacking:
        yield Row(case, None, f"of {len(files)}", None, True, lacking)
    else:
        yield at_most(case, len(slower), f"of {len(files)}", 0, "; ".join(slower))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
