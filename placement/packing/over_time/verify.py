"""An independent check of plans over time: plain integers on the answer, no solver code."""

from __future__ import annotations

from collections import Counter

from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.verify import BrokenPackingError


def check_over_time(problem: OverTimeProblem, plan: OverTimePlan) -> int:
    """Walk through the plan start by start and end by end; what it costs, price an hour x ms.

    Raises:
        BrokenPackingError: names the first task or instance at which a rule is broken.
    """
    demand, most = problem.demand.tolist(), problem.most.tolist()
    types, instance = plan.types.tolist(), plan.instance.tolist()
    capacities = [[int(c) for c in offer.capacity] for offer in problem.types]
    held: list[Counter[int]] = [Counter() for _ in types]
    since = [0] * len(types)
    busy: Counter[int] = Counter()
    cost = 0
    for at_ms, starts, task in _changes(problem):
        if not 0 <= instance[task] < len(types):
            raise BrokenPackingError(f"task {task} is on no instance")
        where, kind = instance[task], int(problem.kind[task])
        t = types[where]
        if starts and not held[where].total():
            since[where], busy[t] = at_ms, busy[t] + 1
        held[where][kind] += 1 if starts else -1
        if not starts and not held[where].total():
            cost += problem.types[t].price * (at_ms - since[where])
            busy[t] -= 1
        limit = problem.types[t].limit
        if limit is not None and busy[t] > limit:
            raise BrokenPackingError(f"at {at_ms} ms {busy[t]} of {limit} {problem.types[t].name}")
        if held[where][kind] > most[kind][t]:
            raise BrokenPackingError(f"instance {where} holds too many tasks of kind {kind}")
        for k, room in enumerate(capacities[t]):
            used = sum(n * demand[other][k] for other, n in held[where].items() if n)
            if starts and used > room:
                raise BrokenPackingError(f"instance {where} holds {used} of {room} at {at_ms} ms")
    return cost


def _changes(problem: OverTimeProblem) -> list[tuple[int, bool, int]]:
    """(ms, whether it starts, task) in order of time, ends first; tasks without length left out."""
    spans = list(enumerate(zip(problem.start_ms.tolist(), problem.end_ms.tolist(), strict=True)))
    starts = [(start, True, task) for task, (start, end) in spans if end > start]
    return sorted(starts + [(end, False, task) for task, (start, end) in spans if end > start])
