"""What each task of a command takes of its instance."""

from __future__ import annotations

from stowplan.experiments.record.leftovers import Demand
from stowplan.placement import messages as m
from stowplan.placement.model import CPU, MEMORY, PORTS
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.taskdef.parse import TaskOverride, task_resources


class Demands:
    """The amounts of tasks by task definition and override; each is worked out once."""

    def __init__(self, launches: Launches) -> None:
        self._launches = launches
        self._resources: dict[int, tuple[tuple[str, int], ...]] = {}
        self._known: dict[tuple[object, ...], Demand] = {}

    def note(self, call: m.RunTask) -> None:
        """Remember the resources that a call overrides."""
        if call.resources:
            self._resources[call.request] = call.resources

    def of(self, command: m.StartTasks) -> Demand:
        """What each task of a command takes: CPU, memory, then the others but ports."""
        resources = () if command.request is None else self._resources.get(command.request, ())
        key = command.task_definition, command.cpu, command.memory, resources
        if key not in self._known:
            override = TaskOverride(command.cpu, command.memory, resources, command.overrides)
            asked = task_resources(self._launches.definition(command.task_definition), override)
            others = [(n, a) for n, a in asked.items() if a and n not in (CPU, MEMORY, PORTS)]
            first = (CPU, asked.get(CPU, 0)), (MEMORY, asked.get(MEMORY, 0))
            self._known[key] = (*first, *others)
        return self._known[key]
