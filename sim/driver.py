"""The simulated world behind the Driver protocol, on SimPy.

SimPy carries what is few: instances that boot, faults, and an alarm for the next call and for the
next change in the life of a task. The lives themselves, which are many, ride in one heap: per task
an entry for its start and one for its end. `wait` steps SimPy to the next instant with news and
hands over all of that instant at once, so that what happens together is decided together.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import simpy

from placement.autoscaling import Autoscaler
from placement.client import Arrival, Client
from placement.errors import PlacementError
from placement.launches import Launches
from placement.messages import (
    Command,
    Event,
    InstanceRegistered,
    InstancesGone,
    Order,
    RegisterTaskDefinition,
    RunTaskFailed,
    StartTasks,
    StopTasks,
    TasksChanged,
    TasksHealthChanged,
    TasksStopped,
)
from placement.model import StopCode, TaskStatus
from placement.scenario import Fault, InstanceSpec, InstanceTypeTable, Models
from placement.scenario_capacity import CapacityProviderTable
from sim.auto_scaling import AutoScaling
from sim.faults import Faults
from sim.fleet import FleetColumns
from sim.models import sampler, stream
from sim.throttling import calls_of

_RUNNING, _HEALTHY, _STOPPED = 0, 1, 2
DEFAULT_MODELS = Models()
_EXITED = "Essential container in task exited"


class SimDriver:
    """Plays instances, agents and clients for one run.

    Args:
        fleet: the instances to launch, each at its own time.
        arrivals: the client's calls, ordered by time.
        faults: what goes wrong, and when.
        models: how long booting, starting and stopping take.
        until_ms: the end of the run; what happens later is not simulated.
        seed: the only source of chance.
        autoscaler: scales services by their load; None: nobody does.
        capacity_providers: those whose Auto Scaling groups there are; the client creates them.
        instance_types: what they launch, by name.
    """

    def __init__(
        self,
        fleet: Iterable[InstanceSpec],
        arrivals: Iterable[Arrival],
        *,
        faults: Iterable[Fault] = (),
        models: Models = DEFAULT_MODELS,
        until_ms: int,
        seed: int,
        autoscaler: Autoscaler | None = None,
        capacity_providers: Iterable[CapacityProviderTable] = (),
        instance_types: Mapping[str, InstanceTypeTable] = MappingProxyType({}),
    ) -> None:
        self._env = simpy.Environment()
        self._until_ms = until_ms
        self._news: list[Event] = []
        self._client = Client(arrivals, stream(seed, "client"))
        self._boot_ms = sampler(models.boot, stream(seed, "boot"))
        self._start_ms = sampler(models.start, stream(seed, "start"))
        self._stop_ms = sampler(models.stop, stream(seed, "stop"))
        self._fleet = FleetColumns()
        self._faults = Faults(self._env, self._fleet, self._news_of, self._reconnected)
        self._groups = AutoScaling(
            *(self._env, capacity_providers, instance_types, self._faults),
            tell=lambda event: self._news.append(event),
            register=self._register,
            boot_ms=self._boot_ms,
        )
        self._checked_ms: dict[int, int] = {}
        self._held: dict[int, list[tuple[int, int]]] = {}
        self._definitions = Launches()
        self._started = bytearray()
        self._request: dict[int, int | None] = {}
        self._instance: dict[int, int] = {}
        self._stopping: dict[int, tuple[StopCode, str]] = {}
        self._lives: list[tuple[int, int, int]] = []
        self._lives_alarm = _Alarm(self._env, self._turn)
        self._client_alarm = _Alarm(self._env, self._call)
        self._client_alarm.set(self._client.next_ms)
        self._autoscaler = autoscaler
        if autoscaler is not None:
            _Alarm(self._env, self._scale).set(autoscaler.next_ms)
        self._start_processes(fleet, faults)

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The simulated time."""
        return int(self._env.now)

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """The news of the next instant that has some; [] at the deadline; None at the end."""
        env = self._env
        limit = self._until_ms if deadline_ms is None else min(deadline_ms, self._until_ms)
        while (at := env.peek()) <= limit:
            if self._news and at > env.now:
                break
            env.step()
        if self._news:
            news, self._news = self._news, []
            if self._autoscaler is not None:
                self._autoscaler.take(news)
            return news
        if deadline_ms is not None and deadline_ms <= self._until_ms:
            if deadline_ms > env.now:
                env.run(until=deadline_ms)
            return []
        return None

    def execute(self, command: Command) -> None:
        """Take up a command; notices go to the client."""
        if self._autoscaler is not None:
            self._autoscaler.take((command,))
        if isinstance(command, StartTasks):
            self._start(command)
        elif isinstance(command, StopTasks):
            self._stop(command)
        elif isinstance(command, RunTaskFailed):
            self._client.failed(command.request, command.count, self.now_ms())
            self._client_alarm.set(self._client.next_ms)
        elif isinstance(command, TasksStopped):
            self._tell_lost(command)
        elif isinstance(command, Order):
            self._groups.execute(command)

    def close(self) -> None:
        """Nothing to let go of."""

    # --- processes --------------------------------------------------------------------------------

    def _start_processes(self, fleet: Iterable[InstanceSpec], faults: Iterable[Fault]) -> None:
        env = self._env
        # All that boots together is one process; 10,000 instances need not be 10,000 of them.
        batches: dict[int, list[InstanceSpec]] = {}
        for spec in fleet:
            batches.setdefault(spec.at_ms + self._boot_ms(1)[0], []).append(spec)
        for at_ms, specs in batches.items():
            env.process(self._boot(at_ms, specs))
        self._groups.begin()
        self._faults.begin(faults)

    def _boot(self, at_ms: int, specs: list[InstanceSpec]) -> Generator[Any, Any, None]:
        yield self._env.timeout(at_ms)
        for spec in specs:
            self._register(spec)

    def _register(self, spec: InstanceSpec) -> int:
        number = self._fleet.add(spec, self.now_ms())
        self._news.append(
            InstanceRegistered(
                number,
                spec.name,
                dict(spec.resources),
                dict(spec.attributes),
                spec.price_microusd_hour,
                capacity_provider=spec.capacity_provider,
            )
        )
        return number

    def _news_of(self, event: Event) -> None:
        self._news.append(event)
        if isinstance(event, InstancesGone):
            self._groups.lost([self._fleet.specs[number].name for number in event.instances])

    def _reconnected(self, instances: tuple[int, ...]) -> None:
        """The agents tell what became of their tasks meanwhile, and see to what is new."""
        now = self.now_ms()
        for instance in instances:
            for task, turn in self._held.pop(instance, ()):
                heapq.heappush(self._lives, (now, task, turn))
        self._lives_alarm.set(self._lives[0][0] if self._lives else None)

    def _call(self) -> int | None:
        now = self.now_ms()
        for call in self._client.due(now):
            if self._client.is_held(call):
                continue
            if not self._faults.admits(type(call).__name__, calls_of(call)):
                self._news.append(self._client.throttled(call, now))
                continue
            self._news.append(call)
            if isinstance(call, RegisterTaskDefinition):
                self._definitions.register(call.document)
        return self._client.next_ms

    def _scale(self) -> int | None:
        assert self._autoscaler is not None
        self._news += self._autoscaler.due(self.now_ms())
        return self._autoscaler.next_ms

    # --- the lives of tasks -----------------------------------------------------------------------

    def _start(self, command: StartTasks) -> None:
        now = self.now_ms()
        pairs = zip(command.tasks, command.instances, strict=True)
        fresh = [(task, instance) for task, instance in pairs if self._is_new(task)]
        delays = self._start_ms(len(fresh))
        failure = self._faults.start_failure(command.task_definition)
        checked_ms = self._first_check_ms(command.task_definition)
        for (task, instance), delay in zip(fresh, delays, strict=True):
            self._request[task] = command.request
            self._instance[task] = instance
            if checked_ms is not None:
                self._checked_ms[task] = checked_ms
            if failure is None:
                heapq.heappush(self._lives, (now + delay, task, _RUNNING))
            else:
                self._stopping[task] = (StopCode.TASK_FAILED_TO_START, failure)
                heapq.heappush(self._lives, (now + delay, task, _STOPPED))
        self._lives_alarm.set(self._lives[0][0] if self._lives else None)

    def _is_new(self, task: int) -> bool:
        """Whether nobody asked to start this task before; a start may be repeated, even late."""
        if task >= len(self._started):
            self._started.extend(bytes(task + 1 - len(self._started)))
        new = not self._started[task]
        self._started[task] = 1
        return new

    def _stop(self, command: StopTasks) -> None:
        now = self.now_ms()
        delays = self._stop_ms(len(command.tasks))
        for task, delay in zip(command.tasks, delays, strict=True):
            if task in self._instance and task not in self._stopping:
                self._stopping[task] = (command.stop_code, command.reason)
                heapq.heappush(self._lives, (now + delay, task, _STOPPED))
        self._lives_alarm.set(self._lives[0][0] if self._lives else None)

    def _turn(self) -> int | None:
        """Report every task whose start or end has come by now; returns when the next one does."""
        now = self.now_ms()
        running: list[int] = []
        healthy: list[int] = []
        stopped: dict[tuple[StopCode, str], list[int]] = {}
        while self._lives and self._lives[0][0] <= now:
            _, task, turn = heapq.heappop(self._lives)
            instance = self._instance.get(task)
            if instance is None or instance in self._faults.dead:
                continue
            if instance in self._faults.cut_off:
                self._held.setdefault(instance, []).append((task, turn))
                continue
            if turn == _RUNNING:
                if task not in self._stopping:
                    running.append(task)
                    self._schedule_exit(task, now)
                continue
            if turn == _HEALTHY:
                if task not in self._stopping:
                    healthy.append(task)
                continue
            why = self._stopping.pop(task, (StopCode.ESSENTIAL_CONTAINER_EXITED, _EXITED))
            stopped.setdefault(why, []).append(task)
            del self._instance[task], self._request[task]
        if running:
            self._news.append(TasksChanged(TaskStatus.RUNNING, tuple(running)))
        if healthy:
            self._news.append(TasksHealthChanged(True, tuple(healthy)))
        for (code, reason), tasks in stopped.items():
            self._news.append(TasksChanged(TaskStatus.STOPPED, tuple(tasks), code, reason))
        return self._lives[0][0] if self._lives else None

    def _schedule_exit(self, task: int, now: int) -> None:
        request = self._request[task]
        run_ms = None if request is None else self._client.run_ms(request)
        if run_ms is not None:
            heapq.heappush(self._lives, (now + run_ms, task, _STOPPED))
        checked_ms = self._checked_ms.pop(task, None)
        if checked_ms is not None:
            heapq.heappush(self._lives, (now + checked_ms, task, _HEALTHY))

    def _first_check_ms(self, task_definition: str) -> int | None:
        """When the health checks of a task have their first verdict; None where there are none."""
        try:
            containers = self._definitions.definition(task_definition).containers
        except PlacementError:  # nobody registered it here: what it checks is not known
            return None
        checks = [c.health_check.interval for c in containers if c.essential and c.health_check]
        return max(checks) * 1000 if checks else None

    def _tell_lost(self, notice: TasksStopped) -> None:
        counts: dict[int, int] = {}
        for task in notice.tasks:
            self._instance.pop(task, None)
            request = self._request.pop(task, None)
            if request is not None:
                counts[request] = counts.get(request, 0) + 1
        if notice.stop_code in (StopCode.INFRASTRUCTURE_HEALTH, StopCode.SPOT_INTERRUPTION):
            for request, count in counts.items():
                self._client.lost(request, count, self.now_ms())
            self._client_alarm.set(self._client.next_ms)


class _Alarm:
    """Calls `ring` at the earliest time that was set; `ring` returns when to call it next.

    A SimPy timeout cannot be moved, so an earlier time gets a timeout of its own and the later one
    finds, when it fires, that it is not wanted.
    """

    def __init__(self, env: simpy.Environment, ring: Callable[[], int | None]) -> None:
        self._env, self._ring = env, ring
        self._at_ms: int | None = None

    def set(self, at_ms: int | None) -> None:
        """Ring at `at_ms` (now, where that is past) unless an earlier time is set already."""
        if at_ms is None or (self._at_ms is not None and self._at_ms <= at_ms):
            return
        self._at_ms = max(at_ms, int(self._env.now))
        timeout = self._env.timeout(self._at_ms - self._env.now)
        timeout.callbacks.append(self._fire)

    def _fire(self, _: simpy.Event) -> None:
        if self._at_ms == self._env.now:
            self._at_ms = None
            self.set(self._ring())
