"""Many kinds that differ only in what they must not share a bin with: solved in two steps.

A limit on items per bin that is the same for every type (a host port, so many tasks of a group on
an instance) rarely costs anything, yet keeps kinds of equal demand apart and the linear program
large. So the fleet is first solved without such limits; its bound holds all the more with them.
Then its places are given to items by the limits, and bins are bought exactly for items without a
place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stowplan.placement.packing.fleet.problem import FleetBins, FleetProblem, FleetResult
from stowplan.placement.packing.problem import (
    BoolArray,
    IntArray,
    Limits,
    PackedBins,
    PackingProblem,
    Progress,
    ProgressCallback,
    group_equal,
)
from stowplan.placement.packing.state import Budget

Solve = Callable[[FleetProblem, Limits, ProgressCallback | None], FleetResult]
KINDS_LEAST = 100  # below, solving as it stands is quick enough
TIGHTEST = 8  # limits that are kept from the beginning
COARSE_SHARE = 0.8  # of time and work


def shared_limits(problem: FleetProblem) -> BoolArray:
    """(dimensions,) bool: limits to leave out at first; all False where that would not pay."""
    if problem.on_spot is not None and (problem.on_spot < problem.counts).any():
        return np.zeros(problem.demand.shape[1], np.bool_)
    capacities = np.array([each.capacity for each in problem.types])
    limits: BoolArray = (problem.demand <= 1).all(axis=0) & np.all(
        capacities == capacities[0], axis=0
    )
    # limits that need the most bins by themselves may decide how many there are: they stay
    bins = np.where(limits, problem.counts @ problem.demand / np.maximum(capacities[0], 1), 0)
    limits &= ~np.isin(np.arange(len(limits)), np.argsort(-bins, kind="stable")[:TIGHTEST])
    kinds = [_kinds(problem, np.ones_like(limits)), _kinds(problem, ~limits)]
    if limits.all() or kinds[0] < KINDS_LEAST or kinds[1] > kinds[0] // 2:
        return np.zeros_like(limits)
    return limits


def solve_coarsely(
    problem: FleetProblem,
    left_out: BoolArray,
    limits: Limits,
    progress: ProgressCallback | None,
    solve: Solve,
) -> FleetResult:
    """Solve without the dimensions `left_out`, then keep their limits; see the module.

    Args:
        solve: `solve_fleet`'s core, which takes a problem as it stands.
    """
    budget = Budget(limits)
    log: list[Progress] = []

    def report(entry: Progress) -> None:
        if log and entry.lower_bound <= log[-1].lower_bound:
            return  # a coarse fleet is none yet
        entry = Progress(budget.seconds(), entry.lower_bound, None)
        log.append(entry)
        if progress:
            progress(entry)

    coarse = solve(_without(problem, left_out), _share(limits, budget, COARSE_SHARE), report)
    budget.spend(coarse.work * 1e6)
    if coarse.cost is None:
        return coarse
    fleet, counts = _keep_limits(problem, coarse.fleet, left_out)
    rest = _rest_problem(problem, fleet, counts)
    result = None
    if counts.any() and not coarse.interrupted:
        for zone, missing in enumerate(counts):
            result = solve(replace(rest, counts=missing), _share(limits, budget, 1.0), None)
            budget.spend(result.work * 1e6)
            if result.cost is None:
                return replace(result, lower_bound=coarse.lower_bound, log=tuple(log))
            fleet += [replace(b, zone=zone) for b in result.fleet]
            rest = _rest_problem(problem, fleet, counts)
    elif counts.any():
        return replace(coarse, status="unknown", cost=None, gap=None, fleet=(), log=tuple(log))
    cost = sum(problem.types[b.type].price * b.bins.copies for b in fleet)
    bound = coarse.lower_bound
    log.append(Progress(budget.seconds(), bound, cost))
    if progress:
        progress(log[-1])
    interrupted = coarse.interrupted or (result is not None and result.interrupted)
    return FleetResult(
        "optimal" if cost <= bound else "feasible", cost, bound, (cost - bound) / max(cost, 1),
        tuple(fleet), budget.seconds(), budget.work, interrupted, log=tuple(log),
    )  # fmt: skip


def _kinds(problem: FleetProblem, dimensions: BoolArray) -> int:
    demand = problem.demand[:, dimensions]
    room = np.ones(demand.shape[1], np.int64)
    if not demand.shape[1]:
        return 1
    return len(group_equal(PackingProblem(demand, problem.counts, room)).members)


def _without(problem: FleetProblem, left_out: BoolArray) -> FleetProblem:
    types = tuple(replace(each, capacity=each.capacity[~left_out]) for each in problem.types)
    return replace(problem, demand=problem.demand[:, ~left_out], types=types)


def _share(limits: Limits, budget: Budget, share: float) -> Limits:
    """What is left of the limits, or a share of it."""
    return replace(
        limits,
        seconds=None if limits.seconds is None else share * budget.left_seconds(),
        work=None if limits.work is None else share * max(0.0, budget.left_work()),
    )


def _rest_problem(problem: FleetProblem, fleet: list[FleetBins], counts: IntArray) -> FleetProblem:
    """One zone's missing items, and what the limits on types leave to buy."""
    bought = np.zeros(len(problem.types), np.int64)
    for b in fleet:
        bought[b.type] += b.bins.copies
    types = tuple(
        replace(each, limit=None if each.limit is None else each.limit - int(n))
        for each, n in zip(problem.types, bought, strict=True)
    )
    return FleetProblem(problem.demand, counts[0], types)


def _keep_limits(
    problem: FleetProblem, fleet: tuple[FleetBins, ...], left_out: BoolArray
) -> tuple[list[FleetBins], IntArray]:
    """Give the places of a coarse fleet to items anew, by the limits.

    A place is for any item of the same demand otherwise. Returns the bins, and by zone and kind
    (zones, kinds) the items that found none.
    """
    wants = problem.demand[:, left_out] > 0
    most = problem.types[0].capacity[left_out]
    alike = np.unique(problem.demand[:, ~left_out], axis=0, return_inverse=True)[1].reshape(-1)
    out: list[FleetBins] = []
    missing = np.zeros((problem.zones, len(alike)), np.int64)
    for zone in range(problem.zones):
        mine = [b for b in fleet if b.zone == zone]
        copies = [b.bins.copies for b in mine]
        held = np.array([b.bins.contents for b in mine]).reshape(len(mine), len(alike))
        types = np.repeat([b.type for b in mine], copies).astype(np.int64)
        old = np.repeat(held, copies, axis=0)
        new = np.zeros_like(old)
        used = np.zeros((len(types), wants.shape[1]), np.int64)
        counts = old.sum(axis=0)
        # those with few bins to go to for each item choose first
        tight = [
            counts[k] / max(1, most[wants[k]].min(initial=len(types))) for k in range(len(alike))
        ]
        for kind in np.argsort(-np.array(tight), kind="stable").tolist():
            same = alike == alike[kind]
            free = old[:, same].sum(axis=1) - new[:, same].sum(axis=1)
            room = np.minimum(free, (most - used)[:, wants[kind]].min(axis=1, initial=1 << 40))
            given = _deal(int(counts[kind]), free, room)
            new[:, kind] = given
            used[:, wants[kind]] += given[:, None]
            missing[zone, kind] = counts[kind] - given.sum()
        filled = new.any(axis=1)
        rows, number = np.unique(np.column_stack([types, new])[filled], axis=0, return_counts=True)
        out += [
            FleetBins(zone, int(row[0]), PackedBins(row[1:], int(n)))
            for row, n in zip(rows, number, strict=True)
        ]
    return out, missing


def _deal(count: int, free: IntArray, room: IntArray) -> IntArray:
    """(bins,) `count` items one by one to the bins with most places free, up to `room` each."""
    given = np.zeros_like(free)
    while count > 0:
        open_bins = np.flatnonzero(given < room)
        if not len(open_bins):
            break
        order = open_bins[np.argsort((given - free)[open_bins], kind="stable")]
        given[order[:count]] += 1
        count -= min(count, len(order))
    return given
