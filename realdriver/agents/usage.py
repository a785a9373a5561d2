"""What the containers of tasks use, as an agent's telemetry tells it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from stowplan.placement.agentwire.frames import Document
from stowplan.placement.driver import DriverError
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection

_MIB = 1 << 20


class Meter:
    """Asks an engine; between two looks lies an interval, whose means are told.

    Args:
        table: with one engine.
        cluster: the label of the containers.
    """

    def __init__(self, table: EnginesTable, cluster: str) -> None:
        self._connection = Connection(table.engine[0], table)
        self._cluster = cluster
        # Per cent are of all CPUs of the instance, as ECS's agent counts them.
        self._cpus = (table.engine[0].cpu or 1024) / 1024
        self._before: dict[str, tuple[float, int]] = {}

    def metrics(self, running: Mapping[str, tuple[int, Sequence[str]]]) -> list[Document]:
        """`taskMetrics` since the last call, by the ARNs of tasks: their numbers and containers."""
        found, before, self._before = [], self._before, {}
        for arn, (number, containers) in running.items():
            told = [self._one(number, name, before) for name in containers]
            found.append({"taskArn": arn, "containerMetrics": [each for each in told if each]})
        return found

    def _one(
        self, number: int, container: str, before: Mapping[str, tuple[float, int]]
    ) -> Document | None:
        name = names.container_name(self._cluster, number, container)
        with suppress(DriverError, KeyError):
            used_ns, size = self._connection.usage(name)
            now_s = time.monotonic()
            self._before[name] = now_s, used_ns
            said: Document = {"containerName": container, "memoryStatsSet": _single(size / _MIB)}
            if name in before:
                then_s, then_ns = before[name]
                per_cent = (used_ns - then_ns) / 1e7 / max(now_s - then_s, 1e-3) / self._cpus
                said["cpuStatsSet"] = _single(max(0.0, per_cent))
            return said
        return None


def _single(value: float) -> Document:
    return {"min": value, "max": value, "sampleCount": 1, "sum": value}
