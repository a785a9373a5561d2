"""What an instance does in one busy time, and what a part of the search takes for given."""

from __future__ import annotations

from dataclasses import dataclass, field

from stowplan.placement.packing.over_time.states import Jobs


@dataclass(frozen=True)
class Column:
    """One busy time: jobs in order, on an instance of the type `offer`, from moment to moment."""

    offer: int
    jobs: tuple[int, ...]
    begins: int
    ends: int
    cost: int


@dataclass(frozen=True)
class Branch:
    """What one part of the search takes for given.

    Args:
        together, apart: pairs of jobs that share an instance, or do not.
        busy: per (type, moment) the least and most instances that are busy.
    """

    together: tuple[tuple[int, int], ...] = ()
    apart: tuple[tuple[int, int], ...] = ()
    busy: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    def allows(self, column: Column, jobs: Jobs) -> bool:
        """The column keeps the pairs."""
        held = set(column.jobs)
        if any(a in held and b in held for a, b in self.apart):
            return False
        return all((a in held) == (b in held) for a, b in self.together)
