"""Availability Zone rebalancing: one task more where there are fewest (ecs-semantics 5.7)."""

from __future__ import annotations

import numpy as np

from stowplan.placement.engine.engine import Engine, Filled
from stowplan.placement.model import AVAILABILITY_ZONE, TaskKind
from stowplan.placement.scheduler.services.deployments import Service
from stowplan.placement.scheduler.tasks import TaskTable

ZONE = f"attribute:{AVAILABILITY_ZONE}"


def place_for_balance(
    service: Service, kind: TaskKind, engine: Engine, tasks: TaskTable
) -> Filled | None:
    """Book one task of `kind`, a steady service's, in its emptiest zone.

    Where zones differ by more than one. A zone counts if it has an ACTIVE instance that the service
    may use. The surplus task that this makes is stopped in the fullest zone once the new one is
    healthy. None where nothing is to be done, or where there is no room.
    """
    full = len(service.tasks) + len(service.leaving) >= service.ceiling
    if not is_eligible(service, engine) or full:
        return None
    cluster = engine.cluster
    codes = cluster.column(ZONE).codes
    usable = cluster.active & engine.fixed_mask(kind) & (codes >= 0)
    zones = np.unique(codes[usable])
    rows = [tasks.instance[task] for task in service.tasks]
    counts = np.bincount(codes[rows][codes[rows] >= 0], minlength=int(codes.max(initial=-1)) + 1)
    if len(zones) < 2 or counts[zones].max() - counts[zones].min() < 2:
        return None
    placed = engine.place_within(kind, codes == zones[counts[zones].argmin()])
    return None if placed.failure is not None else placed


def is_eligible(service: Service, engine: Engine) -> bool:
    """Whether ECS would rebalance a service: it spreads over zones first, or names no strategy."""
    call, kind = service.call, service.launch.kind
    return (
        call.availability_zone_rebalancing
        and call.maximum_percent > 100
        and _spreads_zones_first(kind)
        and not any(
            c.query and AVAILABILITY_ZONE in c.query.attributes for c in engine.checks(kind)
        )
    )


def _spreads_zones_first(kind: TaskKind) -> bool:
    first = kind.strategies[0] if kind.strategies else None
    return first is not None and first.type == "spread" and first.field == ZONE
