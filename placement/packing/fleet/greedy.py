"""A first fleet at once: without compiled code, so also where that is still to be compiled."""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.fleet.state import FleetRows, FleetState
from stowplan.placement.packing.problem import BoolArray, FloatArray, IntArray


def first_fleet(state: FleetState, values: FloatArray) -> FleetRows | None:
    """Bin after bin the type that holds most worth for its price, the largest items first.

    Args:
        values: (2, kinds) what an item is worth off spot and on it.
    Returns: the fleet, which keeps limits and shares; None where it found no room.
    """
    market = state.market
    spot = market.on_spot_types
    bought = np.zeros(len(market.prices), np.int64)
    most = np.array([np.iinfo(np.int64).max if n is None else n for n in market.limits])
    largest = (market.demand / np.maximum(market.capacities.max(axis=0), 1)).max(axis=1)
    order = np.argsort(-largest, kind="stable")
    spot_left = state.shares.on_spot.copy()
    worth = np.where(spot[:, None], values[1], values[0])
    types: list[int] = []
    zones: list[int] = []
    contents: list[IntArray] = []
    for zone, left in enumerate(state.zone_counts.copy()):
        while left.any():
            fill = _fill_all(state, left, spot_left, spot, order)
            fill[bought >= most] = 0
            score = (fill * worth).sum(axis=1) / np.maximum(market.prices, 1)
            best = int(np.argmax(score))
            if score[best] <= 0:
                return None
            content = fill[best]
            held = content > 0
            copies = min(int((left[held] // content[held]).min()), int(most[best] - bought[best]))
            if spot[best]:
                copies = min(copies, int((spot_left[held] // content[held]).min()))
                spot_left -= copies * content
            bought[best] += copies
            left -= copies * content
            types += [best] * copies
            zones += [zone] * copies
            contents += [content] * copies
    shape = (len(contents), len(market.counts))
    return FleetRows(
        np.array(types, np.int64), np.array(zones, np.int64), np.array(contents).reshape(shape)
    )


def _fill_all(
    state: FleetState, left: IntArray, spot_left: IntArray, spot: BoolArray, order: IntArray
) -> IntArray:
    """(types, kinds) what a bin of each type holds, filled in this order."""
    market = state.market
    rooms = market.capacities.copy()
    fill = np.zeros((len(rooms), len(left)), np.int64)
    for kind in order[left[order] > 0].tolist():
        needs = np.flatnonzero(market.demand[kind])
        n = np.where(spot, min(left[kind], spot_left[kind]), left[kind])
        if len(needs):
            n = np.minimum(n, (rooms[:, needs] // market.demand[kind, needs]).min(axis=1))
        fill[:, kind] = n
        rooms[:, needs] -= n[:, None] * market.demand[kind, needs]
    return fill
