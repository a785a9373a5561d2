"""Cheapest fleet: the problem and its result, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from stowplan.placement.packing.problem import (
    IntArray,
    PackedBins,
    PackingInputError,
    Progress,
    Status,
    check_magnitude,
    whole_number,
    whole_numbers,
)


@dataclass(frozen=True)
class BinType:
    """An instance type that can be bought.

    Args:
        capacity: (dimensions,) int64, >= 0.
        price: >= 0, in millionths of a dollar (or any other integer unit).
        limit: most instances of it, over all zones; None: as many as wanted.
        spot: it may be taken back, so only a part of some kinds may be there.
    """

    name: str
    capacity: IntArray
    price: int
    limit: int | None = None
    spot: bool = False


@dataclass(frozen=True)
class FleetProblem:
    """Item kinds to be packed into the cheapest set of bins of several types.

    Args:
        demand: (kinds, dimensions) int64, >= 0.
        counts: (kinds,) int64, >= 0.
        types: what can be bought.
        zones: every kind's items are split evenly over so many zones (each gets the floor or the
            ceiling of its share), and every bin stands in one zone.
        on_spot: (kinds,) int64, most of a kind's items in bins of spot types, over all zones;
            None: all.
    Raises:
        PackingInputError: shapes disagree, or a number is negative or not whole.
    """

    demand: IntArray
    counts: IntArray
    types: tuple[BinType, ...]
    zones: int = 1
    on_spot: IntArray | None = None

    def __post_init__(self) -> None:
        for name in ("demand", "counts"):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        object.__setattr__(self, "zones", whole_number("zones", self.zones))
        if self.demand.ndim != 2 or self.counts.shape != (len(self.demand),):
            raise PackingInputError("demand must be kinds x dimensions, counts one per kind")
        if self.zones < 1 or not self.types:
            raise PackingInputError("a fleet needs at least one zone and one type")
        check_magnitude(self.demand, self.counts)
        if self.on_spot is not None:
            object.__setattr__(self, "on_spot", whole_numbers("on_spot", self.on_spot))
            if self.on_spot.shape != self.counts.shape or (self.on_spot < 0).any():
                raise PackingInputError("on_spot must be one number per kind, none negative")
        object.__setattr__(self, "types", whole_types(self.types, self.demand.shape[1]))


def whole_types(types: Iterable[BinType], dimensions: int) -> tuple[BinType, ...]:
    """The types with int64 capacities of so many dimensions, and whole prices and limits.

    Raises:
        PackingInputError: naming the type and what of it is none of that, or negative.
    """
    made = []
    for kind in types:
        of = f"type {kind.name}: "
        capacity = whole_numbers(of + "capacity", kind.capacity)
        if capacity.shape != (dimensions,):
            raise PackingInputError(f"{of}capacity needs one number a dimension")
        if (capacity < 0).any():
            raise PackingInputError(f"{of}capacity is negative")
        price = whole_number(of + "price", kind.price)
        limit = None if kind.limit is None else whole_number(of + "limit", kind.limit)
        made.append(replace(kind, capacity=capacity, price=price, limit=limit))
    return tuple(made)


@dataclass(frozen=True)
class FleetBins:
    """Equal bins of one type in one zone; `bins.contents` is (kinds,)."""

    zone: int
    type: int
    bins: PackedBins


@dataclass(frozen=True)
class FleetResult:
    """What `solve_fleet` found and proved.

    `cost` and `gap` are None without a fleet; `gap` is (cost - lower_bound) / cost. Infeasible:
    `unplaceable` lists the kinds that fit no type, or those the limits leave too little room for;
    `reason` says which.
    """

    status: Status
    cost: int | None
    lower_bound: int
    gap: float | None
    fleet: tuple[FleetBins, ...]
    seconds: float
    work: float
    interrupted: bool = False
    unplaceable: tuple[int, ...] = ()
    reason: str = ""
    log: tuple[Progress, ...] = field(default=(), repr=False)
