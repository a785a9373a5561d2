"""Rows that raise the relaxation over busy times, found in what its solution breaks."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np

from stowplan.placement.packing.over_time.branches import Branch
from stowplan.placement.packing.over_time.columns import Columns
from stowplan.placement.packing.problem import FloatArray, Limits, PackingProblem
from stowplan.placement.packing.solve import solve_packing

CUTS_A_ROUND = 80
CUTS_A_JOB = 6
VIOLATED = 1.02
COUNT_WORK = 20.0  # for the least bins of one moment
NEAR = 1e-5


def cut_trios(columns: Columns) -> int:
    """Add rows of three jobs that the programme's solution breaks: how many."""
    jobs = columns.jobs
    pairs, trios = shared(columns, threes=True)
    near: dict[int, set[int]] = defaultdict(set)
    for a, b in pairs:
        near[a].add(b)
        near[b].add(a)
    found = set()
    for a, b in pairs:
        for c in near[a] | near[b]:
            trio = tuple(sorted((a, b, c)))
            if c in (a, b) or jobs.ends[list(trio)].min() <= jobs.starts[trio[2]]:
                continue
            weight = sum(pairs.get(pair, 0.0) for pair in combinations(trio, 2))
            weight -= 2 * trios.get(trio, 0.0)
            if weight > VIOLATED:
                found.add((-weight, trio))
    often: dict[int, int] = defaultdict(int)
    added, have = 0, set(columns.trios)
    for _, trio in sorted(found):
        if added >= CUTS_A_ROUND:
            break
        if trio not in have and all(often[job] < CUTS_A_JOB for job in trio):
            columns.add_trio(trio)  # type: ignore[arg-type]
            added += 1
            for job in trio:
                often[job] += 1
    return added


def shared(columns: Columns, threes: bool = False) -> tuple[dict[tuple[int, ...], float], ...]:
    """How much of the solution has two jobs (or three) on one instance at one time."""
    jobs = columns.jobs
    single = jobs.size[jobs.group] == 1
    pairs: dict[tuple[int, ...], float] = defaultdict(float)
    trios: dict[tuple[int, ...], float] = defaultdict(float)
    for number in np.flatnonzero(columns.x > NEAR).tolist():
        x = float(columns.x[number])
        held: list[int] = []
        for job in columns.all[number].jobs:
            held = [other for other in held if jobs.ends[other] > jobs.starts[job]]
            if single[job]:
                for n, b in enumerate(held):
                    pairs[b, job] += x
                    for a in held[:n] if threes else ():
                        trios[a, b, job] += x
                held.append(job)
    return pairs, trios


def busy_instances(columns: Columns, offer: int) -> FloatArray:
    """(moments,) instances of the type that the solution keeps busy."""
    change = np.zeros(len(columns.jobs.at_ms) + 1)
    for number in np.flatnonzero(columns.x > NEAR).tolist():
        column = columns.all[number]
        if column.offer == offer:
            change[column.begins] += columns.x[number]
            change[column.ends] -= columns.x[number]
    return np.cumsum(change)[: len(columns.jobs.at_ms) - 1]


def cut_counts(columns: Columns) -> int:
    """Rows for moments at which the solution has fewer instances than tasks need."""
    jobs, problem = columns.jobs, columns.problem
    busy = dict(columns.branch.busy)
    added = 0
    for moment, now in enumerate(busy_instances(columns, 0).tolist()):
        running = (jobs.starts <= moment) & (jobs.ends > moment)
        if not running.any() or (0, moment) in busy:
            continue
        kinds, n = np.unique(jobs.kind[running], return_counts=True)
        capacity = np.asarray(problem.types[0].capacity, dtype=np.int64)
        bins = PackingProblem(problem.demand[kinds], n, capacity)
        least = solve_packing(bins, Limits(work=COUNT_WORK)).lower_bound
        if least > now + 1e-3:
            limit = problem.types[0].limit
            busy[0, moment] = (least, len(jobs.kind) if limit is None else limit)
            added += 1
    if added:
        columns.enter(Branch(busy=busy))
    return added
