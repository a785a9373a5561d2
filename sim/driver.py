"""The simulated world behind the Driver protocol, on SimPy.

SimPy carries what is few: instances that boot, faults, agents. The lives of tasks are beside it,
in `sim.lives`. `wait` goes from one to the next until an instant has events, and returns all of
that instant at once, so that what happens together is decided together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from stowplan.placement.chance import stream
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import (
    Command,
    Event,
    InstanceRegistered,
    InstancesGone,
    Order,
    RegisterTaskDefinition,
    StartTasks,
    StopTasks,
    TasksStopped,
)
from stowplan.placement.scenario.capacity import CapacityProviderTable
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.models import Models, sampler
from stowplan.placement.scenario.scenario import InstanceSpec, InstanceTypeTable
from stowplan.sim.auto_scaling import AutoScaling
from stowplan.sim.clock import Clock
from stowplan.sim.containers import ContainerModels, runtime_of
from stowplan.sim.faults import Faults
from stowplan.sim.fleet import InstanceColumns
from stowplan.sim.lives import Lives
from stowplan.sim.throttling import calls_of

DEFAULT_MODELS, DEFAULT_CONTAINERS = Models(), ContainerModels()


class SimDriver:
    """Plays instances and agents for one run.

    Args:
        fleet: the instances: those of time 0 are up, the others are launched each at its own time.
        faults: what goes wrong, and when.
        models: how long booting, starting and stopping take.
        containers: what containers do, and what their images weigh.
        until_ms: the end of the run; what happens later is not simulated.
        seed: the only source of chance.
        run_ms: how long the tasks of a request run; None: until they are stopped.
        capacity_providers: those whose Auto Scaling groups there are; the client creates them.
        instance_types: what they launch, by name.
    """

    def __init__(
        self,
        fleet: Iterable[InstanceSpec],
        *,
        faults: Iterable[Fault] = (),
        models: Models = DEFAULT_MODELS,
        containers: ContainerModels = DEFAULT_CONTAINERS,
        until_ms: int,
        seed: int,
        run_ms: Callable[[int], int | None] = lambda request: None,
        capacity_providers: Iterable[CapacityProviderTable] = (),
        instance_types: Mapping[str, InstanceTypeTable] = MappingProxyType({}),
    ) -> None:
        self._env = Clock()
        self._until_ms = until_ms
        self._events: list[Event] = []
        self._boot_ms = sampler(models.boot, stream(seed, "boot"))
        self._fleet = InstanceColumns()
        runtime = runtime_of(containers, models, seed)
        self._pulls = runtime.pulls
        self._faults = Faults(
            *(self._env, self._fleet, runtime, self._news_of),
            reconnected=lambda instances: self._lives.reconnected(instances),
            pulls_changed=lambda: self._lives.set_alarms(),
        )
        self._lives = Lives(
            *(self._env, self._fleet, run_ms, runtime, self._faults, self._news_of),
            start_ms=sampler(models.start, stream(seed, "start")),
            stop_ms=sampler(models.stop, stream(seed, "stop")),
            tick_ms=models.tick,
        )
        self._groups = AutoScaling(
            *(self._env, capacity_providers, instance_types, self._faults),
            tell=lambda event: self._events.append(event),
            register=self._register,
            boot_ms=self._boot_ms,
        )
        self._start_processes(fleet, faults)

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The simulated time."""
        return int(self._env.now)

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """The events of the next instant that has any; [] at the deadline; None at the end."""
        env, lives = self._env, self._lives
        limit = self._until_ms if deadline_ms is None else min(deadline_ms, self._until_ms)
        while True:
            at_ms, life_ms = env.peek(), lives.next_ms
            is_life = False
            if life_ms is not None and life_ms < at_ms:
                at_ms, is_life = life_ms, True
            if at_ms > limit or (self._events and at_ms > env.now):
                break
            if is_life:
                env.advance(int(at_ms))
                lives.turn()
            else:
                env.step()
        if self._events:
            events, self._events = self._events, []
            return events
        if deadline_ms is not None and deadline_ms <= self._until_ms:
            if deadline_ms > env.now:
                env.advance(deadline_ms)
            return []
        return None

    @property
    def next_ms(self) -> int | None:
        """When something happens next; None: never, unless something is asked for."""
        if self._events:
            return self.now_ms()
        at, life_ms = self._env.peek(), self._lives.next_ms
        at = at if life_ms is None else min(at, life_ms)
        return None if at > self._until_ms else int(at)

    def launch(self, specs: list[InstanceSpec]) -> None:
        """Launch instances now, beside the fleet: each boots, then registers."""
        for spec in specs:
            at_ms = self.now_ms() + self._boot_ms(1)[0]
            self._env.process(self._boot(at_ms, [spec]))

    def join(self, spec: InstanceSpec) -> InstanceRegistered:
        """A machine is there, and its agent registers now: the event, which is the caller's to
        report."""
        number = self._fleet.add(spec, self.now_ms())
        self._pulls.cache(number, spec.cached_images)
        return InstanceRegistered(
            number,
            spec.name,
            dict(spec.resources),
            dict(spec.attributes),
            spec.price_microusd_hour,
            capacity_provider=spec.capacity_provider,
        )

    def execute(self, command: Command) -> None:
        """Take up a command."""
        if isinstance(command, StartTasks):
            if command.found:
                self._cache(command)
            self._lives.start(command)
        elif isinstance(command, StopTasks):
            self._lives.stop(command)
        elif isinstance(command, TasksStopped):
            self._lives.lost(command.tasks)
        elif isinstance(command, Order):
            self._groups.execute(command)

    def register(self, call: RegisterTaskDefinition) -> None:
        """A task definition, which may make no sense."""
        with suppress(PlacementError):
            self._lives.definitions.register(call.document)

    def _cache(self, command: StartTasks) -> None:
        """What runs on an instance was pulled there."""
        definition = self._lives.definitions.definition(command.task_definition)
        images = tuple(container.image for container in definition.containers)
        for number in command.instances:
            self._pulls.cache(number, images)

    def close(self) -> None:
        """Nothing to let go of."""

    def admits(self, call: Event) -> bool:
        """Whether a call is let through now, or throttled."""
        return self._faults.admits(type(call).__name__, calls_of(call))

    # --- processes --------------------------------------------------------------------------------

    def _start_processes(self, fleet: Iterable[InstanceSpec], faults: Iterable[Fault]) -> None:
        env = self._env
        # Instances that boot together are one process; 10,000 instances need not be 10,000 of them.
        batches: dict[int, list[InstanceSpec]] = {}
        for spec in fleet:
            at_ms = spec.at_ms and spec.at_ms + self._boot_ms(1)[0]  # the first ones are up
            batches.setdefault(at_ms, []).append(spec)
        for at_ms, specs in batches.items():
            env.process(self._boot(at_ms, specs))
        self._groups.begin()
        self._faults.begin(faults)

    def _boot(self, at_ms: int, specs: list[InstanceSpec]) -> Generator[Any, Any, None]:
        yield self._env.timeout(at_ms - self._env.now)
        for spec in specs:
            self._register(spec)

    def _register(self, spec: InstanceSpec) -> int:
        event = SimDriver.join(self, spec)
        self._events.append(event)
        return event.instance

    def _news_of(self, event: Event) -> None:
        self._events.append(event)
        if isinstance(event, InstancesGone):
            self._groups.lost([self._fleet.specs[number].name for number in event.instances])
