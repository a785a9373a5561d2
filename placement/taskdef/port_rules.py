"""Rules on port mappings (ecs-semantics 1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.placement.taskdef.api_model import usable

Problems = Iterator[tuple[str, str]]

PORT_RANGE = "containerPortRange"
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")


def port_rules(container: Mapping[str, Any], path: str, mode: str | None) -> Problems:
    """Rules on the port mappings of one container.

    A port may be mapped for tcp and for udp, and to several host ports: each is bound.
    """
    spans: list[tuple[int, int, str, bool]] = []
    for i, mapping in usable(container.get("portMappings")):
        here = f"{path}.portMappings[{i}]"
        port, host, ranged = (mapping.get(k) for k in ("containerPort", "hostPort", PORT_RANGE))
        if mode == "none":
            yield here, "network mode none allows no port mappings"
        if PORT_RANGE in mapping:
            yield from _range_rules(mapping, here, mode)
        elif "containerPort" not in mapping:
            yield f"{here}.containerPort", f"missing, and required unless {PORT_RANGE} is given"
        if port is not None and not 1 <= port <= 65535:
            yield f"{here}.containerPort", f"{port} is outside 1 to 65535"
        if host is not None and not 0 <= host <= 65535:
            yield f"{here}.hostPort", f"{host} is outside 0 to 65535"
        elif None not in (host, port) and host != port and mode in ("host", "awsvpc"):
            yield f"{here}.hostPort", f"must be absent or {port}, the containerPort, in {mode} mode"
        if mapping.get("name") is not None and not _PORT_NAME.fullmatch(mapping["name"]):
            what = "must be 1 to 64 lower-case letters, digits, underscores and hyphens"
            yield f"{here}.name", f"{what}, no hyphen first"
        span = _span(ranged) if ranged else (port, port) if port else None
        protocol = mapping.get("protocol", "tcp")
        if span and any(
            (ranged or r) and p == protocol and span[0] <= b and a <= span[1]
            for a, b, p, r in spans
        ):
            yield here, "overlaps another port mapping of this container"
        spans += [(*span, protocol, bool(ranged))] if span else []
    if sum(ranged for *_, ranged in spans) > 100:
        yield f"{path}.portMappings", "has more than 100 port ranges"


def _range_rules(mapping: Mapping[str, Any], path: str, mode: str | None) -> Problems:
    if mapping[PORT_RANGE] is not None and _span(mapping[PORT_RANGE]) is None:
        yield f"{path}.{PORT_RANGE}", "expected first-last, ascending, within 1 to 65535"
    if mode == "host":
        yield f"{path}.{PORT_RANGE}", "needs network mode bridge or awsvpc"
    for field in [name for name in ("containerPort", "hostPort") if name in mapping]:
        yield f"{path}.{field}", f"cannot be given together with {PORT_RANGE}"


def _span(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text, re.ASCII)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    return (first, last) if 1 <= first < last <= 65535 else None


def host_port_rules(containers: Mapping[str, Mapping[str, Any]], mode: str | None) -> Problems:
    """A host port is taken once in a task: ECS says "is mapped multiple times in task"."""
    taken: dict[tuple[str, int], str] = {}
    for path, container in containers.items() if mode in ("bridge", "host") else ():
        for i, mapping in usable(container.get("portMappings")):
            here, protocol = f"{path}.portMappings[{i}]", mapping.get("protocol", "tcp")
            port = mapping.get("containerPort" if mode == "host" else "hostPort")
            first = taken.setdefault((protocol, port), here) if port and protocol else here
            if first != here:
                yield f"{here}.hostPort", f"{protocol} host port {port} is already taken by {first}"
