"""RunTask's overrides for containers: what they must be, and a definition they are applied to.

ECS adds the environment of an override to that of the definition, or replaces what has the same
name; all else is replaced (API reference, `ContainerOverride`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from stowplan.placement.errors import CallError
from stowplan.placement.messages import ContainerOverride
from stowplan.placement.model import ContainerDefinition, TaskDefinition
from stowplan.placement.units import not_whole

JSON_MOST = 8_192  # characters of all overrides of a call (ecs-semantics 7)
_INVALID = "InvalidParameterException"


def check_overrides(definition: TaskDefinition, overrides: Sequence[ContainerOverride]) -> None:
    """Raises CallError where ECS refuses overrides of this definition."""
    names = {each.name for each in definition.containers}
    for each in overrides:
        if each.name not in names:
            what = f"Override for container named {each.name} is not a container in the "
            raise CallError(_INVALID, what + "TaskDefinition.")
        for field in ("cpu", "memory", "memory_reservation"):
            value = getattr(each, field)
            if value is not None and (wrong := not_whole(value, 0 if field == "cpu" else 1)):
                raise CallError(_INVALID, f"{field} of the override of {each.name}: {wrong}")
        _check_requirements(each)
    if len(overrides) > len({each.name for each in overrides}):
        raise CallError(_INVALID, "a container is overridden twice")
    if len(msgspec.json.encode(overrides)) > JSON_MOST:
        raise CallError(_INVALID, f"overrides of more than {JSON_MOST} characters")
    for container in overridden(definition, overrides):
        hard, soft = container.memory, container.memory_reservation
        if hard is not None and soft is not None and hard < soft:
            what = f"memory {hard} of {container.name} is less than its reservation {soft}"
            raise CallError(_INVALID, what)


def _check_requirements(override: ContainerOverride) -> None:
    for kind, value in override.resource_requirements or ():
        if kind != "GPU":
            what = f"resource requirement {kind} of the override of {override.name}: only GPU is"
            raise CallError(_INVALID, f"{what} had on EC2")
        if not (value.isascii() and value.isdecimal() and int(value)):
            what = f"{kind} of the override of {override.name}: {value!r} is no whole number of 1"
            raise CallError(_INVALID, f"{what} or more")


def overridden(
    definition: TaskDefinition, overrides: Sequence[ContainerOverride]
) -> tuple[ContainerDefinition, ...]:
    """The containers of a definition with the sizes that overrides give them."""
    by_name = {each.name: each for each in overrides}
    return tuple(
        _sized(each, by_name[each.name]) if each.name in by_name else each
        for each in definition.containers
    )


def with_overrides(
    definition: TaskDefinition, overrides: Sequence[ContainerOverride]
) -> TaskDefinition:
    """The definition that a task with these overrides runs by; its name stays."""
    if not overrides:
        return definition
    by_name = {each.name: each for each in overrides}
    document = dict(definition.document)
    document["containerDefinitions"] = [
        _documented(each, by_name[each["name"]]) if each["name"] in by_name else each
        for each in document.get("containerDefinitions", ())
    ]
    containers = overridden(definition, overrides)
    return replace(definition, containers=containers, document=document)


def _sized(container: ContainerDefinition, override: ContainerOverride) -> ContainerDefinition:
    soft, required = override.memory_reservation, override.resource_requirements
    return replace(
        container,
        cpu=container.cpu if override.cpu is None else override.cpu,
        memory=container.memory if override.memory is None else override.memory,
        memory_reservation=container.memory_reservation if soft is None else soft,
        gpus=container.gpus if required is None else sum(int(n) for _, n in required),
    )


def _documented(container: dict[str, Any], override: ContainerOverride) -> dict[str, Any]:
    found = dict(container)
    sizes = (override.cpu, override.memory, override.memory_reservation)
    for name, value in zip(("cpu", "memory", "memoryReservation"), sizes, strict=True):
        if value is not None:
            found[name] = value
    if override.command is not None:
        found["command"] = list(override.command)
    if override.environment:
        given = dict(override.environment)
        kept = [each for each in container.get("environment", ()) if each["name"] not in given]
        found["environment"] = [*kept, *({"name": n, "value": v} for n, v in given.items())]
    for name, pairs in (
        ("resourceRequirements", override.resource_requirements),
        ("environmentFiles", override.environment_files),
    ):
        if pairs is not None:
            found[name] = [{"type": kind, "value": value} for kind, value in pairs]
    return found
