"""From what agents measure to events and records: health of tasks, and what they use (ecs 9.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement.agentwire.frames import Document
from stowplan.placement.describe import ContainerInstance, Used
from stowplan.placement.model import CPU


def verdict(definition: Mapping[str, Any], containers: Sequence[Document]) -> bool | None:
    """The health of a task by PublishHealth: the worst of its essential containers (ecs 4.2)."""
    said = {each.get("containerName"): each.get("healthStatus") for each in containers}
    checked = [
        said.get(each["name"])
        for each in definition["containerDefinitions"]
        if each.get("essential", True) and each.get("healthCheck")
    ]
    if "UNHEALTHY" in checked:
        return False
    return True if checked and all(each == "HEALTHY" for each in checked) else None


def used(metric: Document, instance: ContainerInstance, now_ms: int) -> Used | None:
    """What a task used by PublishMetrics: the sum over its containers of the means of an interval.

    Agents count the CPU in per cent of all CPUs of the instance, memory in MiB.
    """
    cpu = memory = 0.0
    heard = False
    for container in metric.get("containerMetrics", ()):
        share, mib = _mean(container.get("cpuStatsSet")), _mean(container.get("memoryStatsSet"))
        heard |= share is not None or mib is not None
        cpu += (share or 0.0) / 100 * instance.registered.get(CPU, 0)
        memory += mib or 0.0
    return Used(cpu, memory, now_ms) if heard else None


def _mean(stats: Any) -> float | None:
    if not isinstance(stats, dict) or not stats.get("sampleCount"):
        return None
    return float(stats.get("sum", 0.0)) / int(stats["sampleCount"])
