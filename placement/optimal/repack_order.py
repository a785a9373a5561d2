"""In which order to move tasks so that at every moment all that run have their room.

A move starts the copy before it stops the old task, as ECS replaces tasks, so both hold resources
for a while. Where tasks wait for each other's place in a circle, one is parked elsewhere meanwhile.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from stowplan.placement.cluster.cluster import IntArray
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import TaskKind
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running

ATTEMPTS = 12  # orders that are tried, each with other preferences, before the best is taken


@dataclass(frozen=True, slots=True)
class Move:
    """Start a copy on `target`, then stop the task on `source`.

    `task` None: one that waits is started, and there is no source. `parking`: it will move on.
    """

    task: int | None
    kind: TaskKind
    source: int | None
    target: int
    parking: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """Moves in order; `stuck` are the tasks that cannot get to their place, None for waiting."""

    moves: tuple[Move, ...]
    stuck: tuple[int | None, ...]


def order_moves(state: RepackState, contents: IntArray, seed: int = 0) -> Order:
    """The steps from what is held now to `contents` (instances, shapes), with the least parking.

    Several orders are tried; one without parking is as good as can be and ends the search.
    """
    best: Order | None = None
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, attempt]) if attempt else None
        order = _Walk(state, contents, rng).run()
        if best is None or _badness(order) < _badness(best):
            best = order
        if _badness(best) == (0, 0):
            break
    assert best is not None
    return best


def _badness(order: Order) -> tuple[int, int]:
    return len(order.stuck), sum(move.parking for move in order.moves)


@dataclass(slots=True)
class _Traveller:
    """A task that must leave its instance, or one that waits (`row` None)."""

    task: int | None
    kind: TaskKind
    shape: int
    row: int | None
    parked: bool = False


class _Walk:
    """One attempt, on a copy of the cluster: do what can be done, park where nothing can."""

    def __init__(
        self, state: RepackState, contents: IntArray, rng: np.random.Generator | None
    ) -> None:
        self._cluster = state.engine.cluster.copy()
        self._engine = state.engine.on(self._cluster)
        self._rng = rng
        self._moves: list[Move] = []
        held = state.problem().held
        missing, surplus = np.maximum(contents - held, 0), np.maximum(held - contents, 0)
        self._missing: list[Counter[int]] = [
            Counter({i: int(n) for i, n in enumerate(column) if n}) for column in missing.T
        ]
        self._travellers: list[_Traveller] = []
        for t in sorted(state.movable, key=lambda t: -t.task):  # the newest goes, as in scale-in
            shape = state.shape(t.kind, t.row)
            if surplus[t.row, shape]:
                surplus[t.row, shape] -= 1
                self._travellers.append(_Traveller(t.task, t.kind, shape, t.row))
        for kind in state.waiting:
            self._travellers.append(_Traveller(None, kind, state.shape(kind, None), None))
        if rng is not None:
            rng.shuffle(self._travellers)
        # Those that run make room, so they go first.
        self._travellers.sort(key=lambda t: t.row is None)

    def run(self) -> Order:
        while self._travellers and (self._step() or self._park()):
            pass
        return Order(tuple(self._moves), tuple(t.task for t in self._travellers))

    def _step(self) -> bool:
        """One task to its place, if any can go; first from where others wait to come in."""
        wanted = {row for missing in self._missing for row in missing}
        tried: set[tuple[TaskKind, int]] = set()
        for urgent in (True, False):
            for traveller in self._travellers:
                like = traveller.kind, traveller.shape
                if (traveller.row in wanted) is not urgent or like in tried:
                    continue
                rows = self._open_rows(traveller)
                if rows:
                    self._go(traveller, self._pick(rows), parking=False)
                    return True
                tried.add(like)
        return False

    def _open_rows(self, traveller: _Traveller) -> list[int]:
        """Where a task of this kind belongs and fits now."""
        rows = list(self._missing[traveller.shape])
        mask = self._engine.allowed(traveller.kind)
        return [row for row in rows if mask[row]]

    def _park(self) -> bool:
        """Move one task out of the way: to where most is left, each task once at most."""
        wanted = {row for missing in self._missing for row in missing}
        for traveller in self._travellers:
            if traveller.parked or traveller.row not in wanted:
                continue
            mask = self._engine.allowed(traveller.kind)
            mask[traveller.row] = False
            rows = np.flatnonzero(mask)
            if len(rows):
                # Where nobody is to come in, else anywhere.
                quiet = np.array([row not in wanted for row in rows.tolist()])
                rows = rows[quiet] if quiet.any() else rows
                left = self._cluster.remaining[rows].sum(axis=1)
                self._go(traveller, int(rows[left.argmax()]), parking=True)
                traveller.parked = True
                return True
        return False

    def _go(self, traveller: _Traveller, target: int, *, parking: bool) -> None:
        filled = self._engine.place_on(traveller.kind, target)
        assert filled.failure is None, f"{traveller.kind} fits {target} no more"
        if traveller.row is not None:
            self._cluster.release(traveller.kind, traveller.row)
        move = Move(traveller.task, traveller.kind, traveller.row, target, parking)
        self._moves.append(move)
        traveller.row = target
        if parking:
            return
        missing = self._missing[traveller.shape]
        missing[target] -= 1
        if not missing[target]:
            del missing[target]
        self._travellers.remove(traveller)

    def _pick(self, rows: list[int]) -> int:
        return rows[0] if self._rng is None else int(self._rng.choice(rows))


class BrokenPlanError(AssertionError):
    """A plan breaks a rule; a bug of the solver, never of its input."""


def check_moves(
    engine: Engine,
    running: tuple[Running, ...],
    waiting: tuple[TaskKind, ...],
    moves: tuple[Move, ...],
    freed: tuple[int, ...],
) -> None:
    """Walk a plan on a copy of the cluster as ECS would; shares nothing with the solver.

    Every start must be one that the engine itself allows, beside all that runs at that moment.

    Raises:
        BrokenPlanError: names the step, or what is wrong in the end.
    """
    engine = engine.on(engine.cluster.copy())
    where = {t.task: t for t in running}
    left = Counter(waiting)
    for number, move in enumerate(moves, 1):
        known = where.get(move.task) if move.task is not None else None
        if move.task is not None:
            if known is None or known.row != move.source or known.kind != move.kind:
                raise BrokenPlanError(f"step {number}: task {move.task} is not on {move.source}")
            if known.daemon:
                raise BrokenPlanError(f"step {number}: task {move.task} is a daemon's")
        elif not left[move.kind]:
            raise BrokenPlanError(f"step {number}: nothing of {move.kind.group} waits any more")
        filled = engine.place_on(move.kind, move.target)
        if filled.failure is not None:
            what = f"does not fit instance {move.target}: {filled.failure.reason}"
            raise BrokenPlanError(f"step {number}: {move.kind.group} {what}")
        if known is None:
            left[move.kind] -= 1
            continue
        engine.cluster.release(known.kind, known.row, known.devices)
        where[known.task] = replace(known, row=move.target, devices=filled.devices[0])
    if left.total():
        raise BrokenPlanError(f"{left.total()} tasks still wait in the end")
    used = {t.row for t in where.values() if not t.daemon} | {
        move.target for move in moves if move.task is None
    }
    if used & set(freed):
        raise BrokenPlanError(f"instances {sorted(used & set(freed))} are not free in the end")
    engine.cluster.check()


def check_homes(state: RepackState, moves: tuple[Move, ...]) -> None:
    """Count the tasks of each kind by the values over which it is spread, before and after.

    Raises:
        BrokenPlanError: a plan changes them.
    """
    where = {t.task: (t.kind, t.row) for t in state.running}
    before = Counter((kind, state.home(kind, row)) for kind, row in where.values())
    where |= {move.task: (move.kind, move.target) for move in moves if move.task is not None}
    after = Counter((kind, state.home(kind, row)) for kind, row in where.values())
    changed = {kind.group for kind, _ in (before - after)}
    if changed:
        raise BrokenPlanError(f"{', '.join(sorted(changed))}: the plan changes the spread")
