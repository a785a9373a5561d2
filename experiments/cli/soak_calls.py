"""Calls from outside, drawn while a world of `stowplan soak` runs: what a person or a script does.

They are drawn from the state as describe calls would show it, so most make sense and some do not;
what makes no sense must change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace
from numpy.random import Generator

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Callers
from stowplan.placement.describe import Reader
from stowplan.placement.messages import Round
from stowplan.placement.model import TaskStatus

T = TypeVar("T")
OUTSIDE = "outside"  # `started_by` of their tasks, whom nobody retries
MEAN_MS = 60_000  # between two calls


class Outsider:
    """Makes calls from the first round after each drawn time on, until `until_ms`.

    `reader` has the state, which is shown every round: call it with each.
    """

    def __init__(self, rng: Generator, callers: Callers, until_ms: int) -> None:
        self.reader = Reader()
        self._rng, self._callers, self._until_ms = rng, callers, until_ms
        self._next_ms = self._gap()
        self._kinds = [
            *(self._run_task, self._start_task, self._stop_task, self._protect),
            *(self._register, self._deregister_definition, self._create_service),
            *(self._update_service, self._delete_service, self._deregister_instance),
            *(self._put_attributes, self._delete_attributes, self._update_provider),
            *(self._delete_provider, self._tag, self._untag, self._delete_cluster),
        ]

    def __call__(self, entry: Round) -> None:
        """Take in a round; the next may hold calls."""
        self.reader(entry)
        while self._next_ms <= min(entry.now_ms, self._until_ms):
            self._next_ms += self._gap()
            call = self._one(self._kinds)()
            if call is not None:
                self._callers.submit(call)

    def _gap(self) -> int:
        return 1 + int(self._rng.exponential(MEAN_MS))

    def _one(self, values: list[T]) -> T:
        return values[int(self._rng.integers(len(values)))]

    def _some(self, names: list[str]) -> str:
        """One of these, or seldom one that is not there."""
        return self._one(names) if names and self._rng.random() < 0.9 else "nobody"

    # --- tasks ------------------------------------------------------------------------------------

    def _definition(self) -> str:
        known = self.reader.state.task_definitions
        family = self._some(list(known))
        if family not in known or self._rng.random() < 0.5:
            return family
        return self._one(known[family]).name

    def _overrides(self, name: str) -> tuple[m.ContainerOverride, ...]:
        found = self.reader.state.definition(name)
        if found is None or self._rng.random() < 0.5:
            return ()
        container = self._one(found.document["containerDefinitions"])
        cpu, memory = int(self._rng.integers(0, 300)), int(self._rng.integers(4, 600))
        soft = memory // 2 if self._rng.random() < 0.5 else None
        words = ("sleep", "9"), (("A", "b"),)
        return (m.ContainerOverride(container["name"], *words, cpu, memory, soft),)

    def _run_task(self) -> m.Event:
        name, count = self._definition(), int(self._rng.integers(1, 4))
        overrides = self._overrides(name)
        return m.RunTask(0, name, count, started_by=OUTSIDE, overrides=overrides)

    def _start_task(self) -> m.Event | None:
        rows = list(self.reader.state.instances)
        if not rows:
            return None
        name, rows = self._definition(), [self._one(rows)]
        overrides = self._overrides(name)
        return m.StartTask(0, name, tuple(rows), started_by=OUTSIDE, overrides=overrides)

    def _stop_task(self) -> m.Event | None:
        tasks = list(self.reader.state.tasks)
        return m.StopTask((self._one(tasks),)) if tasks else None

    def _protect(self) -> m.Event | None:
        tasks = self.reader.state.list_tasks(desired_status=TaskStatus.RUNNING)
        mine = [task.number for task in tasks if task.service is not None]
        if not mine:
            return None
        return m.UpdateTaskProtection((self._one(mine),), self._rng.random() < 0.7, 5)

    # --- definitions and services -----------------------------------------------------------------

    def _register(self) -> m.Event | None:
        records = [each for of in self.reader.state.task_definitions.values() for each in of]
        # What containers do is said by revision: in another one, nobody's wait for one that ends
        # would have an end.
        records = [each for each in records if not _waits_for_an_end(each.document)]
        return m.RegisterTaskDefinition(self._one(records).document) if records else None

    def _deregister_definition(self) -> m.Event:
        return m.DeregisterTaskDefinition(self._definition())

    def _create_service(self) -> m.Event:
        names = list(self.reader.state.services)
        name = self._some([*names, "new-1", "new-2"])
        if self._rng.random() < 0.2:
            return m.CreateService(name, self._definition(), scheduling_strategy="DAEMON")
        return m.CreateService(name, self._definition(), int(self._rng.integers(0, 6)))

    def _update_service(self) -> m.Event:
        name = self._some(list(self.reader.state.services))
        service = self.reader.state.services.get(name)
        if service is not None and self._rng.random() < 0.15:
            stopped = m.StopServiceDeployment(name, service.deployments[0].id)
            return stopped if self._rng.random() < 0.7 else replace(stopped, stop_type="ABORT")
        if self._rng.random() < 0.5:
            return m.UpdateService(name, int(self._rng.integers(0, 9)))
        return m.UpdateService(name, task_definition=self._definition())

    def _delete_service(self) -> m.Event:
        name = self._some(list(self.reader.state.services))
        return m.DeleteService(name, self._rng.random() < 0.7)

    # --- instances, providers, the cluster --------------------------------------------------------

    def _instance(self) -> int:
        rows = list(self.reader.state.instances)
        return self._one(rows) if rows and self._rng.random() < 0.9 else 10_000

    def _deregister_instance(self) -> m.Event:
        return m.DeregisterContainerInstance(self._instance(), self._rng.random() < 0.5)

    def _attributes(self) -> tuple[m.Attribute, ...]:
        names = ["rack", "stack", "lane", "ecs.instance-type"]
        count = int(self._rng.integers(1, 3))
        values = ["r0", "r1", "r2"]
        return tuple(
            m.Attribute(self._one(names), self._instance(), self._one(values)) for _ in range(count)
        )

    def _put_attributes(self) -> m.Event:
        return m.PutAttributes(self._attributes())

    def _delete_attributes(self) -> m.Event:
        return m.DeleteAttributes(self._attributes())

    def _provider(self) -> str:
        return self._some(list(self.reader.state.capacity_providers))

    def _update_provider(self) -> m.Event:
        if self._rng.random() < 0.5:
            return m.UpdateCapacityProvider(
                self._provider(), managed_termination_protection=self._rng.random() < 0.5
            )
        target = int(self._rng.integers(50, 101))
        return m.UpdateCapacityProvider(self._provider(), m.ManagedScaling(target))

    def _delete_provider(self) -> m.Event:
        return m.DeleteCapacityProvider(self._provider())

    def _resource(self) -> tuple[m.TaggedKind, str]:
        state = self.reader.state
        kinds: dict[m.TaggedKind, Callable[[], list[str]]] = {
            "cluster": lambda: [""],
            "container-instance": lambda: list(map(str, state.instances)),
            "task": lambda: list(map(str, state.tasks)),
            "service": lambda: list(state.services),
            "task-definition": lambda: [f"{family}:1" for family in state.task_definitions],
            "capacity-provider": lambda: list(state.capacity_providers),
        }
        kind = self._one(list(kinds))
        return kind, self._some(kinds[kind]())

    def _tag(self) -> m.Event:
        keys = ["team", "cost", "aws:own"]
        return m.TagResource(*self._resource(), ((self._one(keys), "x"),))

    def _untag(self) -> m.Event:
        return m.UntagResource(*self._resource(), ("team",))

    def _delete_cluster(self) -> m.Event:
        return m.DeleteCluster()


def _waits_for_an_end(document: dict[str, Any]) -> bool:
    """Whether a container of a task definition starts only once another has ended."""
    containers = document["containerDefinitions"]
    awaited = (each for container in containers for each in container.get("dependsOn", ()))
    return any(each["condition"] in ("COMPLETE", "SUCCESS") for each in awaited)
