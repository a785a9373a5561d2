"""From API calls to what placement reads: task definitions by name, and the kinds made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.cluster.arrays import Memo
from stowplan.placement.errors import CallError, PlacementError
from stowplan.placement.model import (
    CONSTRAINTS_MAX,
    RUN_TASK_DEFAULT_STRATEGIES,
    SERVICE_DEFAULT_STRATEGIES,
    STRATEGIES_MAX,
    PlacementConstraint,
    PlacementStrategy,
    TaskDefinition,
    TaskKind,
)
from stowplan.placement.scheduler.tasks import Launch
from stowplan.placement.taskdef.overrides import check_overrides
from stowplan.placement.taskdef.parse import (
    TaskOverride,
    host_ports,
    parse_task_definition,
    task_resources,
)


class Launches:
    """The registered task definitions, and the launches that calls make of them."""

    def __init__(self) -> None:
        self._families: dict[str, list[TaskDefinition]] = {}
        self._inactive: set[str] = set()
        self._kinds: Memo[object, TaskKind] = Memo()
        # What RunTask calls that differ by their request alone become: a kind, and the definition's
        # name, for as long as the definitions stay as they are.
        self._calls: Memo[object, tuple[TaskKind, str]] = Memo()
        self._last: Memo[object, tuple[tuple[object, ...], tuple[TaskKind, str]]] = Memo()

    def register(self, document: Mapping[str, Any]) -> TaskDefinition:
        """Add the next revision of a family.

        Raises:
            SpecError: the document is not a valid task definition.
        """
        definition = parse_task_definition(document)
        revisions = self._families.setdefault(definition.family, [])
        definition = parse_task_definition(document, revision=len(revisions) + 1)
        revisions.append(definition)
        self._calls.clear()
        self._last.clear()
        return definition

    def definition(self, name: str) -> TaskDefinition:
        """The definition called `family:revision`; `family` alone means the latest revision.

        Raises:
            PlacementError: nothing of that name is registered.
        """
        family, _, revision = name.partition(":")
        revisions = self._families.get(family, [])
        number = int(revision) if revision.isdecimal() else 0 if revision else len(revisions)
        if not revision and self._inactive:
            while number and revisions[number - 1].name in self._inactive:
                number -= 1
        if not 1 <= number <= len(revisions):
            raise PlacementError(f"unknown task definition {name!r}")
        return revisions[number - 1]

    def active(self, name: str) -> TaskDefinition:
        """The definition of that name, for a call that may only name one that is ACTIVE.

        Raises PlacementError where it is unknown, CallError where it is INACTIVE.
        """
        found = self.definition(name)
        if found.name in self._inactive:
            raise CallError("ClientException", f"TaskDefinition is inactive: {found.name}")
        return found

    def is_known(self, name: str) -> bool:
        """Whether this is the `family:revision` of a definition, ACTIVE or not."""
        family, colon, revision = name.partition(":")
        number = int(revision) if revision.isdecimal() else 0
        return bool(colon) and 1 <= number <= len(self._families.get(family, ()))

    def deregister(self, name: str) -> None:
        """A revision becomes INACTIVE. Raises CallError where it is unknown, or is already."""
        if not self.is_known(name):
            what = "The specified task definition does not exist. A revision is needed"
            raise CallError("ClientException", f"{what}: {name!r}")
        if name in self._inactive:
            raise CallError("ClientException", f"{name} is in the process of being deleted")
        self._inactive.add(name)
        self._calls.clear()
        self._last.clear()

    def check_inactive(self, name: str) -> None:
        """Raises CallError where a revision is unknown, or ACTIVE."""
        if not self.is_known(name):
            raise CallError("ClientException", f"The task definition does not exist: {name!r}")
        if name not in self._inactive:
            raise CallError("ClientException", f"{name} is ACTIVE: deregister it first")

    def of_run_task(self, call: m.RunTask, capacity_provider: str | None = None) -> Launch:
        """The launch of a RunTask call, on a capacity provider where its strategy chose one.

        Raises PlacementError as `definition` does.
        """
        kind, name = self.kind_of_run_task(call, capacity_provider)
        sizes = call.cpu, call.memory
        return Launch(kind, name, call.request, None, *sizes, overrides=call.overrides)

    def kind_of_run_task(
        self, call: m.RunTask, capacity_provider: str | None = None
    ) -> tuple[TaskKind, str]:
        """The kind of a RunTask call's tasks, and the full name of their definition.

        Arguments and errors as in `of_run_task`.
        """
        provider = capacity_provider or call.capacity_provider
        # First by what is quickly compared: strategies and constraints are, where they are the
        # same objects, as of all calls of a workload.
        short = call.task_definition, call.group, call.cpu, call.memory, provider, call.expected_ms
        rest = (
            *(call.placement_strategy, call.placement_constraints),
            *(call.resources, call.overrides, call.zones),
        )
        last = self._last.get(short)
        if last is not None and last[0] == rest:
            return last[1]
        key = (
            *(call.task_definition, call.cpu, call.memory, call.resources, call.overrides),
            *(call.group, call.placement_constraints, call.placement_strategy, call.zones),
            *(provider, call.expected_ms),
        )
        found = self._calls.get(key)
        if found is None:
            definition = self.active(call.task_definition)
            check_overrides(definition, call.overrides)
            group = call.group or f"family:{definition.family}"
            strategies = call.placement_strategy or RUN_TASK_DEFAULT_STRATEGIES
            kind = self._kind(call, definition, group, strategies, provider)
            found = self._calls[key] = kind, definition.name
        self._last[short] = rest, found
        return found

    def of_start_task(self, call: m.StartTask) -> Launch:
        """The launch of a StartTask call. Raises PlacementError as `definition` does."""
        definition = self.active(call.task_definition)
        check_overrides(definition, call.overrides)
        group = call.group or f"family:{definition.family}"
        kind = self._kind(call, definition, group, (), None)
        sizes = call.cpu, call.memory
        return Launch(kind, definition.name, call.request, None, *sizes, overrides=call.overrides)

    def of_service(self, call: m.CreateService) -> Launch:
        """The launch of a service's tasks. Raises PlacementError as `definition` does."""
        definition = self.definition(call.task_definition)
        strategies = call.placement_strategy or SERVICE_DEFAULT_STRATEGIES
        if call.scheduling_strategy == "DAEMON":
            strategies = ()
        kind = self._kind(call, definition, f"service:{call.service}", strategies, None)
        daemon = call.scheduling_strategy == "DAEMON"
        checked = any(c.essential and c.health_check for c in definition.containers)
        balancer = call.load_balancer
        return Launch(
            *(kind, definition.name),
            service=call.service,
            daemon=daemon,
            health_checked=checked,
            deregistration_ms=balancer.deregistration_delay_ms if balancer else 0,
        )

    def _kind(
        self,
        call: m.RunTask | m.StartTask | m.CreateService,
        definition: TaskDefinition,
        group: str,
        strategies: tuple[PlacementStrategy, ...],
        provider: str | None,
    ) -> TaskKind:
        override = TaskOverride()
        constraints: tuple[PlacementConstraint, ...] = ()
        if isinstance(call, m.RunTask | m.StartTask):
            override = TaskOverride(call.cpu, call.memory, call.resources, call.overrides)
        if not isinstance(call, m.StartTask):
            constraints = call.placement_constraints
        expected_ms = call.expected_ms if isinstance(call, m.RunTask) else None
        key = (
            *(definition.name, override, group, constraints, strategies),
            *(call.zones, provider, expected_ms),
        )
        kind = self._kinds.get(key)
        if kind is None:
            constraints = definition.placement_constraints + constraints
            _check_counts(constraints, strategies)
            tcp, udp = host_ports(definition)
            kind = self._kinds[key] = TaskKind(
                tuple(task_resources(definition, override).items()),
                group,
                tcp,
                udp,
                definition.requires_attributes,
                call.zones if definition.network_mode == "awsvpc" else (),
                constraints,
                strategies,
                provider,
                expected_ms=expected_ms,
            )
        return kind


def _check_counts(
    constraints: tuple[PlacementConstraint, ...], strategies: tuple[PlacementStrategy, ...]
) -> None:
    if len(constraints) > CONSTRAINTS_MAX:
        raise PlacementError(f"{len(constraints)} placement constraints, {CONSTRAINTS_MAX} allowed")
    if len(strategies) > STRATEGIES_MAX:
        raise PlacementError(f"{len(strategies)} placement strategies, {STRATEGIES_MAX} allowed")
