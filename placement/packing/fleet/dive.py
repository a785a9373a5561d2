"""From the relaxation to a fleet, zone by zone: keep what is whole, price anew for what is left.

Most of a large fleet comes out whole this way, at next to no loss. What is left, a few bins a zone,
is bought by the search.
Source: Sadykov et al. (2019), Primal heuristics for branch and price: the assets of diving methods,
INFORMS J. Computing 31:251-267.
"""

from __future__ import annotations

import numpy as np

from stowplan.placement.packing.fleet.relaxation import FleetRelaxation
from stowplan.placement.packing.fleet.rounding import Chosen, rows_of, tidy
from stowplan.placement.packing.fleet.search import FleetSearch
from stowplan.placement.packing.fleet.state import FleetState
from stowplan.placement.packing.problem import IntArray

PRICE_ROUNDS = 6  # of column generation for what is left, each time


def dive(state: FleetState, relaxation: FleetRelaxation, search: FleetSearch) -> None:
    """Offer a fleet; each zone gets its share by `FleetState.zone_rows`."""
    left = list(state.market.limits)
    zones: list[Chosen] = []
    for number, rows in enumerate(state.zone_rows):
        room = [None if n is None else n // (state.zones - number) for n in left]
        chosen = _whole_part(state, relaxation, rows, room)
        used = np.bincount(chosen.types, minlength=len(left)).tolist()
        left = [None if n is None else n - u for n, u in zip(left, used, strict=True)]
        zones.append(chosen)
    search.complete(rows_of(zones))


def _whole_part(
    state: FleetState, relaxation: FleetRelaxation, rows: IntArray, room: list[int | None]
) -> Chosen:
    """Bins of one zone that the relaxation, solved for what is left each time, has whole."""
    rest = rows.copy()
    contents = [np.zeros((0, len(state.market.counts)), np.int64)]
    types = [np.zeros(0, np.int64)]
    bought = np.zeros(len(room), np.int64)
    while rest.any() and not state.budget.exhausted():
        solution = relaxation.solve(rest, exact=False, rounds=PRICE_ROUNDS)
        if solution is None:
            break
        columns = relaxation.columns(solution)
        whole = np.floor(columns.amounts + 1e-6).astype(np.int64)
        before = int(bought.sum())
        for j in np.flatnonzero(whole).tolist():
            kind, limit = int(columns.types[j]), room[columns.types[j]]
            copies = int(whole[j])
            if limit is not None:
                copies = min(copies, limit - int(bought[kind]))
            bought[kind] += copies
            types.append(np.full(copies, kind, np.int64))
            contents.append(np.tile(columns.patterns[j], (copies, 1)))
            rest = np.maximum(rest - copies * columns.covers[j], 0)
        if bought.sum() == before:
            break
    return tidy(state.market, np.vstack(contents), np.concatenate(types), rows, room)
