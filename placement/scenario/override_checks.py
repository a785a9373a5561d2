"""What is wrong with the overrides of workloads, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition
from stowplan.placement.scenario.scenario import Scenario, ServiceTable, WorkloadTable
from stowplan.placement.taskdef.parse import TaskOverride
from stowplan.placement.taskdef.task_overrides import parse_task_override


def override_problems(
    scenario: Scenario, definitions: Mapping[str, TaskDefinition]
) -> Iterator[tuple[str, str]]:
    """Overrides that ECS would refuse, each with its place."""
    for index, table in enumerate(scenario.workload):
        try:
            parse_task_override(table.overrides, definitions.get(table.task_definition))
        except SpecError as error:
            for place, what in error.problems:
                yield f"workload[{index}].overrides.{place}", what


def override_of(table: ServiceTable | WorkloadTable) -> TaskOverride:
    """What tasks of a table have instead of their definition; nothing where that makes no sense."""
    if isinstance(table, ServiceTable):
        return TaskOverride()
    try:
        return parse_task_override(table.overrides)
    except SpecError:
        return TaskOverride()
