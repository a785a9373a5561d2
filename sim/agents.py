"""The agents of those simulated instances that need one.

Most tasks are a start and an end, which the driver plays by itself. An instance has an agent while
it runs tasks that are more than that. It also has one while a stopping task still holds its share
there, so that new tasks may have to wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable
from functools import partial

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.account import Share
from stowplan.placement.agent.agent import Agent, Output
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.model import NEVER, StopCode, TaskDefinition
from stowplan.placement.taskdef.parse import TaskOverride
from stowplan.sim.containers import Containers
from stowplan.sim.fleet import InstanceColumns


class Agents:
    """Agents, and the container runtime below them.

    `by_instance` holds the agents that there are; a task that no agent plays asks for its share
    there (`Agent.hold`). Args:
        cut_off: instances whose agents neither hear nor are heard.
        dead: instances on which nothing happens any more.
        hear: takes their state changes, and since when each holds; None: since now.
    """

    def __init__(
        self,
        fleet: InstanceColumns,
        containers: Containers,
        cut_off: Collection[int],
        dead: Collection[int],
        hear: Callable[[r.StateChange, int | None], None],
    ) -> None:
        self._fleet, self._containers, self._hear = fleet, containers, hear
        self._cut_off, self._dead = cut_off, dead
        self.by_instance: dict[int, Agent] = {}
        self._leaving: dict[int, int] = {}
        self._wakes: list[tuple[int, int]] = []
        self._wake_ms: dict[int, int] = {}
        self._unheard: dict[int, list[Callable[[int], None]]] = {}
        self._untold: dict[int, list[tuple[r.StateChange, int]]] = {}

    # --- tasks that are a start and an end --------------------------------------------------------

    def employ(self, instance: int, held: Iterable[tuple[int, Share]]) -> None:
        """Have an agent on an instance whose tasks hold this much; all of it fits."""
        spec = self._fleet.specs[instance]
        config = AgentConfig(
            spec.image_pull_behavior, cleanup_wait_ms=None, kind=self._containers.models.agent
        )
        agent = self.by_instance[instance] = Agent(spec.resources, config)
        for task, share in held:
            fits = agent.hold(task, share)
            assert fits, f"task {task} was put on instance {instance}, which has no room for it"

    def leave(self, instance: int) -> None:
        """A task begins to stop; the instance has an agent until it is gone."""
        self._leaving[instance] = self._leaving.get(instance, 0) + 1

    def stay(self, instance: int) -> None:
        """Takes back one `leave`."""
        self._leaving[instance] -= 1

    def release(self, instance: int, task: int, left: bool, now_ms: int) -> None:
        """A task is gone; `left`: it was announced by `leave`."""
        agent = self.by_instance[instance]
        self._take(instance, agent.release(task, now_ms), now_ms)
        if left:
            self._leaving[instance] -= 1
        if agent.idle and not self._leaving.get(instance):
            del self.by_instance[instance]

    # --- tasks that agents play -------------------------------------------------------------------

    def start(
        self,
        instance: int,
        task: int,
        definition: TaskDefinition,
        override: TaskOverride,
        now_ms: int,
    ) -> None:
        """Tell an agent to start a task, as soon as it hears."""

        def call(at_ms: int) -> None:
            output = self.by_instance[instance].start(task, definition, at_ms, override)
            self._take(instance, output, at_ms)

        self._call(instance, call, now_ms)

    def stop(self, instance: int, task: int, code: StopCode, reason: str, now_ms: int) -> None:
        """Tell an agent to stop a task, as soon as it hears."""

        def call(at_ms: int) -> None:
            output = self.by_instance[instance].stop(task, at_ms, code, reason)
            self._take(instance, output, at_ms)

        self._call(instance, call, now_ms)

    def reconnected(self, instances: Iterable[int], now_ms: int) -> None:
        """Pass on what could not be said in either direction meanwhile."""
        for instance in instances:
            for change, at_ms in self._untold.pop(instance, ()):
                self._hear(change, at_ms)
            for call in self._unheard.pop(instance, ()):
                call(now_ms)

    @property
    def next_ms(self) -> int | None:
        """When `turn` has something to do."""
        times = [at for at in (self._containers.next_ms,) if at is not None]
        times += [self._wakes[0][0]] if self._wakes else []
        return min(times, default=None)

    def turn(self, now_ms: int) -> int | None:
        """Play everything until now; returns the time of the next change."""
        while (at_ms := self.next_ms) is not None and at_ms <= now_ms:
            for instance, event in self._containers.due(now_ms):
                self._with(instance, partial(Agent.observe, event=event, now_ms=now_ms), now_ms)
            while self._wakes and self._wakes[0][0] <= now_ms:
                woken_ms, instance = heapq.heappop(self._wakes)
                if self._wake_ms.get(instance) == woken_ms:
                    del self._wake_ms[instance]
                self._with(instance, partial(Agent.due, now_ms=now_ms), now_ms)
        return at_ms

    # --- inside -----------------------------------------------------------------------------------

    def _call(self, instance: int, call: Callable[[int], None], now_ms: int) -> None:
        if instance in self._cut_off:
            self._unheard.setdefault(instance, []).append(call)
        else:
            call(now_ms)

    def _with(self, instance: int, ask: Callable[[Agent], Output], now_ms: int) -> None:
        agent = self.by_instance.get(instance)
        if agent is not None and instance not in self._dead:
            self._take(instance, ask(agent), now_ms)

    def _take(self, instance: int, output: Output, now_ms: int) -> None:
        """Carry out what an agent wants, and pass on its changes."""
        for action in output.actions:
            self._containers.do(instance, action, now_ms)
        for change in output.changes:
            if instance in self._cut_off and not isinstance(change, r.TaskAdmitted):
                self._untold.setdefault(instance, []).append((change, now_ms))
            else:
                self._hear(change, None)
        deadline_ms = self.by_instance[instance].deadline_ms
        if deadline_ms is not None and deadline_ms < self._wake_ms.get(instance, NEVER):
            self._wake_ms[instance] = deadline_ms
            heapq.heappush(self._wakes, (deadline_ms, instance))
