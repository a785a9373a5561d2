"""How a fleet is shared out: every kind evenly over the zones, and only a part of it on spot.

Solvers see kinds of equal demand as one. What all of them together may have in a zone is kept while
searching (`Shares`); which of them has what is dealt out afterwards (`deal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.fleet.problem import FleetBins, FleetProblem
from stowplan.placement.packing.problem import BoolArray, IntArray, PackedBins, spread_contents

DEAL_SECONDS = 10.0  # of CP-SAT's deterministic time; it takes milliseconds


@dataclass(frozen=True)
class Shares:
    """What zones and spot may have of each group of kinds.

    Args:
        members: of each group, the kinds of the problem.
        on_spot: (groups,) most items on spot.
        base: (groups,) items that each zone has at least.
        extras: (groups, zones + 1) items above that which any k zones together have at most:
            whole shares exist just where no k zones have more (Gale and Ryser).
    """

    problem: FleetProblem
    members: tuple[tuple[int, ...], ...]
    on_spot: IntArray
    base: IntArray
    extras: IntArray

    @classmethod
    def of(cls, problem: FleetProblem, members: tuple[tuple[int, ...], ...]) -> Shares:
        """The shares of groups of kinds."""
        zones, groups = problem.zones, [list(group) for group in members]
        most = np.minimum(on_spot(problem), problem.counts)
        odd = problem.counts % zones
        extras = np.minimum(odd[:, None], np.arange(zones + 1))
        return cls(
            problem,
            members,
            np.array([most[group].sum() for group in groups], np.int64),
            np.array([(problem.counts // zones)[group].sum() for group in groups], np.int64),
            np.array([extras[group].sum(axis=0) for group in groups], np.int64),
        )

    def even(self, *, together: bool = False) -> tuple[IntArray, IntArray]:
        """(zones, groups) items and, of them, those off spot: one way to deal them out.

        Args:
            together: the odd items of all kinds go to the first zones, not round the zones.
        """
        counts, spot = self.problem.counts, np.minimum(on_spot(self.problem), self.problem.counts)
        both = np.column_stack([counts - spot, spot]).reshape(-1)
        first = None
        if together:
            odd = (counts - spot) % self.problem.zones
            first = np.column_stack([np.zeros_like(odd), odd]).reshape(-1)
        parts = split_evenly(both, self.problem.zones, first).reshape(self.problem.zones, -1, 2)
        total = [[zone[list(group)].sum() for group in self.members] for zone in parts]
        off = [[zone[list(group), 0].sum() for group in self.members] for zone in parts]
        return np.array(total, np.int64), np.array(off, np.int64)

    def deal(
        self, types: IntArray, zones: IntArray, contents: IntArray
    ) -> tuple[FleetBins, ...] | None:
        """Bins of groups (a row a bin) as bins of kinds; None if no kind's share can be kept."""
        spot = np.array([kind.spot for kind in self.problem.types], np.bool_)
        places = zones * 2 + spot[types]
        held = np.zeros((2 * self.problem.zones, contents.shape[1]), np.int64)
        np.add.at(held, places, contents)
        kinds = np.zeros((len(held), len(self.problem.counts)), np.int64)
        for group, members in enumerate(self.members):
            dealt = self._deal_group(held[:, group], members)
            if dealt is None:
                return None
            kinds[:, list(members)] = dealt
        fleet: list[FleetBins] = []
        for place, counts in enumerate(kinds):
            fleet += self._hand_out(place // 2, types, contents, places == place, counts)
        return tuple(fleet)

    def _hand_out(
        self, zone: int, types: IntArray, contents: IntArray, mine: BoolArray, counts: IntArray
    ) -> list[FleetBins]:
        """Bins of one zone and market, of which each kind has so many items."""
        table = np.column_stack([types[mine], contents[mine]])
        rows, copies = np.unique(table, axis=0, return_counts=True)
        fleet = []
        for row, n in zip(rows, copies.tolist(), strict=True):
            spread = spread_contents([PackedBins(row[1:], n)], self.members, counts)
            for each in spread:
                counts = counts - each.contents * each.copies
            fleet += [FleetBins(zone, int(row[0]), each) for each in spread]
        return fleet

    def _deal_group(self, held: IntArray, members: Sequence[int]) -> IntArray | None:
        """(zones and markets, members) items of each, of (zones and markets,) in all."""
        problem = self.problem
        if len(members) == 1 or (problem.zones == 1 and not held[1]):
            result = np.zeros((len(held), len(members)), np.int64)
            result[:, 0] = held
            if len(members) > 1:
                result[0] = problem.counts[list(members)]
            return result if self._kept(result, members) else None
        return _dealt(held, problem, members)

    def _kept(self, dealt: IntArray, members: Sequence[int]) -> bool:
        counts = self.problem.counts[list(members)]
        zones = dealt.reshape(-1, 2, len(members)).sum(axis=1)
        even = (zones >= counts // len(zones)) & (zones <= -(-counts // len(zones)))
        spot = dealt[1::2].sum(axis=0) <= on_spot(self.problem)[list(members)]
        return bool(even.all() and spot.all() and (dealt.sum(axis=0) == counts).all())


def _dealt(held: IntArray, problem: FleetProblem, members: Sequence[int]) -> IntArray | None:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = [
        [model.new_int_var(0, int(min(n, problem.counts[kind])), "") for kind in members]
        for n in held
    ]
    for row, n in zip(x, held.tolist(), strict=True):
        model.add(sum(row) == n)
    most = on_spot(problem)
    for m, kind in enumerate(members):
        count, zones = int(problem.counts[kind]), problem.zones
        for zone in range(zones):
            total = x[2 * zone][m] + x[2 * zone + 1][m]
            model.add_linear_constraint(total, count // zones, -(-count // zones))
        model.add(sum(row[m] for row in x) == count)
        model.add(sum(row[m] for row in x[1::2]) <= int(most[kind]))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = DEAL_SECONDS
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return np.array([[solver.value(each) for each in row] for row in x], np.int64)


def on_spot(problem: FleetProblem) -> IntArray:
    """(kinds,) most items on spot."""
    return problem.counts if problem.on_spot is None else problem.on_spot


def split_evenly(counts: IntArray, zones: int, first: IntArray | None = None) -> IntArray:
    """(zones, kinds) int64: each kind's items per zone, floor or ceiling of its even share.

    The odd items go round the zones, so that zones differ by one item in all; or each kind's begin
    with zone (kinds,) `first`.
    """
    extras = counts % zones
    first = (np.cumsum(extras) - extras) % zones if first is None else first
    turn = (np.arange(zones)[:, None] - first) % zones
    return counts // zones + (turn < extras)
