"""Peers of the churn rows: thirty lines of numpy a strategy, which look at all instances each time.

They keep what is left of CPU and memory and nothing else: no books, no explanations, no ports. What
they choose is what the strategy of that name chooses, so the bench holds ours to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stowplan.experiments.bench.worlds import ZONE
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.model import CPU, MEMORY

Array = NDArray[Any]


class Scan:
    """What is left of two resources, and of spreads the tasks by kind, instance and zone.

    Args:
        kinds: so many there are, each a group of its own.
    """

    def __init__(self, cluster: Cluster, kinds: int) -> None:
        columns = [cluster.resources.index(resource) for resource in (CPU, MEMORY)]
        self.cpu, self.memory = (cluster.remaining[:, column].copy() for column in columns)
        self.all_cpu, self.all_memory = (
            cluster.registered[:, column].astype(np.float64) for column in columns
        )
        self.most_cpu, self.most_memory = self.all_cpu.max(), self.all_memory.max()
        self.last = -1
        self.on = np.zeros((kinds, cluster.size), np.int64)
        self.zone, zones = cluster.column(ZONE)
        self.in_first = self.zone == zones.index("zone-0")
        self.in_zone = np.zeros((kinds, len(zones)), np.int64)

    def rows(self, cpu: int, memory: int) -> Array:
        """The instances with room."""
        return np.flatnonzero((self.cpu >= cpu) & (self.memory >= memory))

    def book(self, kind: int, row: int, cpu: int, memory: int, sign: int = 1) -> None:
        """A task begins on an instance; `sign` -1: it ends."""
        self.cpu[row] -= sign * cpu
        self.memory[row] -= sign * memory
        if sign > 0:
            self.last = row

    def book_spread(self, kind: int, row: int, cpu: int, memory: int, sign: int = 1) -> None:
        """The same, and it counts towards its group's spread."""
        self.book(kind, row, cpu, memory, sign)
        self.on[kind, row] += sign
        self.in_zone[kind, self.zone[row]] += sign

    def first_fit(self, kind: int, cpu: int, memory: int) -> int:
        """The first with room, without a list of them."""
        fits = (self.cpu >= cpu) & (self.memory >= memory)
        row = int(fits.argmax())
        return row if fits[row] else -1

    def next_fit(self, kind: int, cpu: int, memory: int) -> int:
        """The first with room from that used last on, round and round."""
        fits = (self.cpu >= cpu) & (self.memory >= memory)
        current = max(self.last, 0)
        for begin, part in ((current, fits[current:]), (0, fits[:current])):
            if part.size and part[row := int(part.argmax())]:
                return begin + row
        return -1

    def binpack(self, kind: int, cpu: int, memory: int) -> int:
        """Least memory left."""
        rows = self.rows(cpu, memory)
        return int(rows[self.memory[rows].argmin()]) if len(rows) else -1

    def binpack_distinct(self, kind: int, cpu: int, memory: int) -> int:
        """Least memory left, where no task of the group is."""
        rows = self.rows(cpu, memory)
        rows = rows[self.on[kind, rows] == 0]
        return int(rows[self.memory[rows].argmin()]) if len(rows) else -1

    def binpack_member(self, kind: int, cpu: int, memory: int) -> int:
        """Least memory left, in the first zone."""
        rows = np.flatnonzero((self.cpu >= cpu) & (self.memory >= memory) & self.in_first)
        return int(rows[self.memory[rows].argmin()]) if len(rows) else -1

    def _slack(self, rows: Array, cpu: int, memory: int) -> tuple[Array, Array]:
        """What would be left, as shares of the largest instance."""
        return (self.cpu[rows] - cpu) / self.most_cpu, (
            self.memory[rows] - memory
        ) / self.most_memory

    def best_fit(self, kind: int, cpu: int, memory: int) -> int:
        """Least left over both."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        of_cpu, of_memory = self._slack(rows, cpu, memory)
        return int(rows[(of_cpu + of_memory).argmin()])

    def worst_fit(self, kind: int, cpu: int, memory: int) -> int:
        """Most left over both."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        of_cpu, of_memory = self._slack(rows, cpu, memory)
        return int(rows[(of_cpu + of_memory).argmax()])

    def norm_greedy(self, kind: int, cpu: int, memory: int) -> int:
        """Least norm of what would be left."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        of_cpu, of_memory = self._slack(rows, cpu, memory)
        return int(rows[(of_cpu * of_cpu + of_memory * of_memory).argmin()])

    def dot_product(self, kind: int, cpu: int, memory: int) -> int:
        """Highest alignment of what is free with what is asked for."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        all_cpu, all_memory = self.all_cpu[rows], self.all_memory[rows]
        aligned = cpu / all_cpu * (self.cpu[rows] / all_cpu)
        aligned += memory / all_memory * (self.memory[rows] / all_memory)
        return int(rows[aligned.argmax()])

    def spread(self, kind: int, cpu: int, memory: int) -> int:
        """ECS's default: the zone with fewest tasks of the group, then the instance with fewest."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        of_zone = self.in_zone[kind][self.zone[rows]]
        rows = rows[of_zone == of_zone.min()]
        return int(rows[self.on[kind, rows].argmin()])

    def spread_binpack(self, kind: int, cpu: int, memory: int) -> int:
        """The zone with fewest tasks of the group, then least memory left."""
        rows = self.rows(cpu, memory)
        if not len(rows):
            return -1
        of_zone = self.in_zone[kind][self.zone[rows]]
        rows = rows[of_zone == of_zone.min()]
        return int(rows[self.memory[rows].argmin()])


Choice = Callable[[Scan, int, int, int], int]
# The chain, what chooses likewise, and whether that needs the counts of spreads.
SCANS: dict[tuple[str, ...], tuple[Choice, bool]] = {
    ("first_fit",): (Scan.first_fit, False),
    ("next_fit",): (Scan.next_fit, False),
    ("best_fit",): (Scan.best_fit, False),
    ("worst_fit",): (Scan.worst_fit, False),
    ("binpack:memory",): (Scan.binpack, False),
    ("dot_product",): (Scan.dot_product, False),
    ("norm_greedy",): (Scan.norm_greedy, False),
    (f"spread:{ZONE}", "spread:instanceId"): (Scan.spread, True),
    (f"spread:{ZONE}", "binpack:memory"): (Scan.spread_binpack, True),
}
# The same with a constraint.
CONSTRAINED: dict[str, tuple[Choice, bool]] = {
    "distinctInstance": (Scan.binpack_distinct, True),
    f"memberOf:{ZONE} == zone-0": (Scan.binpack_member, False),
}
