"""Which capacity providers the new tasks of a service go to."""

from __future__ import annotations

from collections import Counter

from stowplan.placement.scheduler.capacity.strategy import deal
from stowplan.placement.scheduler.services.deployments import Deployment, Service
from stowplan.placement.scheduler.tasks import Launch, TaskTable


def dealt(
    service: Service, tasks: TaskTable, count: int, deployment: Deployment | None = None
) -> list[tuple[Launch, int]]:
    """`count` new tasks by launch: one launch for each capacity provider that gets some of them.

    They are of a deployment, by default the PRIMARY one.
    """
    deployment = deployment or service.primary
    strategy = service.call.capacity_provider_strategy
    if service.daemon or not strategy:
        return [(deployment.launch, count)]
    have: Counter[str | None] = Counter()
    if len(strategy) > 1:
        have.update(tasks.launch[task].kind.capacity_provider for task in deployment.tasks)
    names = [item.capacity_provider for item in strategy]
    counts = deal(strategy, count, [have[name] for name in names])
    pairs = zip(names, counts, strict=True)
    return [(deployment.launch_on(name), n) for name, n in pairs if n]
