"""How many more instances the waiting tasks of a capacity provider need (ecs-semantics 6.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.engine import Engine
from stowplan.placement.messages.capacity import CreateCapacityProvider
from stowplan.placement.model import AVAILABILITY_ZONE, TaskKind


class Templates:
    """An empty instance of each type in each zone of an Auto Scaling group, to count room by."""

    def __init__(self, call: CreateCapacityProvider, engine: Engine) -> None:
        cluster = Cluster()
        for template in call.launch_templates:
            for zone in call.zones:
                attributes = {**template.attributes, AVAILABILITY_ZONE: zone}
                strings = instance_strings("i-template", attributes, call.capacity_provider)
                # The ports that an agent reserves by itself, as InstanceRegistered has them.
                ports = [("tcp", port) for port in (22, 2375, 2376, 51678, 51679)]
                row = cluster.size
                cluster.register(row, template.resources, strings, reserved_ports=ports)
        self._engine = engine.on(cluster)

    def needed(self, waiting: Iterable[tuple[TaskKind, int]]) -> int | None:
        """Instances for the group of equal tasks that needs most of them; None: none can be placed.

        A lower bound, as ECS's is: by packing alone, on an instance that has the most of each
        resource of any type. A group that would not fit one that has the least of each is left out.
        """
        groups: Counter[tuple[object, ...]] = Counter()
        room: dict[tuple[object, ...], int] = {}
        for kind, count in waiting:
            per_instance = self._per_instance(kind)
            if not per_instance:
                continue
            apart = any(check.most is not None for check in self._engine.checks(kind))
            key = (kind.resources, kind.tcp_ports, kind.udp_ports, kind.group if apart else None)
            groups[key] += count
            room[key] = per_instance
        return max((-(-count // room[key]) for key, count in groups.items()), default=None)

    def _per_instance(self, kind: TaskKind) -> int:
        """Tasks of a kind on the largest empty instance; 0: the smallest could not hold one.

        A constraint with code of its own is not asked about an instance that is not there.
        """
        cluster = self._engine.cluster
        demand = cluster.demand(kind)
        smallest, largest = cluster.registered.min(axis=0), cluster.registered.max(axis=0)
        stated = self._engine.stated(kind)
        if (demand > smallest).any() or not self._engine.fixed_mask(stated).any():
            return 0
        wanted = demand > 0
        fits = int((largest[wanted] // demand[wanted]).min()) if wanted.any() else np.iinfo(int).max
        limits = [c.most for c in self._engine.checks(kind) if c.most is not None]
        if kind.tcp_ports or kind.udp_ports:
            limits.append(1)
        return min([int(fits), *limits])
