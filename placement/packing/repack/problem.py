"""Who should stand where: the problem that repacking comes down to, in plain numbers.

Instances hold items of several shapes. A new content is wanted for each, at the least cost: a price
for every instance that holds anything, and `move_cost` for every item newly brought to an instance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.packing.problem import (
    BoolArray,
    IntArray,
    PackingInputError,
    check_magnitude,
    whole_number,
    whole_numbers,
)

_NUMBERS = ("demand", "counts", "capacity", "held", "price")


@dataclass(frozen=True)
class RepackProblem:
    """Items of `shapes` on `instances`, and what may become of them.

    Args:
        demand: (shapes, dimensions) int64, >= 0.
        counts: (shapes,) int64; items to be held in the end, those that wait included.
        capacity: (instances, dimensions) int64; at least what `held` takes.
        held: (instances, shapes) int64; what each instance holds now.
        allowed: (instances, shapes) bool; an item of this shape may be brought here.
        price: (instances,) int64, >= 0; cost of an instance that holds any item.
        releasable: (instances,) bool; an instance that counts as free when it holds no item.
        free: that many releasable instances at least must hold nothing.
        move_cost: >= 0, for every item newly brought to an instance.
    Raises:
        PackingInputError: shapes disagree, a number is negative or not whole, or an instance holds
            more than its capacity.
    """

    demand: IntArray
    counts: IntArray
    capacity: IntArray
    held: IntArray
    allowed: BoolArray
    price: IntArray
    releasable: BoolArray
    free: int = 0
    move_cost: int = 1

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name)))
        for name in ("free", "move_cost"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        if self.demand.ndim != 2 or self.capacity.ndim != 2:
            raise PackingInputError(
                "demand is shapes x dimensions, capacity instances x dimensions"
            )
        instances, (shapes, dimensions) = len(self.capacity), self.demand.shape
        for name, shape in {
            "counts": (shapes,),
            "capacity": (instances, dimensions),
            **dict.fromkeys(("held", "allowed"), (instances, shapes)),
            **dict.fromkeys(("price", "releasable"), (instances,)),
        }.items():
            if np.shape(getattr(self, name)) != shape:
                found = np.shape(getattr(self, name))
                raise PackingInputError(f"{name} must be of shape {shape}, not {found}")
        for name in ("allowed", "releasable"):
            if np.asarray(getattr(self, name)).dtype != np.bool_:
                raise PackingInputError(f"{name} must hold truth values")
        self._check_amounts()

    def _check_amounts(self) -> None:
        check_magnitude(self.demand, self.counts)
        for name in ("capacity", "held", "price"):
            if (getattr(self, name) < 0).any():
                raise PackingInputError(f"{name} must not be negative")
        check_magnitude(self.demand, self.held.sum(axis=0))
        if (self.held @ self.demand > self.capacity).any():
            raise PackingInputError("an instance holds more than its capacity")

    def cost(self, contents: IntArray) -> int:
        """What the new contents (instances, shapes) cost."""
        brought = int(np.maximum(contents - self.held, 0).sum())
        used = contents.any(axis=1)
        return int(self.price[used].sum()) + self.move_cost * brought

    def room_for(self, instance: int) -> IntArray:
        """(shapes,) most items of each shape that the instance may hold beyond its own."""
        room = self.capacity[instance] // np.maximum(self.demand, 1)
        fits = np.where(self.demand > 0, room, np.iinfo(np.int64).max).min(axis=1)
        most: IntArray = np.where(self.allowed[instance], np.minimum(fits, self.counts), 0)
        return most

    def holds(self, contents: IntArray) -> bool:
        """Whether these contents are a solution."""
        more = contents > self.held
        return bool(
            (contents >= 0).all()
            and (contents.sum(axis=0) == self.counts).all()
            and (contents @ self.demand <= self.capacity).all()
            and not (more & ~self.allowed).any()
            and (self.releasable & ~contents.any(axis=1)).sum() >= self.free
        )

    def classes(self) -> list[IntArray]:
        """The instances, parted into groups whose members differ in nothing but their number."""
        table = np.column_stack(
            [self.capacity, self.held, self.allowed, self.price, self.releasable]
        ).astype(np.int64)
        _, label = np.unique(table, axis=0, return_inverse=True)
        label = label.reshape(-1)
        return [np.flatnonzero(label == c) for c in range(int(label.max(initial=-1)) + 1)]
