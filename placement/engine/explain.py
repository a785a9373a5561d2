"""Where a task would go, or what keeps it off every instance and what would let it in.

From state alone: a cluster, a kind of task, and which tasks are where. Nothing is booked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stowplan.placement.engine.changes import Change, Offer, candidate_changes
from stowplan.placement.engine.engine import UNPLACED, Engine
from stowplan.placement.engine.obstacles import Obstacle, Obstacles, Residents
from stowplan.placement.model import TaskKind

TRIED_MOST = 4  # changes of a sort that the engine is asked about, the cheapest first


@dataclass(frozen=True, slots=True)
class Miss:
    """An instance on which a task does not fit, and all that keeps it off."""

    row: int
    obstacles: tuple[Obstacle, ...]

    @property
    def distance(self) -> tuple[float, int, int]:
        """How much would have to change: shares of demands that lack, other obstacles 1 each."""
        size = sum(obstacle.size for obstacle in self.obstacles)
        return size, len(self.obstacles), self.row


@dataclass(frozen=True, slots=True)
class MissGroup:
    """Instances that the same things keep a task off; `best` is the nearest miss of them."""

    best: Miss
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say of one more task of a kind.

    Attributes:
        fits: rows on which it fits; it is placed exactly if there is one.
        misses: the other registered instances.
        changes: each of them alone would place it, as the engine said on a copy; the cheapest
            first, one of a sort. () where it fits.
    """

    kind: TaskKind
    fits: tuple[int, ...]
    misses: tuple[Miss, ...]
    changes: tuple[Change, ...] = ()

    @property
    def nearest(self) -> Miss | None:
        """The instance with the least to be changed; None where no instance is left to miss."""
        return min(self.misses, key=lambda miss: miss.distance, default=None)

    def groups(self) -> list[MissGroup]:
        """The misses by what is in the way, nearest first."""
        found: dict[tuple[str, ...], list[Miss]] = {}
        for miss in self.misses:
            found.setdefault(tuple(each.what for each in miss.obstacles), []).append(miss)
        groups = [
            MissGroup(min(misses, key=lambda m: m.distance), tuple(m.row for m in misses))
            for misses in found.values()
        ]
        return sorted(groups, key=lambda group: group.best.distance)


def explain_kind(
    engine: Engine,
    kind: TaskKind,
    residents: Residents,
    offers: Sequence[Offer] = (),
    seek_changes: bool = True,
) -> Explanation:
    """What keeps one more task of `kind` off each instance, and what would place it.

    Args:
        engine: nothing is booked on its cluster, and nothing drawn of its chance.
        residents: the tasks that hold resources on an instance, by its row; where it answers ()
            although there are some, ports and limits are told without their tasks.
        offers: instances that could be added, beside those like one that is there. Other types are
            named only where none of those would do.
        seek_changes: whether to look for what would place it, which takes copies of the cluster.
    Raises:
        PlacementError: `kind` names a strategy or constraint that is not known.
    """
    engine.check(kind)
    obstacles = Obstacles(engine, kind, residents)
    fits = obstacles.none()
    rest = np.flatnonzero(engine.cluster.present & ~fits).tolist()
    misses = tuple(Miss(row, obstacles.of(row)) for row in rest)
    explained = Explanation(kind, tuple(np.flatnonzero(fits).tolist()), misses)
    if explained.fits or not seek_changes:
        return explained
    changes = _that_place(engine, explained, residents, offers)
    return Explanation(kind, (), misses, changes)


def fits_anywhere(engine: Engine, kind: TaskKind) -> bool:
    """Whether one more task of `kind` fits on an instance; nothing is booked, nothing drawn.

    Raises:
        PlacementError: `kind` names a strategy or constraint that is not known.
    """
    engine.check(kind)
    return bool(Obstacles(engine, kind, lambda _: ()).none().any())


def places(engine: Engine, change: Change) -> bool:
    """Whether a change alone lets the engine place the task: tried on a copy of the cluster."""
    cluster = engine.cluster.copy()
    change.apply(cluster)
    return int(engine.on(cluster).place([change.kind]).instances[0]) != UNPLACED


def _that_place(
    engine: Engine, explained: Explanation, residents: Residents, offers: Sequence[Offer]
) -> tuple[Change, ...]:
    """The cheapest change of each sort that was tried with success."""
    misses = sorted(explained.misses, key=lambda miss: miss.distance)
    pairs = [(miss.row, miss.obstacles) for miss in misses]
    by_sort: dict[str, list[Change]] = {}
    for change in candidate_changes(engine.cluster, explained.kind, pairs, residents, offers):
        by_sort.setdefault(change.sort, []).append(change)
    found: dict[str, Change] = {}
    for sort, changes in by_sort.items():
        if sort == "type" and "instance" in found:
            continue
        first = _first_that_places(engine, changes)
        if first is not None:
            found[sort] = first
    return tuple(sorted(found.values(), key=lambda change: change.cost))


def _first_that_places(engine: Engine, changes: Sequence[Change]) -> Change | None:
    tried = sorted(changes, key=lambda change: change.cost)[:TRIED_MOST]
    return next((change for change in tried if places(engine, change)), None)
