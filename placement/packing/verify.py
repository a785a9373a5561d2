"""An independent check of packings: plain integer arithmetic on the answer, no solver code.

Uses Python's integers rather than numpy's, so nothing can overflow unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence

from stowplan.placement.packing.fleet.problem import FleetBins, FleetProblem
from stowplan.placement.packing.problem import PackedBins, PackingProblem


class BrokenPackingError(AssertionError):
    """A packing breaks a rule; a bug of the solver, never of its input."""


def check_packing(
    problem: PackingProblem, packing: Sequence[PackedBins], bins: int | None = None
) -> None:
    """Every item placed exactly once, no bin over capacity, and `bins` bins in all if given.

    Raises:
        BrokenPackingError: names the first bin, kind or sum that is wrong.
    """
    check_contents(
        problem.demand.tolist(),
        problem.counts.tolist(),
        [(b, problem.capacity.tolist()) for b in packing],
    )
    total = sum(b.copies for b in packing)
    if bins is not None and total != bins:
        raise BrokenPackingError(f"{total} bins packed, {bins} reported")


def check_contents(
    demand: list[list[int]],
    counts: list[int],
    packing: Sequence[tuple[PackedBins, list[int]]],
) -> None:
    """Check bins, each given with its own capacity, against all items; see `check_packing`."""
    placed = [0] * len(counts)
    for number, (bins, capacity) in enumerate(packing):
        if len(bins.contents) != len(counts):
            kinds = f"{len(bins.contents)} of {len(counts)} kinds"
            raise BrokenPackingError(f"bin {number} lists {kinds}")
        held = [(kind, int(bins.contents[kind])) for kind in bins.contents.nonzero()[0].tolist()]
        if bins.copies < 1 or any(n < 0 for _, n in held):
            raise BrokenPackingError(f"bin {number} has a negative amount or no copies")
        for k, room in enumerate(capacity):
            used = sum(n * demand[kind][k] for kind, n in held)
            if used > room:
                raise BrokenPackingError(f"bin {number} holds {used} of {room} in dimension {k}")
        for kind, n in held:
            placed[kind] += n * bins.copies
    for kind, (have, want) in enumerate(zip(placed, counts, strict=True)):
        if have != want:
            raise BrokenPackingError(f"kind {kind}: {have} items placed, {want} wanted")


def check_fleet(problem: FleetProblem, fleet: Sequence[FleetBins], cost: int | None = None) -> None:
    """Every item placed once, bins within capacity, limits, spot share and even spread kept, cost
    right.

    Raises:
        BrokenPackingError: names the first bin, kind, type or sum that is wrong.
    """
    if problem.on_spot is not None:
        for kind, most in enumerate(problem.on_spot.tolist()):
            mine = [b for b in fleet if problem.types[b.type].spot]
            there = sum(int(b.bins.contents[kind]) * b.bins.copies for b in mine)
            if there > most:
                raise BrokenPackingError(f"{there} items of kind {kind} on spot, {most} allowed")
    for zone in range(problem.zones):
        placed = [0] * len(problem.counts)
        for b in fleet:
            if b.zone == zone:
                for kind, n in enumerate(b.bins.contents.tolist()):
                    placed[kind] += int(n) * b.bins.copies
        for kind, (have, want) in enumerate(zip(placed, problem.counts.tolist(), strict=True)):
            if not want // problem.zones <= have <= -(-want // problem.zones):
                raise BrokenPackingError(f"zone {zone}: {have} of {want} items of kind {kind}")
    if any(not 0 <= b.zone < problem.zones for b in fleet):
        raise BrokenPackingError("a bin stands in no zone")
    capacities = [[int(c) for c in t.capacity] for t in problem.types]
    check_contents(
        problem.demand.tolist(),
        problem.counts.tolist(),
        [(b.bins, capacities[b.type]) for b in fleet],
    )
    bought = [sum(b.bins.copies for b in fleet if b.type == t) for t in range(len(capacities))]
    for offer, n in zip(problem.types, bought, strict=True):
        if offer.limit is not None and n > offer.limit:
            raise BrokenPackingError(f"{n} of {offer.limit} instances of {offer.name} bought")
    total = sum(offer.price * n for offer, n in zip(problem.types, bought, strict=True))
    if cost is not None and total != cost:
        raise BrokenPackingError(f"the fleet costs {total}, {cost} reported")
