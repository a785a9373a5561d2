"""Rules on how the containers of a task name each other (ecs-semantics 1.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from stowplan.placement.taskdef.api_model import usable

Problems = Iterator[tuple[str, str]]
Named = Mapping[str, Mapping[str, Any]]

# What App Mesh's proxy cannot do without; of the two ids one is enough.
_PROXY_PROPERTIES = ("AppPorts", "ProxyIngressPort", "ProxyEgressPort")
_PROXY_IDS = {"IgnoredUID", "IgnoredGID"}


def link_rules(containers: Named, task: Mapping[str, Any]) -> Problems:
    """Names that containers give themselves and each other; nothing waits in a circle."""
    mode, named = task.get("networkMode", "bridge"), dict[str, Mapping[str, Any]]()
    graph: dict[str, list[str]] = {}
    for path, container in containers.items():
        name = container.get("name")
        if name and named.setdefault(name, container) is not container:
            yield f"{path}.name", f"another container is already named {name}"
    for path, container in containers.items():
        waits = graph.setdefault(container.get("name") or path, [])
        if container.get("links") and mode not in ("bridge", None):
            yield f"{path}.links", f"needs network mode bridge, not {mode}"
        for i, link in usable(container.get("links")):
            to = link.partition(":")[0]
            yield from _other(to, container, named, f"{path}.links[{i}]", waits)
        for i, volume in usable(container.get("volumesFrom")):
            here, source = f"{path}.volumesFrom[{i}].sourceContainer", volume.get("sourceContainer")
            if "sourceContainer" not in volume:
                yield here, "missing, and required"
            elif source is not None:
                yield from _other(source, container, named, here, waits)
        for i, dependency in usable(container.get("dependsOn")):
            here, on = f"{path}.dependsOn[{i}]", dependency.get("containerName")
            if on is not None and on not in named:
                yield f"{here}.containerName", f"no container is named {on}"
            elif on is not None:
                waits.append(on)
                yield from _condition_rules(dependency.get("condition"), on, named[on], here)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        yield "containerDefinitions", f"dependsOn, links, volumesFrom go in a circle: {circle}"
    yield from _proxy_rules(task.get("proxyConfiguration"), named)


def _other(
    name: str, container: Mapping[str, Any], named: Named, place: str, waits: list[str]
) -> Problems:
    """That another container has this name; it is created first, so `waits` gets it."""
    if name not in named or named[name] is container:
        yield place, f"no other container is named {name}"
    else:
        waits.append(name)


def _condition_rules(condition: Any, name: str, target: Mapping[str, Any], path: str) -> Problems:
    if condition == "HEALTHY" and "healthCheck" not in target:
        yield f"{path}.condition", f"HEALTHY needs a healthCheck in container {name}"
    if condition in ("COMPLETE", "SUCCESS") and target.get("essential", True):
        yield f"{path}.condition", f"{condition} needs container {name} to be essential: false"


def _proxy_rules(proxy: Mapping[str, Any] | None, named: Named) -> Problems:
    if not proxy:
        return
    name = proxy.get("containerName")
    if name is not None and name not in named:
        yield "proxyConfiguration.containerName", f"no container is named {name}"
    given = {each.get("name") for _, each in usable(proxy.get("properties"))}
    missing = [each for each in _PROXY_PROPERTIES if each not in given]
    if not _PROXY_IDS & given:
        missing.append("IgnoredUID or IgnoredGID")
    if missing and None not in given:
        yield "proxyConfiguration.properties", f"lacks {', '.join(missing)}"
