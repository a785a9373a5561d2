"""`make test-mutants`: plants faults, one at a time, and counts those that the fast tests catch.

Each is planted in a scratch copy: a tree of links to the sources in which one file is another. Its
tests run with a time limit; a fault that they do not end with is caught, too.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.mutants.known import KNOWN
from tests.mutants.mutator import faults_of

ROOT = Path(__file__).parents[2]
FLOORS = ("placement", "sim", "realdriver", "experiments")
# Where faults are planted, and the fast tests that are to catch them, the nearest first.
RECORD = ("tests/experiments/record",)
SCHEDULER = ("tests/placement/scheduler", "tests/placement/audit")
ROOMS = {
    "placement/scheduler/capacity": ("tests/placement/scheduler/capacity", *SCHEDULER),
    "placement/scheduler/services": ("tests/placement/scheduler/services", *SCHEDULER),
    "placement/scheduler": SCHEDULER,
    "experiments/record": RECORD,
    "sim": ("tests/sim",),
}
# What compares with formulas over many draws takes longer than all the rest of its room.
SLOW = ("tests/sim/test_mmc.py", "tests/sim/test_closed_forms.py")
PASSED, FAILED = 0, 1  # of pytest; whatever else it says, the fault broke the tests: caught


class Planted(NamedTuple):
    """A fault, said in a line, and the text of the file that has it."""

    says: str
    path: str
    text: str


def catchers_of(path: str) -> tuple[str, ...]:
    """The tests that are to catch a fault in a file, those of its own name first."""
    rooms = ROOMS[_room_of(path)]
    own = [f for room in rooms for f in sorted((ROOT / room).rglob(f"test_{Path(path).name}"))]
    named = [file.relative_to(ROOT).as_posix() for file in own]
    return tuple(dict.fromkeys([*(name for name in named if name not in SLOW), *rooms]))


def _room_of(path: str) -> str:
    return next(room for room in ROOMS if path.startswith(f"{room}/"))


def known() -> Iterator[Planted]:
    """The faults that are planted each time."""
    for each in KNOWN:
        text = (ROOT / each.path).read_text()
        assert text.count(each.before) == 1, f"{each.path}: {each.before!r} is not there once"
        line = text[: text.index(each.before)].count("\n") + 1
        says = f"{each.path}:{line}: {each.what}"
        yield Planted(says, each.path, text.replace(each.before, each.after))


def sample(count: int, seed: int, only: str = "") -> list[Planted]:
    """So many of all faults in files whose path has the text `only`.

    They are the same ones for the same seed and sources.
    """
    faults, texts = [], {}
    for path in (path for room in ROOMS for path in _paths(room) if only in path):
        texts[path] = (ROOT / path).read_text()
        faults += faults_of(path, texts[path])
    chosen = random.Random(seed).sample(faults, min(count, len(faults)))
    return [Planted(str(f), f.path, f.planted(texts[f.path])) for f in chosen]


def lay_out(folder: Path, planted: Planted | None) -> None:
    """The package `stowplan` as a tree of links, but for the file that has a fault."""
    package = folder / "stowplan"
    package.mkdir()
    for source in (ROOT / "experiments/face").iterdir():
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    for floor in FLOORS:
        (package / floor).symlink_to(ROOT / floor)
    if planted is None:
        return
    at = package
    for part in Path(planted.path).parts[:-1]:
        at, target = at / part, (at / part).resolve()
        at.unlink()
        at.mkdir()
        for source in target.iterdir():
            if source.name != "__pycache__":
                (at / source.name).symlink_to(source)
    file = at / Path(planted.path).name
    file.unlink()
    file.write_text(planted.text)


def run_tests(planted: Planted | None, tests: Sequence[str], limit_s: float) -> int | None:
    """What pytest says with a fault planted; None: it was not done in time."""
    with tempfile.TemporaryDirectory(prefix="stowplan-mutant-") as name:
        folder = Path(name)
        lay_out(folder, planted)
        slow = [f"--ignore={file}" for file in SLOW]
        options = [
            *slow,
            "-x",
            "-q",
            "-m",
            "not long",
            "-p",
            "no:cacheprovider",
            "--hypothesis-seed=0",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            return None


def limits(jobs: int, only: str) -> dict[str, float]:
    """By room, how long its tests may take: four times what they take on sound sources, and a bit.

    Only rooms in which a fault may be whose path has the text `only`.
    """
    rooms = [room for room in ROOMS if any(only in path for path in _paths(room))]
    found = {}

    def measured(room: str) -> tuple[int | None, float]:
        begin = time.monotonic()
        return run_tests(None, ROOMS[room], 1_200), time.monotonic() - begin

    with ThreadPoolExecutor(jobs) as pool:
        for room, (said, took_s) in zip(rooms, pool.map(measured, rooms), strict=True):
            if said != PASSED:
                sys.exit(f"without any fault, {' '.join(ROOMS[room])} fail: mend that first")
            print(f"{room}: its tests take {took_s:.0f} s without a fault", flush=True)
            found[room] = 4 * took_s + 20
    return found


def _paths(room: str) -> list[str]:
    """The files of which the faults are a room's."""
    files = (path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*.py"))
    return sorted(name for name in files if _room_of(name) == room)


def judged(limit_s: dict[str, float], until_s: float, planted: Planted) -> tuple[Planted, str]:
    """Whether a fault is caught, and how; `not tried` where the time was over before that."""
    usual_s, left_s = limit_s[_room_of(planted.path)], until_s - time.monotonic()
    if left_s <= 0:
        return planted, "not tried"
    said = run_tests(planted, catchers_of(planted.path), min(usual_s, left_s))
    if said is None:
        return planted, "out of time" if usual_s <= left_s else "not tried"
    return planted, {PASSED: "SURVIVED", FAILED: "caught"}.get(said, "broken")


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, test, print; 1 where the score is below the threshold."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=160, help="faults drawn (default: 160)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time (default: 2)")
    parser.add_argument("--minutes", type=float, default=45, help="no more than this (45)")
    parser.add_argument("--threshold", type=float, default=0, help="least score, per cent (0)")
    parser.add_argument("--only", default="", help="only faults in files whose path has this text")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    limit_s, until_s = limits(options.jobs, options.only), begin + 60 * options.minutes
    faults = [fault for fault in known() if options.only in fault.path]
    faults += sample(options.sample, options.seed, options.only)
    tried, survivors, late = 0, [], 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for fault, how in pool.map(partial(judged, limit_s, until_s), faults):
            late += how == "not tried"
            if how != "not tried":
                tried += 1
                print(f"[{tried}/{len(faults)}] {how}: {fault.says}", flush=True)
            if how == "SURVIVED":
                survivors.append(fault.says)
    caught = tried - len(survivors)
    score = 100 * caught / tried if tried else 0.0
    print(f"\nseed {options.seed}: {caught} of {tried} faults caught, {score:.1f} %")
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; {late} not tried for lack of time")
    print(*(["survivors:", *survivors] if survivors else ["no survivors"]), sep="\n  ")
    return 0 if score >= options.threshold else 1


if __name__ == "__main__":
    sys.exit(main())
