"""Fargate in simulation: a machine for each task, of exactly its size, gone when the task is.

A machine boots as an instance does and registers; the scheduler gives it to a task of that size
that waits, and to no other. One for whose task nobody waits any more is gone unused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import simpy

from stowplan.placement.messages import (
    Event,
    InstancesGone,
    StartTasks,
    TasksChanged,
    TasksProvisioning,
    TasksStopped,
)
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    CPU,
    CPU_ARCHITECTURE,
    MEMORY,
    TaskStatus,
    gives_machines,
    machine_attribute,
)
from stowplan.placement.scenario.models import Sampler
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES

# Millionths of a US dollar an hour: a vCPU, a GB (AWS Fargate pricing, Linux on x86, us-east-1).
VCPU_PRICE, GB_PRICE = 40_480, 4_445
SPOT_SHARE = 0.3  # of that price: "up to 70 % off", which is all that AWS says
ZONES = "abc"
GONE = "its task has ended"

Resources = tuple[tuple[str, int], ...]


class Fargate:
    """The machines of tasks that have their own.

    Args:
        boot_ms: from the call to the registration.
        register: a machine is there; returns its number.
        tell: takes what ECS learns.
        region: of the zones that machines are in, in turn.
    """

    def __init__(
        self,
        env: simpy.Environment,
        boot_ms: Sampler,
        register: Callable[[InstanceSpec], int],
        tell: Callable[[Event], None],
        region: str = "us-east-1",
    ) -> None:
        self._env, self._boot_ms, self._register, self._tell = env, boot_ms, register, tell
        self._region = region
        self._made = 0
        self._waits: dict[int, tuple[str, Resources]] = {}  # by task that has no machine yet
        self._wanted: Counter[tuple[str, Resources]] = Counter()
        self._coming: Counter[tuple[str, Resources]] = Counter()  # that boot, or are unused
        self._unused: dict[int, tuple[str, Resources]] = {}  # by number
        self._of_task: dict[int, int] = {}

    def provision(self, notice: TasksProvisioning) -> None:
        """Tasks wait, each for a machine of its own; of other providers nothing is done."""
        if not notice.machines or notice.capacity_provider is None:
            return
        what = notice.capacity_provider, notice.machines
        for task in notice.tasks:
            self._waits[task] = what
            self._wanted[what] += 1
            if self._coming[what] < self._wanted[what]:
                self._coming[what] += 1
                self._env.process(self._boot(what))

    def started(self, command: StartTasks) -> None:
        """Tasks got the machines that were made for them."""
        if not gives_machines(command.capacity_provider):
            return
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._forget(task)
            what = self._unused.pop(number, None)
            if what is not None:
                self._coming[what] -= 1
            self._of_task[task] = number

    def lost(self, notice: TasksStopped) -> None:
        """ECS counts tasks as stopped: those that had no machine need none."""
        for task in notice.tasks:
            self._forget(task)
            self._of_task.pop(task, None)  # its machine is gone, or goes with it

    def heard(self, event: Event) -> None:
        """What is reported of tasks: the machine of one that is STOPPED is gone, too."""
        if not self._of_task or not isinstance(event, TasksChanged):
            return
        if event.status is TaskStatus.STOPPED:
            gone = [self._of_task.pop(task) for task in event.tasks if task in self._of_task]
            if gone:
                self._tell(InstancesGone(tuple(gone), GONE))

    def _forget(self, task: int) -> None:
        what = self._waits.pop(task, None)
        if what is not None:
            self._wanted[what] -= 1

    def _boot(self, what: tuple[str, Resources]) -> Generator[Any, Any, None]:
        number = self._made
        self._made += 1
        yield self._env.timeout(self._boot_ms(1)[0])
        if self._wanted[what] < self._coming[what]:
            self._coming[what] -= 1
            return
        row = self._register(self._spec(*what, number))
        self._unused[row] = what
        yield self._env.timeout(1)
        if self._unused.pop(row, None) is not None:
            self._coming[what] -= 1
            self._tell(InstancesGone((row,), "its task was stopped before"))

    def _spec(self, provider: str, resources: Resources, number: int) -> InstanceSpec:
        amounts = dict(resources)
        price = amounts.get(CPU, 0) / 1024 * VCPU_PRICE + amounts.get(MEMORY, 0) / 1024 * GB_PRICE
        share = SPOT_SHARE if provider.endswith("SPOT") else 1
        attributes = {
            AVAILABILITY_ZONE: f"{self._region}{ZONES[number % len(ZONES)]}",
            CPU_ARCHITECTURE: "x86_64",
            "ecs.os-type": "linux",
            machine_attribute(resources): "",
            **AGENT_CAPABILITIES,
        }
        return InstanceSpec(
            f"fargate-{number}", 0, amounts, attributes, round(price * share), provider
        )
