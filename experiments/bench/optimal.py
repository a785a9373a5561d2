"""`stowplan bench optimal`: how much the optimizer proves, how fast, on the field's benchmark sets.

Samples of the published sets, with known optima, are shipped, and more of the kind are made by the
published recipes; `--folder` measures whole sets that you have downloaded. All times are of the
processor, without the start-up of Python and the compiled code; an instance counts as proven when
bound and packing meet within the time limit.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stowplan.experiments.bench import vpsolver as bench_vpsolver
from stowplan.experiments.bench.commands import command_rows
from stowplan.experiments.bench.hours import KINDS as HOURS
from stowplan.experiments.bench.hours import hours_rows
from stowplan.experiments.bench.packing_recipes import (
    KINDS,
    nearly_full,
    one_dimensional,
    petersen_core,
)
from stowplan.experiments.bench.placements import placement_rows
from stowplan.experiments.bench.plans import fleet_rows, market_rows, repack_rows
from stowplan.experiments.bench.rows import Clock, Row, at_least, at_most, report
from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.arguments import amount
from stowplan.experiments.loading.packing_file import read_problem
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.over_time import least_over_time
from stowplan.placement.packing.colgen import generate
from stowplan.placement.packing.list_dive import dive_in_list
from stowplan.placement.packing.master import Master
from stowplan.placement.packing.pricing import Pricer
from stowplan.placement.packing.problem import Limits, PackingProblem, PackingResult, group_equal
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.packing.state import PackingState
from stowplan.placement.packing.subproblem import most_per_bin

SAMPLES = DATA / "packing"
QUICK_SECONDS, QUICK_INSTANCES = 5.0, 4
MADE = 5  # by each recipe; more than half an hour in all goes to those that stay open
SUFFIXES = (".txt", ".bpp", ".vbp")
LEAST = 1e-4  # seconds; below that a clock tells nothing
MEDIAN_SECONDS = 0.05  # bar for all one-dimensional instances together
TIMES_VPSOLVER = 20  # bar for the geometric mean


@dataclass(frozen=True, slots=True)
class ProblemInstance:
    """A problem with its known optimum, None where that is open."""

    name: str
    problem: PackingProblem
    optimum: int | None = None


@dataclass(frozen=True, slots=True)
class PackingSet:
    """A published set: its samples, how to make the like of it, and what must be proven.

    Args:
        samples: pattern of the shipped files below `data/packing`.
        recipes: names in `packing_recipes.KINDS`.
        instances: how many to make by each recipe.
        share: of the instances, to be proven optimal within the time limit.
        one_dimensional: counts towards the median of those sets.
    """

    samples: str
    recipes: tuple[str, ...]
    instances: int
    share: float = 1.0
    one_dimensional: bool = True


SETS = {
    "falkenauer_u": PackingSet("falk_u/*.txt", ("falkenauer_u",), 80),
    "falkenauer_t": PackingSet("falk_t/*.txt", ("falkenauer_t",), 80),
    "scholl1": PackingSet("scholl1/*.txt", ("scholl1",), 720),
    "scholl2": PackingSet("scholl2/*.txt", ("scholl2",), 480),
    "scholl3": PackingSet("scholl3/*.txt", ("scholl3",), 10),
    "schwerin": PackingSet("schwerin?/*.txt", ("schwerin",), 200),
    "waescher": PackingSet("waescher/*.txt", ("waescher_like",), 17),
    "hard28": PackingSet("hard28/*.txt", ("hard_like",), 28),
    "caprara_toth": PackingSet("ct/*.vbp", tuple(f"ct{c}" for c in range(1, 11)), 40, 0.99, False),
    "ai_201": PackingSet("ai/201_*.txt", ("ai_like",), 10, 0.8, False),
    "ani_201": PackingSet("ani/201_*.txt", ("ani_like",), 10, 0.8, False),
    "ai_402": PackingSet("ai/402_*.txt", ("ai_like_402",), 10, 0.5, False),
    "ani_402": PackingSet("ani/402_*.txt", ("ani_like_402",), 10, 0.5, False),
}

PLANS: dict[str, Callable[[Clock, float], Iterator[Row | str]]] = {
    "fleets": fleet_rows,
    "markets": market_rows,
    "repack": repack_rows,
    "placement": placement_rows,
    "hours": hours_rows,
}
COMMAND = "command"  # the whole command on small files
ALL = [*SETS, *PLANS, COMMAND]


@dataclass(frozen=True, slots=True)
class Outcome:
    """An instance and what became of it."""

    instance: ProblemInstance
    result: PackingResult

    @property
    def proven(self) -> bool:
        """Bound and packing met."""
        return self.result.status == "optimal"

    @property
    def wrong(self) -> bool:
        """The bound is above the known optimum, or the packing below it."""
        known, result = self.instance.optimum, self.result
        return known is not None and not result.lower_bound <= known <= (result.bins or known)


def samples(pattern: str, folder: Path = SAMPLES) -> Iterator[ProblemInstance]:
    """The instances of a folder that match, with the optima of its `known.csv` if it has one."""
    known = {}
    if (folder / "known.csv").exists():
        with (folder / "known.csv").open(newline="") as file:
            known = {row["name"]: row for row in csv.DictReader(file)}
    for path in sorted(path for path in folder.glob(pattern) if path.suffix in SUFFIXES):
        row = known.get(path.stem)
        settled = row and row["lower_bound"] and row["lower_bound"] == row["upper_bound"]
        optimum = int(row["upper_bound"]) if row and settled else None
        yield ProblemInstance(path.stem, read_problem(path), optimum)


def made(recipes: tuple[str, ...], instances: int) -> Iterator[ProblemInstance]:
    """Instances by recipe, through its sizes in turn; the same every time."""
    for recipe in recipes:
        make, sizes = KINDS[recipe]
        for seed in range(instances):
            n = sizes[seed % len(sizes)]
            problem = make(np.random.default_rng([seed, n]), n)
            yield ProblemInstance(f"{recipe} {n} items seed {seed}", problem)


class OptimalBench:
    """The benchmark: solves, makes rows, and remembers the outcomes for the rows over all sets.

    Args:
        seconds: limit for each instance.
        most: instances of a set by each recipe at most; None: as many as were published.
    """

    def __init__(self, clock: Clock, seconds: float, most: int | None, *, peers: bool) -> None:
        self.clock, self.seconds, self.most, self.peers = clock, seconds, most, peers
        self.outcomes: dict[str, list[Outcome]] = {}

    def rows(self, names: list[str]) -> Iterator[Row | str]:
        """Set by set, then all together, then against VPSolver, then plans."""
        shipped: list[Outcome] = []
        for name in (name for name in names if name in SETS):
            chosen = SETS[name]
            count = chosen.instances if self.most is None else min(self.most, chosen.instances)
            sample = yield from self.solve(name, samples(chosen.samples))
            shipped += sample
            yield from self.set_rows(f"{name}, samples", sample, chosen.share, "as published")
            recipes = yield from self.solve(f"{name}, made", made(chosen.recipes, count))
            like = any("_like" in recipe for recipe in chosen.recipes)
            how = "in the manner of the set" if like else "by the published recipe"
            against = f"made {how}, which is not shipped"
            yield from self.set_rows(f"{name}, made", recipes, chosen.share, against)
            self.outcomes[name] = sample + recipes
        yield from self.summary_rows(shipped)
        for name in (name for name in names if name in PLANS):
            yield f"{name} ..."
            yield from PLANS[name](self.clock, self.seconds)
        if COMMAND in names:
            yield from command_rows(peers=self.peers)

    def folder_rows(self, folder: Path) -> Iterator[Row | str]:
        """The sets that lie in a folder, as the shipped samples do; other files are one more."""
        solved: list[Outcome] = []
        for name, chosen in SETS.items():
            outcomes = yield from self.solve(name, samples(chosen.samples, folder))
            if outcomes:
                yield from self.set_rows(name, outcomes, chosen.share, "in the folder")
                self.outcomes[name] = outcomes
                solved += outcomes
        seen = {one.instance.name for one in solved}
        rest = (one for one in samples("**/*", folder) if one.name not in seen)
        others = yield from self.solve("others", rest)
        if others:
            yield from self.set_rows("others", others, 0, "in the folder")
            self.outcomes["others"] = others
        yield from self.summary_rows(solved + others)

    def summary_rows(self, solved: list[Outcome]) -> Iterator[Row | str]:
        """All sets together, and VPSolver on those `solved`."""
        if solved:
            yield from self.overall_rows()
            if self.peers:
                yield from self.vpsolver_rows(solved)

    def solve(
        self, name: str, instances: Iterable[ProblemInstance]
    ) -> Generator[str, None, list[Outcome]]:
        """Each within the limit; says which it is at, and returns the outcomes."""
        limits = Limits(self.seconds, clock=self.clock.now)
        outcomes = []
        for number, one in enumerate(instances, 1):
            yield f"{name}: {one.name}, number {number} ..."
            outcomes.append(Outcome(one, solve_packing(one.problem, limits)))
        return outcomes

    def set_rows(
        self, case: str, outcomes: list[Outcome], share: float, against: str
    ) -> Iterator[Row]:
        """Proven, median and longest time of one set; what stayed open is named."""
        total = len(outcomes)
        proven = sum(one.proven for one in outcomes)
        still_open = [
            f"{one.instance.name}: {one.result.lower_bound} to {one.result.bins}"
            for one in outcomes
            if not one.proven
        ]
        against = "; open: ".join([against, ", ".join(still_open)]) if still_open else against
        yield at_least(
            f"{case}: proven", proven, f"of {total}", math.ceil(share * total - 1e-9), against
        )
        seconds = [one.result.seconds for one in outcomes]
        yield Row(f"{case}: median", float(np.median(seconds)), "s", None, True, "")
        yield Row(f"{case}: longest", max(seconds), "s", None, True, "")

    def overall_rows(self) -> Iterator[Row]:
        """The median of the one-dimensional sets, and what must never happen."""
        classic = [
            one.result.seconds
            for name, outcomes in self.outcomes.items()
            if name in SETS and SETS[name].one_dimensional
            for one in outcomes
        ]
        if classic:
            case = f"one dimension, median of {len(classic)}"
            yield at_most(case, float(np.median(classic)), "s", MEDIAN_SECONDS)
        every = [one for outcomes in self.outcomes.values() for one in outcomes]
        known = sum(one.instance.optimum is not None for one in every)
        wrong = sum(one.wrong for one in every)
        yield at_most("bounds above, or packings below, a known optimum", wrong, f"of {known}", 0)
        far = sum((one.result.bins or 0) - one.result.lower_bound > 1 for one in every)
        yield at_most("packings more than one bin above the bound", far, f"of {len(every)}", 0)

    def vpsolver_rows(self, shipped: list[Outcome]) -> Iterator[Row | str]:
        """VPSolver with CBC on the same instances: how many it solves, and how much slower."""
        lacking = bench_vpsolver.lacking()
        case = "samples: times as fast as VPSolver with CBC, geometric mean"
        if lacking:
            yield Row(case, None, "x", None, True, lacking)
            return
        overhead = bench_vpsolver.start_up_seconds()
        theirs = []
        for number, one in enumerate(shipped, 1):
            yield f"VPSolver: {one.instance.name}, {number} of {len(shipped)} ..."
            theirs.append(bench_vpsolver.solve(one.instance.problem, self.seconds))
        both = []
        for one, other in zip(shipped, theirs, strict=True):
            if one.proven and other is not None:
                assert other.bins == one.result.bins, f"{one.instance.name}: VPSolver differs"
                both.append(max(other.seconds - overhead, LEAST) / max(one.result.seconds, LEAST))
        if both:
            ratio = math.exp(sum(map(math.log, both)) / len(both))
            against = f"{len(both)} instances that both solve, without start-up"
            yield at_least(case, ratio, "x", TIMES_VPSOLVER, against)
        solved = sum(other is not None for other in theirs)
        proven, total = sum(one.proven for one in shipped), f"of {len(shipped)}"
        yield at_least("samples: proven", proven, total, solved, f"VPSolver with CBC: {solved}")


def compile_kernels() -> None:
    """Compile, or load, what no figure should contain."""
    for recipe in ("hard_like", "ct9"):
        (one,) = made((recipe,), 1)
        solve_packing(one.problem, Limits(work=100))
    core = petersen_core(np.random.default_rng(0), 1000)  # proven by its full bins
    solve_packing(one_dimensional(core, 1000), Limits(work=100))
    _dive_once(group_equal(nearly_full(np.random.default_rng(3), 12)).problem)
    make, sizes = HOURS["wide sizes"]
    least_over_time(make(np.random.default_rng(0), sizes[0]), Limits(work=100))


def _dive_once(problem: PackingProblem) -> None:
    """A dive in a list, which no small problem comes to by itself."""
    state = PackingState(problem, Limits(work=1_000))
    pricer = Pricer(problem.demand, most_per_bin(problem), problem.capacity)
    master = Master(problem.counts)
    master.add(np.eye(len(problem.counts), dtype=np.int64))
    relaxation = generate(master, pricer, problem.counts, state.budget, to_the_end=True)
    dive_in_list(state, pricer, relaxation, relaxation.bound, state.budget)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan bench optimal`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--sets", nargs="+", choices=ALL, metavar="SET", help=f"of {', '.join(ALL)}"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="measure the packing files there (in folders named as in data/packing) instead",
    )
    parser.add_argument(
        "--made",
        type=int,
        default=MADE,
        metavar="N",
        help=f"made by each recipe at most (default: {MADE}; 0: as many as were published)",
    )
    parser.add_argument(
        "--time-limit", type=amount, default=60.0, metavar="S", help="an instance (default: 60)"
    )
    parser.add_argument("--wall", action="store_true", help="time by the wall clock")
    parser.add_argument("--no-peers", action="store_true", help="leave VPSolver out")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"at most {QUICK_INSTANCES} made by each recipe, {QUICK_SECONDS:.0f} s each",
    )


def command(arguments: argparse.Namespace) -> int:
    """Measure, print and write; returns 1 where a bar is missed, unless quick."""
    clock = Clock(wall=arguments.wall)
    seconds = min(arguments.time_limit, QUICK_SECONDS) if arguments.quick else arguments.time_limit
    most = QUICK_INSTANCES if arguments.quick else arguments.made or None
    if arguments.folder and not any(arguments.folder.glob("**/*")):
        raise SpecError([("--folder", f"{arguments.folder}: nothing there")])
    compile_kernels()
    bench = OptimalBench(clock, seconds, most, peers=not arguments.no_peers)
    rows = bench.rows(arguments.sets or ALL)
    if arguments.folder:
        rows = bench.folder_rows(arguments.folder)
    found = report(rows, clock, arguments.json)
    return int(not arguments.quick and not all(row.ok for row in found))
