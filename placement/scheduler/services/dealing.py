"""Which capacity providers the new tasks of a service go to."""

from __future__ import annotations

from collections import Counter

from stowplan.placement.scheduler.capacity.strategy import deal
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import Launch, TaskTable


def dealt(service: Service, tasks: TaskTable, count: int) -> list[tuple[Launch, int]]:
    """`count` new tasks by launch: one launch for each capacity provider that gets some of them."""
    strategy = service.call.capacity_provider_strategy
    if service.daemon or not strategy:
        return [(service.launch, count)]
    have: Counter[str | None] = Counter()
    if len(strategy) > 1:
        have.update(tasks.launch[task].kind.capacity_provider for task in service.primary.tasks)
    names = [item.capacity_provider for item in strategy]
    counts = deal(strategy, count, [have[name] for name in names])
    pairs = zip(names, counts, strict=True)
    return [(service.primary.launch_on(name), n) for name, n in pairs if n]
