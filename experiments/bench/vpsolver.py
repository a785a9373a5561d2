"""VPSolver with CBC as a peer: the arc-flow model that others use for vector packing.

Source: Brandao & Pedroso (2016), Bin packing and related problems: general arc-flow formulation
with graph compression, Computers & OR 69:56-67. Measured where `pip install --no-deps pyvpsolver`
(one of its dependencies no longer builds, and none is needed here) and `pip install cbcbox`, or any
other `cbc`, have put their programs beside ours or on the PATH.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stowplan.placement.packing.problem import PackingProblem

SCRIPT = "vpsolver_coinor.sh"
WALL = 5  # times the limit of processor time, after which a run is given up


@dataclass(frozen=True, slots=True)
class VpsolverResult:
    """The optimum, and the processor time of all its programs."""

    bins: int
    seconds: float


def lacking() -> str:
    """Why VPSolver cannot be measured; empty where it can."""
    for program, package in ((SCRIPT, "pyvpsolver"), ("cbc", "cbc (pip: cbcbox)")):
        if shutil.which(program, path=_path()) is None:
            return f"{package} is not installed"
    return ""


def start_up_seconds() -> float:
    """What a run takes that has nothing to do: three starts of Python, one of CBC."""
    one = PackingProblem(np.array([[1]]), np.array([1]), np.array([1]))
    runs = [solve(one, 60) for _ in range(3)]
    return min(run.seconds for run in runs if run is not None)


def solve(problem: PackingProblem, seconds: float) -> VpsolverResult | None:
    """The optimum proven within `seconds` of processor time, or None."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instance.vbp"
        file.write_text(as_vbp(problem))
        before = _children_seconds()
        process = subprocess.Popen(
            [str(shutil.which(SCRIPT, path=_path())), "--vbp", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PATH": _path(), "TMPDIR": folder},
            start_new_session=True,
            preexec_fn=partial(_limit, int(seconds) + 1),
        )
        try:
            said, _ = process.communicate(timeout=WALL * seconds + 10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        taken = _children_seconds() - before
    found = re.search(r"^Objective: (\d+)", said, re.MULTILINE)
    if found is None or "Optimal solution found" not in said or taken > seconds:
        return None
    return VpsolverResult(int(found[1]), taken)


def as_vbp(problem: PackingProblem) -> str:
    """VPSolver's format, equal kinds merged, as it asks for."""
    kinds, inverse = np.unique(problem.demand, axis=0, return_inverse=True)
    counts = np.zeros(len(kinds), dtype=np.int64)
    np.add.at(counts, inverse.reshape(-1), problem.counts)
    rows = [[len(problem.capacity)], problem.capacity.tolist(), [len(kinds)]]
    rows += [[*kind, n] for kind, n in zip(kinds.tolist(), counts.tolist(), strict=True)]
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def _path() -> str:
    """Programs of this environment first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


def _limit(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
