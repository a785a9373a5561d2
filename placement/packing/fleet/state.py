"""What the stages of one solve of a fleet share: best fleet, bound, budget and log."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stowplan.placement.packing.fleet.market import Market
from stowplan.placement.packing.fleet.problem import FleetBins
from stowplan.placement.packing.fleet.shares import Shares
from stowplan.placement.packing.problem import IntArray, Limits, ProgressCallback
from stowplan.placement.packing.state import Budget, Solve


class FleetRows(NamedTuple):
    """A fleet, a row a bin: types (bins,), zones (bins,), contents (bins, kinds of the market)."""

    types: IntArray
    zones: IntArray
    contents: IntArray


class FleetState(Solve):
    """Best fleet, bound, budget and log of one solve.

    Args:
        types: (types of the market,) their indices in the problem.
    """

    def __init__(
        self,
        market: Market,
        shares: Shares,
        types: IntArray,
        limits: Limits,
        progress: ProgressCallback | None = None,
    ) -> None:
        super().__init__(Budget(limits), progress)
        self.rng = np.random.default_rng(limits.seed)
        self.market = market
        self.shares = shares
        self.types = types
        self.zones = shares.problem.zones
        self.deal_out()
        self.best: FleetRows | None = None
        self.fleet: tuple[FleetBins, ...] = ()
        self.cost: int | None = None
        self.refused = 0  # cheaper fleets that could not be shared out

    def deal_out(self, *, together: bool = False) -> None:
        """One way to deal the items over the zones; `Shares.even` has the ways."""
        total, off_spot = self.shares.even(together=together)
        self.zone_counts = total
        self.zone_rows = np.hstack([total, off_spot]) if self.market.split else total

    @property
    def incumbent(self) -> int | None:
        """The cost of the best fleet."""
        return self.cost

    def offer(self, rows: FleetRows) -> bool:
        """Take a complete fleet if it is cheaper than the best so far and can be shared out."""
        cost = int(self.market.prices[rows.types].sum())
        if self.cost is not None and cost >= self.cost:
            return False
        fleet = self.shares.deal(self.types[rows.types], rows.zones, rows.contents)
        if fleet is None:
            self.refused += 1
            return False
        self.best, self.fleet, self.cost = rows, fleet, cost
        self.record()
        return True
