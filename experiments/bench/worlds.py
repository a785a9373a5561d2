"""Fleets of mixed instance types and tasks of mixed sizes to measure placement on."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    CPU,
    ENI,
    GPU,
    INSTANCE_TYPE,
    MEMORY,
    PORTS,
    PlacementConstraint,
    PlacementStrategy,
    TaskKind,
)

ZONE = f"attribute:{AVAILABILITY_ZONE}"
FLEET = ("m5.large", "m5.xlarge", "m5.2xlarge", "c5.xlarge", "c5.2xlarge", "r5.xlarge", "r5.large")
WITH_GPUS = (*FLEET, "g4dn.xlarge", "g4dn.12xlarge", "g5.xlarge")
TASKS_PER_INSTANCE = 20
CPU_UNITS = (32, 64, 96, 128)
MEMORY_MIB = (64, 128, 192, 256, 384, 512)
# What memberOf asks for where a case has it; every clause leaves instances out.
THREE_CLAUSES = (
    "attribute:stack == prod "
    "and attribute:ecs.instance-type =~ '(m5|c5|r5|g4dn|g5)[.](x|2x|12x).*' "
    "and attribute:rack not_in [r1, r2, r3]"
)


def chain(*links: str) -> tuple[PlacementStrategy, ...]:
    """Strategies from `type` or `type:field`."""
    return tuple(PlacementStrategy(*link.split(":", 1)) for link in links)


def fleet(count: int, rng: Generator, types: tuple[str, ...] = FLEET, zones: int = 3) -> Cluster:
    """A cluster of `count` instances of `types`, with zone, type, stack and rack drawn."""
    table = instance_types()
    cluster = Cluster()
    drawn = rng.integers(0, (len(types), zones, 10, 40), (count, 4)).tolist()
    for row, (number, zone, stack, rack) in enumerate(drawn):
        of = table[types[number]]
        resources = {CPU: of.cpu, MEMORY: of.memory, ENI: of.eni_slots, GPU: of.gpus}
        attributes = {
            AVAILABILITY_ZONE: f"zone-{zone}",
            INSTANCE_TYPE: types[number],
            "stack": "prod" if stack < 8 else "dev",
            "rack": f"r{rack}",
        }
        cluster.register(row, resources, instance_strings(f"i-{row:08x}", attributes))
    return cluster


def mixed_kinds(
    count: int, rng: Generator, strategies: tuple[PlacementStrategy, ...], shrink: int = 1
) -> tuple[TaskKind, ...]:
    """Kinds of mixed sizes, each a group of its own; small enough for 20 tasks an instance."""
    sizes = [(CPU_UNITS[i % 4] // shrink, MEMORY_MIB[i % 6] // shrink) for i in range(count)]
    rng.shuffle(sizes)
    return tuple(
        TaskKind(((CPU, cpu), (MEMORY, memory)), f"service:{number}", strategies=strategies)
        for number, (cpu, memory) in enumerate(sizes)
    )


def demanding_kinds(count: int, strategies: tuple[PlacementStrategy, ...]) -> tuple[TaskKind, ...]:
    """All under a memberOf of three clauses; each third wants a host port, each tenth a GPU."""
    constraint = PlacementConstraint("memberOf", THREE_CLAUSES)
    kinds = []
    for i in range(count):
        resources = [(CPU, CPU_UNITS[i % 4]), (MEMORY, MEMORY_MIB[i % 6])]
        ports = (8000 + i,) if i % 3 == 0 else ()
        resources += [(PORTS, 1)] if ports else []
        resources += [(GPU, 1)] if i % 10 == 4 else []
        kinds.append(
            TaskKind(
                tuple(resources),
                f"service:{i}",
                tcp_ports=ports,
                constraints=(constraint,),
                strategies=strategies,
            )
        )
    return tuple(kinds)


def batch(kinds: tuple[TaskKind, ...], count: int, rng: Generator) -> TaskBatch:
    """`count` tasks, each of any kind, as likely."""
    return TaskBatch(kinds, rng.integers(0, len(kinds), count).astype(np.int32))
