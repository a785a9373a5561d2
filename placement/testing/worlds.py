"""Builders of small worlds: a cluster, an instance, a kind of task, each in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement.cluster.cluster import Cluster, instance_strings
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    CPU,
    MEMORY,
    PORTS,
    PlacementConstraint,
    PlacementStrategy,
    TaskKind,
)


def make_cluster(
    count: int = 0, zones: Sequence[str] = ("a",), cpu: int = 1024, memory: int = 1024, **more: Any
) -> Cluster:
    """A cluster of `count` equal instances, `zones` in turn; `more` as `add_instance` takes it."""
    cluster = Cluster()
    for index in range(count):
        add_instance(cluster, cpu, memory, zone=zones[index % len(zones)], **more)
    return cluster


def add_instance(
    cluster: Cluster,
    cpu: int = 1024,
    memory: int = 1024,
    *,
    zone: str | None = None,
    attributes: Mapping[str, str] | None = None,
    reserved_ports: Sequence[tuple[str, int]] = (),
    devices: Sequence[int] = (),
    capacity_provider: str | None = None,
    at_ms: int = 0,
    row: int | None = None,
    resources: Mapping[str, int] | None = None,
) -> int:
    """Register one more instance, `i-ROW` by name, and return its row.

    `row` renews a known one instead; `resources` are those other than CPU and memory, by name.
    """
    row = cluster.size if row is None else row
    named = dict(attributes or {}) | ({} if zone is None else {AVAILABILITY_ZONE: zone})
    cluster.register(
        row,
        {CPU: cpu, MEMORY: memory, **(resources or {})},
        instance_strings(f"i-{row}", named, capacity_provider),
        reserved_ports=reserved_ports,
        devices=devices,
        at_ms=at_ms,
    )
    return row


def make_kind(
    cpu: int = 0,
    memory: int = 0,
    *,
    group: str = "family:app",
    strategies: Sequence[str] = (),
    constraints: Sequence[str] = (),
    tcp: Sequence[int] = (),
    udp: Sequence[int] = (),
    required_attributes: Sequence[str] = (),
    zones: Sequence[str] = (),
    capacity_provider: str | None = None,
    devices: int = 0,
    device_milli: int = 0,
    resources: Mapping[str, int] | None = None,
    expected_ms: int | None = None,
) -> TaskKind:
    """A kind of task. Strategies are `type` or `type:field`, constraints `type:expression`."""
    wanted = {CPU: cpu, MEMORY: memory, PORTS: len(tcp) + len(udp), **(resources or {})}
    return TaskKind(
        tuple((name, amount) for name, amount in wanted.items() if amount),
        group,
        tuple(tcp),
        tuple(udp),
        tuple(required_attributes),
        tuple(zones),
        tuple(PlacementConstraint(*_split(text)) for text in constraints),
        tuple(PlacementStrategy(*_split(text)) for text in strategies),
        capacity_provider,
        devices,
        device_milli,
        expected_ms,
    )


def _split(text: str) -> tuple[str, str | None]:
    kind, colon, rest = text.partition(":")
    return kind, rest if colon else None
