"""A task on its instance: all that its containers are made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stowplan.placement.model import TaskDefinition
from stowplan.realdriver.docker import names


@dataclass(frozen=True, slots=True)
class Placed:
    """A task on its instance: all that its containers are made from.

    `address` is where ports are published; `cpus` how many the engine has, which it allows as the
    most; `secrets` the values of what `secrets` in the definition name. `nests`: how the
    path of a container's cgroup begins, before its id, where one may hold others; "": none may.
    `architecture` as the engine names its own.
    """

    cluster: str
    run: str
    number: int
    instance: str
    definition: TaskDefinition
    cpu: int | None = None
    memory: int | None = None
    address: str = ""
    cpus: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)
    stop_timeout_s: int = 30
    nests: str = ""
    architecture: str = ""

    @property
    def limits_all(self) -> bool:
        """Whether a pause container holds the limits of all its containers together."""
        limited = self.task_cpu is not None or self.task_memory is not None
        return bool(self.nests) and limited and len(self.definition.containers) > 1

    @property
    def shares(self) -> bool:
        """Whether its containers live in the network or in namespaces of one that holds them; they
        have none without it."""
        shared = "task" in (self.namespace("pidMode"), self.namespace("ipcMode"))
        return shared or self.definition.network_mode == "awsvpc"

    @property
    def is_held(self) -> bool:
        """Whether it has a container that only holds its network, namespaces or limits."""
        return self.limits_all or self.shares

    def namespace(self, field: str) -> str | None:
        """The task's `pidMode` or `ipcMode`: whose namespace its containers have, if it says so."""
        mode: str | None = self.definition.document.get(field)
        return mode

    @property
    def task_cpu(self) -> int | None:
        """The task-level CPU units, if it has any."""
        return self.definition.cpu if self.cpu is None else self.cpu

    @property
    def task_memory(self) -> int | None:
        """The task-level MiB, if it has any."""
        return self.definition.memory if self.memory is None else self.memory

    @property
    def of_cluster(self) -> dict[str, str]:
        """The labels of what all tasks of the run share."""
        return {names.CLUSTER: self.cluster, names.RUN: self.run}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of every container and volume of the task."""
        return {
            **self.of_cluster,
            names.INSTANCE: self.instance,
            names.TASK: str(self.number),
            names.DEFINITION: self.definition.name,
        }

    def name(self, container: str) -> str:
        """The name of one of its containers."""
        return names.container_name(self.cluster, self.number, container)
