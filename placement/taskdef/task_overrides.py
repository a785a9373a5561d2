"""`overrides` of RunTask and StartTask as AWS writes them, read whole: every mistake is named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stowplan.placement.errors import CallError, SpecError
from stowplan.placement.messages import ContainerOverride
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.api_model import conform
from stowplan.placement.taskdef.overrides import check_overrides
from stowplan.placement.taskdef.parse import TaskOverride

# Members of ECS's TaskOverride that change nothing here, or cannot be.
_UNREAD = ("ephemeralStorage", "inferenceAcceleratorOverrides")


def parse_task_override(given: Any, definition: TaskDefinition | None = None) -> TaskOverride:
    """The overrides of a call, from the shape `TaskOverride` of AWS's API model.

    Args:
        definition: of the tasks, which must have the containers that are named.
    Raises:
        SpecError: names every problem, as `containerOverrides[1].cpu`.
    """
    found, problems = conform(given, "TaskOverride")
    if problems:
        raise SpecError(problems)
    problems = [(name, "is for Fargate or Elastic Inference") for name in _UNREAD if name in found]
    sizes = {name: found.get(name) for name in ("cpu", "memory")}
    for name, text in sizes.items():
        if text is not None and not (text.isascii() and text.isdecimal()):
            problems.append((name, f"expected a whole number as text, found {text!r}"))
    containers = []
    for index, each in enumerate(found.get("containerOverrides", ())):
        if "name" not in each:
            problems.append((f"containerOverrides[{index}].name", "missing"))
        else:
            containers.append(container_override(each))
    if not problems and definition is not None:
        try:
            check_overrides(definition, containers)
        except CallError as error:
            problems.append(("containerOverrides", str(error)))
    if problems:
        raise SpecError(problems)
    cpu, memory = (None if text is None else int(text) for text in sizes.values())
    return TaskOverride(cpu, memory, (), tuple(containers))


def container_override(each: Mapping[str, Any]) -> ContainerOverride:
    """One of `containerOverrides`, which conforms to AWS's model and has a name."""
    required, files = each.get("resourceRequirements"), each.get("environmentFiles")
    return ContainerOverride(
        each["name"],
        tuple(each["command"]) if each.get("command") else None,
        tuple((e.get("name", ""), e.get("value", "")) for e in each.get("environment", ())),
        each.get("cpu"),
        each.get("memory"),
        each.get("memoryReservation"),
        None if required is None else tuple((r["type"], r["value"]) for r in required),
        None if files is None else tuple((f["type"], f["value"]) for f in files),
    )
