"""The lives of simulated tasks, from the command that starts them to the report of their end.

Most are a start and an end and ride in one timetable, an entry for each. A task that is more is
played by its instance's agent (`sim.agents`). An instance also has one while a task stops there:
its share is not free before it is gone, and who is to have it must wait in line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import simpy

from placement.agent import runtime as r
from placement.agent.host import Share, share_of
from placement.agent.task import EXITED
from placement.client import Client
from placement.errors import PlacementError
from placement.launches import Launches
from placement.messages import Event, StartTasks, StopTasks
from placement.model import StopCode, TaskDefinition
from placement.taskdef import TaskOverride
from sim.agents import Agents
from sim.alarm import Alarm
from sim.containers import Containers
from sim.faults import Faults
from sim.fleet import FleetColumns
from sim.models import Sampler
from sim.reports import Reports
from sim.timetable import Timetable

_RUNNING, _HEALTHY, _STOPPED, _OVER = 0, 1, 2, 3
_SHIFT, _TURN = 2, 3  # an entry of the timetable is a task and its turn in one number
_START, _STOP = 1, 2
_BY_ITSELF = (StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED)


class _Part(NamedTuple):
    """A task definition to the driver: whether agents play it, and when a task that is only a start
    and an end has the first verdict of its health checks (None: it has none)."""

    definition: TaskDefinition | None
    played: bool
    checked_ms: int | None


class Lives:
    """All tasks of a run.

    `definitions` are those that were registered. Args:
        client: knows how long the tasks of a request run.
        tell: takes what the agents report.
        start_ms, stop_ms: how long it takes where nobody plays the task.
        tick_ms: starts and ends of those are reported at multiples of it.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: FleetColumns,
        client: Client,
        containers: Containers,
        faults: Faults,
        tell: Callable[[Event], None],
        *,
        start_ms: Sampler,
        stop_ms: Sampler,
        tick_ms: int = 1,
    ) -> None:
        self._env, self._client, self._tell = env, client, tell
        self._containers, self._faults = containers, faults
        self._start_ms, self._stop_ms = start_ms, stop_ms
        self._machines = containers.machines
        self._agents = Agents(fleet, containers, faults.cut_off, faults.dead, self._hear)
        self._reports = Reports()
        self.definitions = Launches()
        self._parts: dict[str, _Part] = {}
        self._told = bytearray()  # by task: the bits of what it was told
        # Tasks that are not gone: the command that started each, its instance, played by an agent?
        self._placed: dict[int, tuple[StartTasks, int, bool]] = {}
        # Of those that nobody plays: by instance; in line there, with the delay of their start;
        # when checks have their first verdict; why they fail to start, or are being stopped.
        self._on: defaultdict[int, set[int]] = defaultdict(set)
        self._in_line: dict[int, int] = {}
        self._checked_ms: dict[int, int] = {}
        self._failing: dict[int, str] = {}
        self._stopping: dict[int, tuple[StopCode, str]] = {}
        self._held: dict[int, list[tuple[int, int]]] = {}
        self._lives = Timetable(tick_ms)
        self._lives_alarm = Alarm(env, self._turn)
        self._agents_alarm = Alarm(env, self._agents_turn)
        self._machines_alarm = Alarm(env, self._machines_turn)

    def start(self, command: StartTasks) -> None:
        """Start tasks; those of which it was asked before are left alone."""
        now = int(self._env.now)
        name = command.task_definition
        part = self._parts.get(name) or self._part(name)
        pairs = zip(command.tasks, command.instances, strict=True)
        fresh = [(task, instance) for task, instance in pairs if self._is_news(task, _START)]
        failure = self._faults.start_failure(name)
        if part.played and failure is None:
            self._start_played(command, part, fresh)
            return
        slow, agents, add = self._containers.slow, self._agents.by_instance, self._lives.add
        for (task, instance), delay in zip(fresh, self._start_ms(len(fresh)), strict=True):
            self._placed[task] = (command, instance, False)
            self._on[instance].add(task)
            if part.checked_ms is not None:
                self._checked_ms[task] = part.checked_ms
            if failure is not None:
                self._failing[task] = failure
            if slow:
                delay = round(delay * slow.get(instance, 1))
            if instance in agents and not agents[instance].hold(task, self._share(command)):
                self._in_line[task] = delay
            elif self._machines is None:
                add(now + delay, task << _SHIFT | _RUNNING)
            else:
                self._begin(task, instance, delay, now)
        self._set_own_alarms()

    def stop(self, command: StopTasks) -> None:
        """Stop tasks, those that are here and not yet stopping."""
        now = int(self._env.now)
        fresh = [task for task in command.tasks if self._is_news(task, _STOP)]
        code, reason = command.stop_code, command.reason
        for task, delay in zip(fresh, self._stop_ms(len(fresh)), strict=True):
            place = self._placed.get(task)
            if place is None or task in self._stopping:
                continue
            instance = place[1]
            if place[2]:
                self._agents.stop(instance, task, code, reason, now)
                continue
            self._stopping[task] = (code, reason)
            self._employ(instance)
            self._agents.leave(instance)
            if self._in_line.pop(task, None) is not None:
                self._lives.add(now, task << _SHIFT | _STOPPED)
            elif task not in self._failing:
                self._finish(task, instance, delay, now)
        self.set_alarms()
        self._report()

    def lost(self, tasks: Iterable[int]) -> dict[int, int]:
        """ECS takes these tasks for lost; returns how many of each request were here."""
        counts: dict[int, int] = {}
        for task in tasks:
            place = self._placed.pop(task, None)
            if place is None:
                continue
            command, instance, played = place
            if played:
                self._containers.dismiss(task)
            else:
                self._on[instance].remove(task)
            if command.request is not None:
                counts[command.request] = counts.get(command.request, 0) + 1
        return counts

    def reconnected(self, instances: tuple[int, ...]) -> None:
        """The agents tell what became of their tasks meanwhile, and see to what is new."""
        now = int(self._env.now)
        for instance in instances:
            for task, turn in self._held.pop(instance, ()):
                self._lives.add(now, task << _SHIFT | turn)
        self._agents.reconnected(instances, now)
        self.set_alarms()
        self._report()

    def set_alarms(self) -> None:
        """Be woken for what happens next."""
        self._set_own_alarms()
        self._agents_alarm.set(self._agents.next_ms)

    def _set_own_alarms(self) -> None:
        self._lives_alarm.set(self._lives.next_ms)
        if self._machines is not None:
            self._machines_alarm.set(self._machines.next_ms)

    # --- inside -----------------------------------------------------------------------------------

    def _report(self) -> None:
        for event in self._reports.events():
            self._tell(event)

    def _start_played(self, command: StartTasks, part: _Part, fresh: list[tuple[int, int]]) -> None:
        assert part.definition is not None
        request = command.request
        # Where engines are modelled it is ended by a stop, from when it is RUNNING.
        known = request is not None and self._machines is None
        run_ms = self._client.run_ms(request) if known else None
        override = TaskOverride(command.cpu, command.memory)
        for task, instance in fresh:
            self._placed[task] = (command, instance, True)
            self._containers.cast(task, part.definition, run_ms)
            self._employ(instance)
            self._agents.start(instance, task, part.definition, override, int(self._env.now))
        self.set_alarms()
        self._report()

    def _is_news(self, task: int, order: int) -> bool:
        """Whether this task gets an order for the first time; one may be repeated, even late."""
        told = self._told
        if task >= len(told):
            told.extend(bytes(task + 1 - len(told)))
        new = not told[task] & order
        told[task] |= order
        return new

    def _part(self, name: str) -> _Part:
        """What tasks of this definition are to the driver."""
        try:
            definition = self.definitions.definition(name)
        except PlacementError:  # nobody registered it here: what it does is not known
            return _Part(None, False, None)
        checks = [c.health_check for c in definition.containers if c.essential]
        intervals = [check.interval for check in checks if check]
        checked_ms = max(intervals) * 1000 if intervals else None
        part = _Part(definition, self._containers.models.plays(definition), checked_ms)
        self._parts[name] = part
        return part

    def _share(self, command: StartTasks) -> Share:
        name = command.task_definition
        definition = (self._parts.get(name) or self._part(name)).definition
        if definition is None:
            return Share(())
        return share_of(definition, TaskOverride(command.cpu, command.memory))

    def _employ(self, instance: int) -> None:
        """From now on the instance has an agent."""
        if instance not in self._agents.by_instance:
            tasks = self._on.get(instance, ())
            held = ((task, self._share(self._placed[task][0])) for task in sorted(tasks))
            self._agents.employ(instance, held)

    def _turn(self) -> int | None:
        """Report every task whose start or end has come by now; returns when the next one does."""
        now, placed, reports = int(self._env.now), self._placed, self._reports
        dead, cut_off = self._faults.dead, self._faults.cut_off
        while due := self._lives.pop(now):
            for entry in due:
                task, turn = entry >> _SHIFT, entry & _TURN
                place = placed.get(task)
                if place is None or place[1] in dead:
                    continue
                if place[1] in cut_off:
                    self._held.setdefault(place[1], []).append((task, turn))
                elif turn == _OVER and place[2]:
                    self._containers.end(place[1], task, now)
                elif turn == _OVER and task not in self._stopping:
                    self._finish(task, place[1], self._stop_ms(1)[0], now)
                elif turn == _STOPPED or task in self._failing:
                    self._end(task, place[1])
                elif task in self._stopping:
                    continue
                elif turn == _RUNNING:
                    reports.running.append(task)
                    self._schedule_exit(task, place[0].request, now)
                else:
                    reports.healthy.append(task)
        self._report()
        if self._machines is not None:
            self._machines_alarm.set(self._machines.next_ms)
        return self._lives.next_ms

    def _begin(self, task: int, instance: int, delay_ms: int, now: int) -> None:
        """A task that nobody plays begins to start."""
        if self._machines is None:
            self._lives.add(now + delay_ms, task << _SHIFT | _RUNNING)
        else:
            create_ms = self._containers.create_ms
            works = (delay_ms,) if create_ms is None else (create_ms(1)[0], delay_ms)
            self._machines.start(instance, works, now, partial(self._come, task, _RUNNING))

    def _finish(self, task: int, instance: int, delay_ms: int, now: int) -> None:
        """A task that nobody plays begins to end."""
        if self._machines is None:
            self._lives.add(now + delay_ms, task << _SHIFT | _STOPPED)
        else:
            self._machines.stop(instance, delay_ms, now, partial(self._come, task, _STOPPED))

    def _come(self, task: int, turn: int, now: int) -> None:
        self._lives.add(now, task << _SHIFT | turn)

    def _machines_turn(self) -> int | None:
        assert self._machines is not None
        self._machines.turn(int(self._env.now))
        self._lives_alarm.set(self._lives.next_ms)
        self._agents_alarm.set(self._agents.next_ms)
        return self._machines.next_ms

    def _end(self, task: int, instance: int) -> None:
        """A task that nobody plays is gone."""
        why = self._stopping.pop(task, None) if self._stopping else None
        if task in self._failing:
            failed = (StopCode.TASK_FAILED_TO_START, self._failing.pop(task))
            self._reports.stopped(task, failed)
        else:
            self._reports.stopped(task, why or _BY_ITSELF)
        del self._placed[task]
        self._on[instance].remove(task)
        if instance in self._agents.by_instance:
            self._agents.release(instance, task, why is not None, int(self._env.now))
            self._agents_alarm.set(self._agents.next_ms)

    def _schedule_exit(self, task: int, request: int | None, now: int) -> None:
        run_ms = None if request is None else self._client.run_ms(request)
        if run_ms is not None:
            # Where engines are modelled it is ended by a stop, as the real driver does.
            turn = _STOPPED if self._machines is None else _OVER
            self._lives.add(now + run_ms, task << _SHIFT | turn)
        checked_ms = self._checked_ms.pop(task, None) if self._checked_ms else None
        if checked_ms is not None:
            self._lives.add(now + checked_ms, task << _SHIFT | _HEALTHY)

    def _agents_turn(self) -> int | None:
        following = self._agents.turn(int(self._env.now))
        self._report()
        if self._machines is not None:
            self._set_own_alarms()
        return following

    def _hear(self, news: r.News) -> None:
        """An agent has news of a task."""
        task = news.task
        if task not in self._placed:
            return
        if isinstance(news, r.TaskAdmitted):
            delay = self._in_line.pop(task, None)
            if delay is not None:  # else it is being stopped at this very moment
                self._begin(task, self._placed[task][1], delay, int(self._env.now))
                self.set_alarms()
        elif isinstance(news, r.TaskRunning):
            self._reports.running.append(task)
            if self._machines is not None:
                self._schedule_exit(task, self._placed[task][0].request, int(self._env.now))
        elif isinstance(news, r.TaskHealth):
            (self._reports.healthy if news.healthy else self._reports.unhealthy).append(task)
        else:
            self._reports.stopped(task, (news.stop_code, news.reason))
            del self._placed[task]
            self._containers.dismiss(task)
