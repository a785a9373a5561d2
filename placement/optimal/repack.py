"""Moving running tasks: the fewest moves that free instances, or make waiting tasks fit.

Each plan is a sequence of moves that can be carried out one after the other, start before stop, and
is walked once more by `repack_order.check_moves` before it is returned. Bounds hold for every plan,
whatever its order. Tasks that `RepackState` does not move stay in every plan that is considered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stowplan.placement.cluster.arrays import names
from stowplan.placement.cluster.cluster import IntArray
from stowplan.placement.model import AVAILABILITY_ZONE, TaskKind
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.asked import TaskSet
from stowplan.placement.optimal.demand import refuse_volatile
from stowplan.placement.optimal.repack_order import (
    Move,
    Order,
    check_homes,
    check_moves,
    order_moves,
)
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.packing.problem import Limits, Progress, ProgressCallback, Status
from stowplan.placement.packing.repack.problem import RepackProblem
from stowplan.placement.packing.repack.rounding import (
    Solved,
    evacuate,
    fewest_used,
    improve,
    least_moves,
)
from stowplan.placement.packing.state import Budget

SpreadBy = Callable[[TaskKind], str | None]
FEWEST_SHARE = 0.5  # of the budget, for how few can be in use at all
FIRST_SHARE = 0.6  # of what is left of the budget, for the best that may be possible


@dataclass(frozen=True)
class RepackPlan:
    """Moves in order, and what they lead to.

    Args:
        freed: rows that hold a task now and none in the end, daemons apart.
        used: instances that hold a task in the end.
        used_at_least: no moves whatever lead to fewer instances (proven);
            None where that was not asked.
        names, zones: of all instances, by row.
    """

    moves: tuple[Move, ...]
    freed: tuple[int, ...]
    used: int
    used_at_least: int | None
    names: tuple[str, ...]
    zones: tuple[str, ...] = ()


def spread_field(kind: TaskKind) -> str | None:
    """The attribute over which the first strategy of a kind spreads it, as `attribute:NAME`."""
    first = kind.strategies[0] if kind.strategies else None
    if first is None or first.type != "spread" or not first.field:
        return None
    return first.field if first.field.startswith("attribute:") else None


def keep_spread(
    made: Callable[[SpreadBy], RepackState],
    solve: Callable[[RepackState], Answer[RepackPlan]],
    spread_by: SpreadBy = spread_field,
) -> Answer[RepackPlan]:
    """A plan after which every service has as many tasks in each zone as before.

    Where there is none, one that gives this up, and says whose spread changes and why.

    Args:
        made: the state where kinds are spread by what a function says.
        solve: one of the goals of this module.
        spread_by: the attribute over which a kind is spread; zones, or any other.
    """
    state = made(spread_by)
    spread = {t.kind.group for t in state.movable if spread_by(t.kind) is not None}
    answer = solve(state)
    if not spread:
        return answer
    if answer.status != "infeasible":
        many = "1 service" if len(spread) == 1 else f"{len(spread)} services or groups"
        note = f"spread kept: {many} that are spread keep as many tasks in each zone as now"
        return replace(answer, notes=(*answer.notes, note)) if answer.plan else answer
    given_up = solve(made(lambda _: None))
    if given_up.plan is None:
        return given_up
    notes = [f"spread given up: were it kept, {', '.join(answer.reasons)}"]
    notes += _spread_changes(state, given_up.plan.moves)
    return replace(given_up, notes=(*given_up.notes, *notes))


def _spread_changes(state: RepackState, moves: tuple[Move, ...]) -> list[str]:
    """`service:web: a 1, b 1 becomes a 2, b 0`, of each group of which that changes."""
    where = {t.task: (t.kind, t.row) for t in state.running}
    after = where | {m.task: (m.kind, m.target) for m in moves if m.task is not None}
    counts: list[dict[str, Counter[str]]] = [defaultdict(Counter), defaultdict(Counter)]
    for tasks, by_group in zip((where, after), counts, strict=True):
        for kind, row in tasks.values():
            home = state.home(kind, row)
            if home is not None:
                by_group[kind.group][home] += 1
    lines = []
    for group, old in counts[0].items():
        new = counts[1][group]
        if new != old:
            values = sorted({*old, *new})
            texts = [", ".join(f"{v} {c[v]}" for v in values) for c in (old, new)]
            lines.append(f"{group}: {texts[0]} becomes {texts[1]}")
    return lines


def free_instances(
    state: RepackState,
    count: int | None = None,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> Answer[RepackPlan]:
    """The fewest moves that free `count` instances more than are free now.

    With None as many as can be: `objective` and `lower_bound` are then moves for the number freed
    in the plan, and the status is "optimal" only if it is also proven that no more can be freed.
    """
    run = _Run(state, limits, progress)
    return run.guarded(lambda: run.free(count))


def make_room(
    state: RepackState,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> Answer[RepackPlan]:
    """The fewest moves after which all of `state.waiting` have started.

    Raises:
        SpecError: one that waits has a constraint that depends on what else is running.
    """
    waiting = [TaskSet(kind, 1, kind.group, "") for kind in dict.fromkeys(state.waiting)]
    refuse_volatile(waiting, given=True)
    run = _Run(state, limits, progress)
    return run.guarded(lambda: run.fit(state.problem()))


def trade_off(
    state: RepackState,
    price: IntArray,
    move_cost: int,
    limits: Limits | None = None,
    progress: ProgressCallback | None = None,
) -> Answer[RepackPlan]:
    """The least of price of the instances in use and cost of the moves that lead there.

    Args:
        price: (instances,) what each costs as long as it is in use, for as long as a freed one
            would stay free; in the unit of `move_cost`, say microdollars.
    """
    run = _Run(state, limits, progress, "microusd")
    priced = np.where(state.engine.cluster.present, price, 0)
    return run.guarded(lambda: run.fit(state.problem(price=priced, move_cost=move_cost)))


class _Run:
    """One solve: its budget, its log, and the best plan that can be carried out."""

    def __init__(
        self,
        state: RepackState,
        limits: Limits | None,
        progress: ProgressCallback | None,
        unit: str = "moves",
    ) -> None:
        self.state, self.unit = state, unit
        self.limits = limits or Limits()
        self.budget = Budget(self.limits)
        self._progress, self._log = progress, list[Progress]()
        used = np.zeros(state.engine.cluster.size, np.bool_)
        used[[t.row for t in state.running if not t.daemon]] = True
        self.used = used
        self.kept = int((used & ~state.releasable).sum())
        self.used_at_least: int | None = None
        self.interrupted = False

    def guarded(self, solve: Callable[[], Answer[RepackPlan]]) -> Answer[RepackPlan]:
        """What `solve` answers; on Ctrl-C before any contents, that nothing was found yet."""
        try:
            return solve()
        except KeyboardInterrupt:
            return replace(
                self._none("unknown", "interrupted before anything was found"), interrupted=True
            )

    def free(self, count: int | None) -> Answer[RepackPlan]:
        """See `free_instances`."""
        state = self.state
        free_now = int((state.releasable & ~self.used).sum())
        part = self.budget.part(FEWEST_SHARE)
        fewest = fewest_used(state.problem(), part)
        self.budget.spend(1e6 * part.work)
        self.used_at_least = self.kept + fewest
        most = int(state.releasable.sum()) - fewest
        wanted = most if count is None else free_now + count
        while wanted <= most:
            found, solved = self._solve(state.problem(free=wanted), count is None)
            if solved.infeasible and wanted == most:
                most -= 1
                self.used_at_least = self.kept + int(state.releasable.sum()) - most
            if found.plan is not None or (count is not None and not solved.infeasible):
                proven = count is not None or wanted == most
                return found if proven else self._perhaps_more(found)
            if count is None:
                wanted -= 1
        why = f"at most {most - free_now} instances can be freed"
        return self._none("infeasible", why)

    def _perhaps_more(self, found: Answer[RepackPlan]) -> Answer[RepackPlan]:
        """The fewest moves for what they free; more might be freed."""
        why = "that no more instances can be freed was not proven in time"
        return replace(found, status="feasible", notes=(*found.notes, why))

    def fit(self, problem: RepackProblem) -> Answer[RepackPlan]:
        """The cheapest contents, reached step by step."""
        found, solved = self._solve(problem, share=False)
        if solved.infeasible:
            return self._none("infeasible", "no moves make room for all that wait")
        return found

    def _solve(self, problem: RepackProblem, share: bool) -> tuple[Answer[RepackPlan], Solved]:
        """Contents, then an order; the cheapest contents that have an order are taken."""
        budget = self.budget.part(FIRST_SHARE if share else 1.0)
        solved = Solved(least_moves(problem))
        try:
            if not self.interrupted:
                improve(solved, problem, budget)
        except KeyboardInterrupt:
            self.interrupted = True
        if self.interrupted:
            solved.offer(problem, evacuate(problem))
        self.budget.spend(1e6 * budget.work)
        waiting = len(self.state.waiting)
        bound = solved.bound - problem.move_cost * waiting
        self._note(bound, None)
        stuck: Order | None = None
        for contents in reversed(solved.found):
            order = order_moves(self.state, contents, self.limits.seed)
            if not order.stuck:
                parkings = sum(move.parking for move in order.moves)
                cost = problem.cost(contents) + problem.move_cost * (parkings - waiting)
                return self._plan(order, cost, bound), solved
            stuck = order
        why = "no contents were found within the limits"
        if stuck is not None:
            names = ", ".join(map(str, stuck.stuck))
            why = f"tasks {names} stand in each other's way, and no instance has room to park one"
        return replace(self._none("unknown", why), lower_bound=bound), solved

    def _plan(self, order: Order, cost: int, bound: int) -> Answer[RepackPlan]:
        where = {t.task: t.row for t in self.state.running if not t.daemon}
        where |= {move.task: move.target for move in order.moves if move.task is not None}
        used = set(where.values()) | {m.target for m in order.moves if m.task is None}
        freed = tuple(sorted(set(np.flatnonzero(self.used).tolist()) - used))
        state = self.state
        check_moves(state.engine, state.running, state.waiting, order.moves, freed)
        check_homes(state, order.moves)
        cluster = state.engine.cluster
        ids = tuple(names(cluster.column("ec2InstanceId"), range(cluster.size)))
        zones = tuple(names(cluster.column(f"attribute:{AVAILABILITY_ZONE}"), range(cluster.size)))
        plan = RepackPlan(order.moves, freed, len(used), self.used_at_least, ids, zones)
        self._note(bound, cost)
        status: Status = "optimal" if cost <= bound else "feasible"
        return self._answer(status, cost, bound, plan)

    def _none(self, status: Status, why: str) -> Answer[RepackPlan]:
        return self._answer(status, None, 0, None, (why,))

    def _answer(
        self,
        status: Status,
        cost: int | None,
        bound: int,
        plan: RepackPlan | None,
        reasons: tuple[str, ...] = (),
    ) -> Answer[RepackPlan]:
        seconds, log = self.budget.seconds(), tuple(self._log)
        return Answer(
            "repack", self.unit, status, cost, bound, plan, reasons, seconds, self.interrupted, log
        )  # fmt: skip

    def _note(self, bound: int, cost: int | None) -> None:
        entry = Progress(self.budget.seconds(), bound, cost)
        self._log.append(entry)
        if self._progress:
            self._progress(entry)
