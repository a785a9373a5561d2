"""One registered instance: its agent, and what is known of the agent's containers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stowplan.placement import messages as m
from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.agent import Agent, Output
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.agent.task import EXITED
from stowplan.placement.model import StopCode, TaskDefinition
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.placement.taskdef.parse import TaskOverride
from stowplan.realdriver.book import TaskEntry
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.actions import (
    ActionAnswer,
    ActionOrder,
    exited,
    foregone,
    gone,
)
from stowplan.realdriver.docker.config import Machine
from stowplan.realdriver.docker.connection import EngineContainer
from stowplan.realdriver.docker.placed import Placed

Found = Mapping[str, EngineContainer]

# The exit code of containers that were there when their machine went down.
_POWER_CUT = 255
_HOLDER_GONE = f"{EXITED}: {names.PAUSE} is gone"


def nowhere(name: str) -> Machine:
    """The place of an instance whose machine is not there any more."""
    return Machine(InstanceSpec(name, 0, {}, {}, 0, None), 0, "")


@dataclass(slots=True)
class _ContainerLife:
    """A container's last start, when we heard of it (monotonic s), and the start that has ended.

    `ordered` starts by us, and `starts` that were seen: more of these are somebody else's.
    """

    started_at: str = ""
    heard_s: float = 0.0
    ended: str = ""
    ordered: int = 0
    starts: int = 0

    @property
    def runs(self) -> bool:
        """Whether it started, and no end of that is known."""
        return self.ended != self.started_at


def _key(container: EngineContainer) -> tuple[int, str]:
    return container.task, container.name


class Instance:
    """Connects agent and engine; asleep until it is told which containers are there.

    Args:
        number: of the registration.
        submit: takes an order to the engine.
        task: what all tasks here have in common, as a `Placed` with nothing else filled in.
    """

    def __init__(
        self,
        number: int,
        machine: Machine,
        config: AgentConfig,
        submit: Callable[[ActionOrder], None],
        task: Callable[[Machine, TaskEntry, TaskDefinition], Placed],
    ) -> None:
        self.number, self.machine = number, machine
        self.connected, self.gone, self.awake = True, False, False
        self.placed: dict[int, Placed] = {}
        self.changes: list[r.StateChange] = []
        self._config, self._submit, self._task = config, submit, task
        self._agent = Agent(machine.spec.resources, config)
        self._lives: dict[tuple[int, str], _ContainerLife] = {}
        self._seen: dict[int, dict[str, EngineContainer]] = {}

    def seen(self, task: int) -> Found:
        """The containers of a task with ports, as they were last seen, by their own names."""
        return self._seen.get(task, {})

    @property
    def registration(self) -> m.InstanceRegistered:
        """What its agent says when it registers."""
        spec = self.machine.spec
        return m.InstanceRegistered(
            self.number,
            spec.name,
            dict(spec.resources),
            dict(spec.attributes),
            spec.price_microusd_hour,
            capacity_provider=spec.capacity_provider,
        )

    # --- tasks ------------------------------------------------------------------------------------

    def start(
        self, entry: TaskEntry, definition: TaskDefinition, now_ms: int, found: Found | None = None
    ) -> None:
        """Start a task; with `found` (containers by name), what is there is taken over."""
        self.placed[entry.number] = self._task(self.machine, entry, definition)
        override = TaskOverride(entry.cpu, entry.memory)
        self._do(self._agent.start(entry.number, definition, now_ms, override), now_ms, found)

    def resume(
        self, entry: TaskEntry, definition: TaskDefinition, now_ms: int, found: Found
    ) -> None:
        """Take over a task that was RUNNING: a container of it that is not there has ended, and
        none is started again."""
        assert entry.running_ms is not None
        task, override = entry.number, TaskOverride(entry.cpu, entry.memory)
        self.placed[task] = placed = self._task(self.machine, entry, definition)
        output = self._agent.resume(task, definition, entry.running_ms, now_ms, override)
        self._do(output, now_ms, found)
        held = [names.PAUSE] if placed.shares else []
        for name in [*held, *(each.name for each in definition.containers)]:
            there = found.get(placed.name(name))
            if there is None:
                self._lost(task, name, now_ms)
            else:
                self._lives.setdefault((task, name), _ContainerLife()).ordered += 1
                self.see(there, now_ms, cut=True)

    def stop(self, task: int, code: StopCode, reason: str, now_ms: int) -> None:
        """Stop a task."""
        self._do(self._agent.stop(task, now_ms, code, reason), now_ms)

    def end(self, task: int) -> None:
        """A task's time is over: its essential containers are stopped, as if they had ended."""
        placed = self.placed.get(task)
        for each in () if placed is None else placed.definition.containers:
            if each.essential:
                own = each.stop_timeout
                timeout_s = self._config.stop_timeout_s if own is None else own
                self.order(r.StopContainer(task, each.name, timeout_s), None)

    @property
    def deadline_ms(self) -> int | None:
        """When `due` has something to do."""
        return self._agent.deadline_ms

    def due(self, now_ms: int) -> None:
        """Do what the time has come for."""
        if self._agent.deadline_ms is not None and self._agent.deadline_ms <= now_ms:
            self._do(self._agent.due(now_ms), now_ms)

    # --- orders and answers -----------------------------------------------------------------------

    def order(self, action: r.Action, found: Found | None) -> ActionAnswer | None:
        """Have an action carried out; returns the answer where `found` gives it already."""
        placed = self.placed.get(action.task)
        if placed is None:
            return None  # its containers are removed, or about to be
        life = self._lives.setdefault((action.task, action.container), _ContainerLife())
        life.ordered += isinstance(action, r.StartContainer)
        order = ActionOrder(self.number, action, placed, life.started_at, unsure=found is not None)
        answer = None if found is None else foregone(order, found)
        if answer is None:
            self._submit(order)
        return answer

    def decide(self, order: ActionOrder, found: Found, now_ms: int) -> None:
        """Settle an order that may or may not have been carried out."""
        answer = foregone(order, found)
        if answer is None:
            self._submit(replace(order, unsure=True))
        else:
            self.answered(answer, now_ms, found)

    def answered(self, answer: ActionAnswer, now_ms: int, found: Found | None = None) -> None:
        """Take in what came of an order."""
        action, container = answer.order.action, answer.container
        if isinstance(action, r.RemoveContainer):
            self.placed.pop(action.task, None)
            for name in (action.container, names.PAUSE):
                self._lives.pop((action.task, name), None)
            self._seen.pop(action.task, None)
        elif answer.event is not None:
            if isinstance(answer.event, r.Exited) and container is not None:
                self._heard(container, self._lives.setdefault(_key(container), _ContainerLife()))
                self._lives[_key(container)].ended = container.started_at
            self._do(self._agent.observe(answer.event, now_ms), now_ms, found)
        if container is not None:
            self.see(container, now_ms, found)

    def _do(self, output: Output, now_ms: int, found: Found | None = None) -> None:
        self.changes += output.changes
        for action in output.actions:
            answer = self.order(action, found)
            if answer is not None:
                self.answered(answer, now_ms, found)

    # --- what is there ----------------------------------------------------------------------------

    def see(
        self,
        container: EngineContainer,
        now_ms: int,
        found: Found | None = None,
        *,
        cut: bool = False,
    ) -> None:
        """Tell the agent how a container of its tasks is; `cut`: its engine was away until now."""
        if container.task not in self.placed:
            return
        life = self._lives.setdefault(_key(container), _ContainerLife())
        restarted = life.started_at != "" and life.runs
        if self._heard(container, life) and restarted:
            # It ended and was started again before anybody looked; not by us.
            self._lost(container.task, container.name, now_ms)
        if container.ports and container.name != names.PAUSE:
            self._seen.setdefault(container.task, {})[container.name] = container
        if container.over:
            # An end is told once: the agent may have started it again since.
            if life.ended != container.started_at:
                life.ended = container.started_at
                self._ended(container, now_ms, found, cut=cut)
        elif container.name == names.PAUSE:
            return
        elif 0 < life.ordered < life.starts:
            # Started by hand: its agent believes it has ended, and nobody counts what it takes.
            self.order(r.StopContainer(container.task, container.name, 0), None)
        elif container.health in ("healthy", "unhealthy"):
            healthy = container.health == "healthy"
            verdict = r.HealthChanged(container.task, container.name, healthy)
            self._do(self._agent.observe(verdict, now_ms), now_ms, found)

    def _ended(
        self, container: EngineContainer, now_ms: int, found: Found | None, *, cut: bool
    ) -> None:
        if cut and container.exit_code == _POWER_CUT:
            reason = f"Host EC2 (instance {self.machine.spec.name}) restarted"
            self.stop(container.task, StopCode.INFRASTRUCTURE_HEALTH, reason, now_ms)
        if container.name == names.PAUSE:
            self._lost(container.task, container.name, now_ms)
        else:
            self._do(self._agent.observe(exited(container), now_ms), now_ms, found)

    def vanished(self, task: int, name: str, now_ms: int) -> None:
        """A container of ours is gone, but not by our call."""
        life = self._lives.get((task, name))
        if life is not None and life.runs:
            life.ended = life.started_at
            self._lost(task, name, now_ms)

    def _lost(self, task: int, name: str, now_ms: int) -> None:
        """A container ended, and nobody can say how."""
        if name != names.PAUSE:
            self._do(self._agent.observe(gone(task, name), now_ms), now_ms)
        elif self.placed[task].shares:  # its containers have no network, or no namespace, any more
            self.stop(task, StopCode.ESSENTIAL_CONTAINER_EXITED, _HOLDER_GONE, now_ms)

    def miss(self, found: Found, begun_s: float, now_ms: int) -> None:
        """Containers that ran before a look began, and that it did not find, are gone."""
        for (task, name), life in list(self._lives.items()):
            placed = self.placed.get(task)
            if placed and life.heard_s < begun_s and placed.name(name) not in found:
                self.vanished(task, name, now_ms)

    def _heard(self, container: EngineContainer, life: _ContainerLife) -> bool:
        """Note what is known of its last start; whether that is news."""
        if container.started_at in ("", life.started_at):
            return False
        life.started_at, life.heard_s = container.started_at, time.monotonic()
        life.starts += 1
        return True
