"""Given instances of unequal size that are all but full: the goal placement beside plain CP-SAT.

    python -m stowplan.experiments.studies.uneven [--sizes 30x4,60x8] [--seeds 0-4] [--limit 60]

Problems are made from a seed. A tight one is cut from its instances, so all of it fits; one that is
over has a task more than was cut. Plain CP-SAT gets the textbook model, on one thread, in the same
run: what it proves in a second must not take the optimizer much longer. Seconds are those of the
processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stowplan.experiments.studies.openb import parse_seeds
from stowplan.placement.callers.client import Arrival
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import CreateService, RegisterTaskDefinition
from stowplan.placement.optimal.optimize import optimize
from stowplan.placement.packing.problem import IntArray, Limits
from stowplan.placement.scenario.scenario import Scenario

KINDS = ("tight", "snug", "over")
DIMENSIONS = (2, 3, 4)
SLACK_PERCENT = {"tight": 0, "snug": 4, "over": 1}  # of each instance, left when tasks are cut
PLAIN_WORK = 0.3
PLACED, USED, SPREAD = 100_000, 100, 1  # the objective's defaults
_WHOLE = ((2_000, 17_000), (4_000, 66_000), (2, 9), (3, 15))  # CPU, memory, GPUs, network cards


@dataclass(frozen=True)
class Uneven:
    """One problem, in plain numbers: CPU, memory, GPUs, network cards, the first of these.

    Args:
        capacity: (instances, dimensions); zones: (instances,) by number.
        demand: (services, dimensions) of one task; counts: (services,) tasks.
    """

    capacity: IntArray
    zones: IntArray
    demand: IntArray
    counts: IntArray

    def scenario(self) -> Scenario:
        """A type and a group for each instance."""
        types, fleet = {}, []
        for row, (amounts, zone) in enumerate(zip(self._four(self.capacity), self.zones.tolist(),
                                                  strict=True)):  # fmt: skip
            cpu, memory, gpus, cards = amounts
            types[f"t{row}"] = {"cpu": cpu, "memory": memory, "gpus": gpus, "eni_slots": cards}
            group = {"name": f"g{row}", "instance_type": f"t{row}", "count": 1}
            fleet.append(group | {"zones": ["abc"[zone]]})
        return Scenario.model_validate(
            {
                "name": "uneven", "duration": "1m", "instance_types": types, "fleet": fleet,
                "task_definitions": {},
            }
        )  # fmt: skip

    def calls(self) -> list[Arrival]:
        """A task definition and a service for each row of `demand`."""
        found = []
        counts = self.counts.tolist()
        for row, (amounts, count) in enumerate(zip(self._four(self.demand), counts, strict=True)):
            cpu, memory, gpus, cards = amounts
            container: dict[str, Any] = {"name": "app", "image": "app:1"}
            container |= {"cpu": cpu, "memory": memory}
            if gpus:
                container["resourceRequirements"] = [{"type": "GPU", "value": str(gpus)}]
            document: dict[str, Any] = {"family": f"s{row}", "containerDefinitions": [container]}
            if cards:
                document["networkMode"] = "awsvpc"
            found.append(Arrival(0, RegisterTaskDefinition(document)))
            found.append(Arrival(0, CreateService(f"s{row}", f"s{row}", count)))
        return found

    def _four(self, table: IntArray) -> list[list[int]]:
        more = np.zeros((len(table), len(_WHOLE) - table.shape[1]), np.int64)
        return np.hstack([table, more]).tolist()  # type: ignore[no-any-return]


def make_uneven(seed: int, tasks: int, instances: int, dimensions: int, kind: str) -> Uneven:
    """A problem of about so many tasks; the same for the same arguments.

    Args:
        kind: "tight" fills every instance to the last unit of CPU and memory, "snug" leaves some;
            both fit by construction. "over" has another task of the size of the largest.
    """
    rng = np.random.default_rng([seed, tasks, instances, dimensions, KINDS.index(kind)])
    lows, highs = (np.array(ends[:dimensions]) for ends in zip(*_WHOLE, strict=True))
    capacity = rng.integers(lows, highs, (instances, dimensions))
    share = capacity[:, :2].mean(axis=1)
    pieces = np.maximum(2, np.rint(tasks * share / share.sum())).astype(int)
    if dimensions > 3:
        capacity[:, 3] = np.maximum(capacity[:, 3], pieces // 2)
    demand, counts = [], []
    for room, n in zip(capacity, pieces.tolist(), strict=True):
        copies = _copies(rng, n)
        filled = room[:2] * (100 - SLACK_PERCENT[kind]) // 100
        cut = [_cut(rng, int(amount), copies) for amount in filled]
        cut += [_dealt(rng, int(amount), copies) for amount in room[2:]]
        demand += np.column_stack(cut).tolist()
        counts += copies.tolist()
    if kind == "over":
        demand.append(np.max(demand, axis=0).tolist())
        counts.append(1)
    zones = rng.integers(0, 1 + rng.integers(0, 3), instances)
    return Uneven(capacity, zones, np.array(demand, np.int64), np.array(counts, np.int64))


def _copies(rng: np.random.Generator, tasks: int) -> IntArray:
    """Tasks of each service, mostly one: they sum up to `tasks`."""
    found: list[int] = []
    while (left := tasks - sum(found)) > 0:
        found.append(min(left, int(rng.choice([1, 1, 1, 2, 3]))))
    return np.array(found, np.int64)


def _cut(rng: np.random.Generator, amount: int, copies: IntArray) -> IntArray:
    """Sizes of a task of each service that together take `amount`, less what does not divide."""
    weights = rng.uniform(0.3, 2.0, len(copies)) * copies
    sizes: IntArray = np.maximum(1, (amount * weights / weights.sum()).astype(np.int64) // copies)
    return sizes


def _dealt(rng: np.random.Generator, amount: int, copies: IntArray) -> IntArray:
    """Small whole numbers, none for some, of which all together take `amount` at most."""
    sizes = np.zeros(len(copies), np.int64)
    for row in rng.permutation(len(copies)).tolist():
        left = amount - int(sizes @ copies)
        if left >= copies[row]:
            sizes[row] = 1 + (left >= 2 * copies[row] and rng.random() < 0.2)
    return sizes


@dataclass(frozen=True)
class Solved:
    """The least cost that was found, whether proven, after so many processor seconds."""

    proven: bool
    cost: int | None
    seconds: float


def plain_cp_sat(problem: Uneven, work: float = PLAIN_WORK) -> Solved:
    """The textbook model: how many tasks of each service on each instance.

    Args:
        work: of CP-SAT's deterministic time, so that an answer does not depend on the machine.
    """
    from ortools.sat.python import cp_model

    begun = time.process_time()
    model = cp_model.CpModel()
    rows, cost = range(len(problem.capacity)), []
    used = [model.new_bool_var("") for _ in rows]
    counts = problem.counts.tolist()
    x = [[model.new_int_var(0, n, "") for _ in rows] for n in counts]
    for row in rows:
        for k, room in enumerate(problem.capacity[row].tolist()):
            sizes = problem.demand[:, k].tolist()
            mine = [each[row] for each in x]
            model.add(cp_model.LinearExpr.weighted_sum(mine, sizes) <= room * used[row])
    for each, count in zip(x, counts, strict=True):
        model.add(sum(each) <= count)
        cost.append(PLACED * (count - sum(each)))
        cost.append(SPREAD * _spread(model, problem, each, count))
    model.minimize(sum(cost) + USED * sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return Solved(
        status == cp_model.OPTIMAL,
        round(solver.objective_value) if found else None,
        time.process_time() - begun,
    )


def _spread(model: Any, problem: Uneven, amounts: Sequence[Any], count: int) -> Any:
    """Tasks of a service in its fullest zone above those in its emptiest."""
    zones = np.unique(problem.zones).tolist()
    high, low = model.new_int_var(0, count, ""), model.new_int_var(0, count, "")
    for zone in zones:
        here = sum(amounts[row] for row in np.flatnonzero(problem.zones == zone).tolist())
        model.add(high >= here)
        model.add(low <= here)
    return high - low


def ours(problem: Uneven, limits: Limits) -> Solved:
    """The goal placement, from the scenario on."""
    begun = time.process_time()
    answer = optimize(problem.scenario(), problem.calls(), "placement", limits)
    return Solved(answer.status == "optimal", answer.objective, time.process_time() - begun)


def problems(
    sizes: Sequence[tuple[int, int]], seeds: Sequence[int]
) -> Iterator[tuple[str, Uneven]]:
    """Every kind, size, number of dimensions and seed, with a name."""
    for tasks, instances in sizes:
        for dimensions in DIMENSIONS:
            for kind in KINDS:
                for seed in seeds:
                    name = f"{tasks}x{instances} {dimensions}d {kind} {seed}"
                    yield name, make_uneven(seed, tasks, instances, dimensions, kind)


def _sizes(text: str) -> list[tuple[int, int]]:
    """Out of `30x4,60x8`. Raises SpecError."""
    found = []
    for part in text.split(","):
        tasks, cross, instances = part.strip().partition("x")
        if not cross or not tasks.isdecimal() or not instances.isdecimal() or not int(instances):
            raise SpecError([(f"--sizes {text}", "expected tasks x instances, such as 30x4,60x8")])
        found.append((int(tasks), int(instances)))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line a problem, then how many were proven by whom, and how fast."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="12x3,30x4,45x6,60x8", help="tasks x instances")
    parser.add_argument("--seeds", default="0-2", help="such as 0-4")
    parser.add_argument(
        "--plain-work", type=float, default=PLAIN_WORK,
        help=f"CP-SAT's deterministic time for the plain model ({PLAIN_WORK}: about a second)",
    )  # fmt: skip
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for the optimizer")
    parser.add_argument("--work", type=float, help="units of work for it: then runs repeat")
    arguments = parser.parse_args(argv)
    limits = Limits(seconds=arguments.limit, work=arguments.work, clock=time.monotonic)
    ours(make_uneven(0, 6, 2, 2, "snug"), limits)  # compiles, loads
    both, lost, by_plain, by_us = 0, [], 0, 0
    for name, problem in problems(_sizes(arguments.sizes), parse_seeds(arguments.seeds)):
        plain = plain_cp_sat(problem, arguments.plain_work)
        mine = ours(problem, limits)
        print(f"{name:22} plain {_told(plain)}   ours {_told(mine)}", flush=True)
        both += plain.proven and mine.proven
        by_plain += plain.proven
        by_us += mine.proven
        if plain.proven and not (mine.proven and mine.cost == plain.cost):
            lost.append(name)
    print(f"proven: plain {by_plain}, ours {by_us}, both {both}; lost: {lost or 'none'}")
    return 0


def _told(solved: Solved) -> str:
    return f"{'proven' if solved.proven else 'open':6} {solved.cost} {solved.seconds:6.2f} s"


if __name__ == "__main__":
    raise SystemExit(main())
