"""The lives of simulated tasks, from the command that starts them to the report of their end.

Most are a start and an end and ride in one timetable, an entry for each. A task that is more is
played by its instance's agent (`sim.agents`). An instance also has an agent while a task stops
there: its share is not free before it is gone, and the next task must wait in line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import simpy

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.account import Share, share_of
from stowplan.placement.agent.task import EXITED
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import Event, StartTasks, StopTasks
from stowplan.placement.model import StopCode, TaskDefinition
from stowplan.placement.scenario.models import Sampler
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.taskdef.parse import TaskOverride
from stowplan.sim.agents import Agents
from stowplan.sim.alarm import Alarm
from stowplan.sim.batch import Batch, Part, part_of
from stowplan.sim.containers import Containers
from stowplan.sim.drains import Drains
from stowplan.sim.faults import Faults
from stowplan.sim.fleet import InstanceColumns
from stowplan.sim.reports import Reports
from stowplan.sim.timetable import Timetable

_RUNNING, _HEALTHY, _STOPPED, _OVER = 0, 1, 2, 3
_SHIFT, _TURN = 2, 3  # an entry of the timetable is a task and its turn in one number
_START, _STOP = 1, 2
_BY_ITSELF = (StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED), 0


class Lives:
    """All tasks of a run; `definitions` are those that were registered.

    Args:
        run_ms: how long the tasks of a request run.
        tell: takes what the agents report.
        start_ms, stop_ms: how long it takes where no agent plays the task.
        tick_ms: starts and ends of those are reported at multiples of it.
    """

    def __init__(
        self,
        env: simpy.Environment,
        fleet: InstanceColumns,
        run_ms: Callable[[int], int | None],
        containers: Containers,
        faults: Faults,
        tell: Callable[[Event], None],
        *,
        start_ms: Sampler,
        stop_ms: Sampler,
        tick_ms: int = 1,
    ) -> None:
        self._env, self._run_ms, self._tell = env, run_ms, tell
        self._containers, self._faults = containers, faults
        self._start_ms, self._stop_ms, self._machines = start_ms, stop_ms, containers.machines
        self._agents = Agents(fleet, containers, faults.cut_off, faults.dead, self._hear)
        self._reports = Reports()
        self.definitions = Launches()
        self._parts: dict[str, Part] = {}
        self._told = bytearray()  # by task: the bits of what it was told
        # By task: what it was started with, None before and once it is gone; and where. Lists by
        # number: a dict of tuples costs a miss of the processor's cache for each of these.
        self._batch: list[Batch | None] = []
        self._instance: list[int] = []
        # Of tasks that no agent plays: by instance, the gone as well; in line there, with the delay
        # of their start; why they are being stopped.
        self._on: defaultdict[int, list[int]] = defaultdict(list)
        self._in_line: dict[int, int] = {}
        self._stopping: dict[int, tuple[StopCode, str, int]] = {}  # the last: since when
        # By instance that is cut off: entries that came due, and when, where the agent knew then
        # what it had to do; by entry: that time, once the agent is back.
        self._held: dict[int, list[tuple[int, int | None]]] = {}
        self._since: dict[int, int] = {}
        self._lives = Timetable(tick_ms)
        self._agents_alarm = Alarm(env, self._agents_turn)
        self._drains = Drains(env, self._drained)
        self._machines_alarm = Alarm(env, self._machines_turn)

    def start(self, command: StartTasks) -> None:
        """Start tasks; a start that was asked for before changes nothing."""
        now = int(self._env.now)
        name, request, rows = command.task_definition, command.request, command.instances
        part = self._parts.get(name) or self._part(name)
        fresh = self._news(command.tasks, _START)
        if len(fresh) != len(rows):
            new = set(fresh)
            rows = tuple(row for t, row in zip(command.tasks, rows, strict=True) if t in new)
        failure = None if command.found else self._faults.start_failure(name)
        played = part.played and failure is None and not command.found
        run_ms = None if request is None else self._run_ms(request)
        checked_ms = 0 if command.found and part.checked_ms is not None else part.checked_ms
        batch = Batch(command, played, run_ms, checked_ms, failure, now)
        batches, instances, on = self._batch, self._instance, self._on
        for task, row in zip(fresh, rows, strict=True):
            batches[task], instances[task] = batch, row
            if not played:
                on[row].append(task)
        if played:
            assert part.definition is not None
            self._start_played(batch, part.definition, fresh, rows)
            return
        delays = [0] * len(fresh) if command.found else self._start_ms(len(fresh))
        if command.found:
            self._lives.add_all([now] * len(fresh), [t << _SHIFT | _RUNNING for t in fresh])
        elif self._containers.slow or self._agents.by_instance or self._machines is not None:
            for task, row, delay in zip(fresh, rows, delays, strict=True):
                self._start_in_line(command, task, row, delay, now)
        else:
            entries = [task << _SHIFT | _RUNNING for task in fresh]
            self._lives.add_all([now + delay for delay in delays], entries)
        self._set_own_alarms()

    def _start_in_line(
        self, command: StartTasks, task: int, instance: int, delay_ms: int, now: int
    ) -> None:
        """Start a task that no agent plays once its instance's agent has a share for it."""
        slow = self._containers.slow
        if slow:
            delay_ms = round(delay_ms * slow.get(instance, 1))
        agent = self._agents.by_instance.get(instance)
        if agent is None or agent.hold(task, self._share(command)):
            self._begin(task, instance, delay_ms, now)
        else:
            self._in_line[task] = delay_ms

    def stop(self, command: StopTasks) -> None:
        """Stop tasks, those that are here and not yet stopping."""
        now, fresh = int(self._env.now), self._news(command.tasks, _STOP)
        code, reason = command.stop_code, command.reason
        if (until_ms := command.not_before_ms or now) > now:
            self._drain(fresh, command, until_ms)
            return
        for task, delay in zip(fresh, self._stop_ms(len(fresh)), strict=True):
            batch, instance = self._batch[task], self._instance[task]
            if batch is None or task in self._stopping:
                continue
            if batch.played:
                self._agents.stop(instance, task, code, reason, now)
                continue
            self._stopping[task] = (code, reason, now)
            self._employ(instance)
            self._agents.leave(instance)
            if self._in_line.pop(task, None) is not None:
                self._lives.add(now, task << _SHIFT | _STOPPED)
            elif batch.failure is None:
                self._finish(task, instance, delay, now)
        self.set_alarms()
        self._report()

    def _drain(self, tasks: list[int], order: StopTasks, until_ms: int) -> None:
        """Until then the agent knows nothing of the stop, and the tasks hold their share there."""
        here = [task for task in tasks if self._batch[task] is not None]
        for row in map(self._instance.__getitem__, here):
            self._employ(row)
            self._agents.leave(row)
        self._drains.add(until_ms, order, here)

    def _drained(self, order: StopTasks) -> None:
        for task in order.tasks:
            self._agents.stay(self._instance[task])
            self._told[task] &= ~_STOP
        self.stop(order)

    def lost(self, tasks: Iterable[int]) -> None:
        """ECS counts these tasks as stopped; nothing more is heard of them."""
        for task in tasks:
            batch = self._batch[task] if task < len(self._batch) else None
            if batch is not None:
                self._batch[task] = None
                if batch.played:
                    self._containers.dismiss(task)

    def reconnected(self, instances: tuple[int, ...]) -> None:
        """The agents report what became of their tasks meanwhile, and carry out new orders."""
        now = int(self._env.now)
        for instance in instances:
            for entry, since_ms in self._held.pop(instance, ()):
                self._lives.add(now, entry)
                if since_ms is not None:
                    self._since[entry] = since_ms
        self._agents.reconnected(instances, now)
        self.set_alarms()
        self._report()

    def set_alarms(self) -> None:
        """Be woken for what happens next."""
        self._set_own_alarms()
        self._agents_alarm.set(self._agents.next_ms)

    @property
    def next_ms(self) -> int | None:
        """When the next start or end of a task that no agent plays is due: call `turn` then."""
        return self._lives.next_ms

    def _set_own_alarms(self) -> None:
        if self._machines is not None:
            self._machines_alarm.set(self._machines.next_ms)

    # --- inside -----------------------------------------------------------------------------------

    def _report(self) -> None:
        for event in self._reports.events():
            self._tell(event)

    def _start_played(
        self, batch: Batch, definition: TaskDefinition, tasks: list[int], rows: Sequence[int]
    ) -> None:
        override = TaskOverride(
            batch.command.cpu, batch.command.memory, containers=batch.command.overrides
        )
        # Where engines are modelled it is ended by a stop, so long after it was RUNNING.
        run_ms = batch.run_ms if self._machines is None else None
        for task, instance in zip(tasks, rows, strict=True):
            self._containers.cast(task, definition, run_ms)
            self._employ(instance)
            self._agents.start(instance, task, definition, override, int(self._env.now))
        self.set_alarms()
        self._report()

    def _news(self, tasks: Sequence[int], order: int) -> list[int]:
        """The tasks that get an order for the first time; an order may be repeated, even late."""
        told, fresh = self._told, []
        missing = max(tasks, default=-1) + 1 - len(told)
        if missing > 0:
            told.extend(bytes(missing))
            self._batch += [None] * missing
            self._instance += [-1] * missing
        for task in tasks:
            before = told[task]
            if not before & order:
                told[task] = before | order
                fresh.append(task)
        return fresh

    def _part(self, name: str) -> Part:
        """What tasks of this definition are to the driver."""
        try:
            definition = self.definitions.definition(name)
        except PlacementError:  # not registered here: what it does is not known
            return Part(None, False, None)
        part = part_of(definition, self._containers.models.plays(definition))
        self._parts[name] = part
        return part

    def _share(self, command: StartTasks) -> Share:
        name = command.task_definition
        definition = (self._parts.get(name) or self._part(name)).definition
        override = TaskOverride(command.cpu, command.memory, containers=command.overrides)
        return Share(()) if definition is None else share_of(definition, override)

    def _employ(self, instance: int) -> None:
        """From now on the instance has an agent."""
        if instance not in self._agents.by_instance:
            batches = self._batch
            there = [task for task in self._on[instance] if batches[task] is not None]
            self._on[instance] = there
            held = [(task, batches[task]) for task in sorted(there)]
            self._agents.employ(instance, ((t, self._share(b.command)) for t, b in held if b))

    def turn(self) -> None:
        """Report every task whose start or end has come by now."""
        now, lives = int(self._env.now), self._lives
        while due := lives.pop(now):
            self._take_turns(due, now)
        self._report()
        if self._machines is not None:
            self._machines_alarm.set(self._machines.next_ms)

    def _take_turns(self, due: list[int], now: int) -> None:
        batches, stopping, since = self._batch, self._stopping, self._since
        reports = self._reports
        silent = self._faults.dead or self._faults.cut_off
        # Where engines are modelled a task's end is a stop, as with the real driver.
        over = _STOPPED if self._machines is None else _OVER
        exits_ms, exits, ended = [], [], []
        for entry in due:
            task, turn = entry >> _SHIFT, entry & _TURN
            batch = batches[task]
            if batch is None or (silent and self._is_silent(entry, batch, now)):
                continue
            since_ms = since.pop(entry, None) if since else None
            if turn == _OVER and batch.played:
                self._containers.end(self._instance[task], task, now)
            elif turn == _OVER and task not in stopping:
                self._finish(task, self._instance[task], self._stop_ms(1)[0], now)
            elif turn == _STOPPED or batch.failure is not None:
                if batch.failure is not None:
                    why = StopCode.TASK_FAILED_TO_START, batch.failure
                    reports.stopped((task,), why, since_ms=since_ms)
                elif task in stopping:
                    reports.stopped((task,), stopping[task][:2], since_ms=since_ms)
                elif since_ms is not None:
                    reports.stopped((task,), *_BY_ITSELF, since_ms)
                else:
                    ended.append(task)
                self._end(task, now)
            elif task in stopping:
                continue
            elif turn == _RUNNING:
                reports.ran(task, since_ms)
                if batch.run_ms is not None:
                    exits_ms.append(now + batch.run_ms)
                    exits.append(task << _SHIFT | over)
                if batch.checked_ms is not None:
                    self._lives.add(now + batch.checked_ms, task << _SHIFT | _HEALTHY)
            else:
                reports.judged(task, True, since_ms)
        if exits:
            self._lives.add_all(exits_ms, exits)
        if ended:
            reports.stopped(ended, *_BY_ITSELF)

    def _begin(self, task: int, instance: int, delay_ms: int, now: int) -> None:
        """A task that no agent plays begins to start."""
        if self._machines is None:
            self._lives.add(now + delay_ms, task << _SHIFT | _RUNNING)
        else:
            create_ms = self._containers.create_ms
            works = (delay_ms,) if create_ms is None else (create_ms(1)[0], delay_ms)
            self._machines.start(instance, works, now, partial(self._come, task, _RUNNING))

    def _finish(self, task: int, instance: int, delay_ms: int, now: int) -> None:
        """A task that no agent plays begins to end."""
        if self._machines is None:
            self._lives.add(now + delay_ms, task << _SHIFT | _STOPPED)
        else:
            self._machines.stop(instance, delay_ms, now, partial(self._come, task, _STOPPED))

    def _come(self, task: int, turn: int, now: int) -> None:
        self._lives.add(now, task << _SHIFT | turn)

    def _machines_turn(self) -> int | None:
        assert self._machines is not None
        self._machines.turn(int(self._env.now))
        self._agents_alarm.set(self._agents.next_ms)
        return self._machines.next_ms

    def _is_silent(self, entry: int, batch: Batch, now: int) -> bool:
        """Whether nothing is heard of a task now: its instance is dead, or tells of it later."""
        task = entry >> _SHIFT
        instance = self._instance[task]
        if instance in self._faults.dead:
            return True
        cut_ms = self._faults.cut_off.get(instance)
        if cut_ms is None:
            return False
        # What an agent that is cut off was told since then it does once it is back.
        told_ms = self._stopping[task][2] if task in self._stopping else batch.at_ms
        self._held.setdefault(instance, []).append((entry, now if told_ms < cut_ms else None))
        return True

    def _end(self, task: int, now: int) -> None:
        """A task that no agent plays is gone."""
        self._batch[task] = None
        instance = self._instance[task]
        if instance in self._agents.by_instance:
            why = self._stopping.pop(task, None)
            self._agents.release(instance, task, why is not None, now)
            self._agents_alarm.set(self._agents.next_ms)

    def _agents_turn(self) -> int | None:
        following = self._agents.turn(int(self._env.now))
        self._report()
        if self._machines is not None:
            self._set_own_alarms()
        return following

    def _hear(self, change: r.StateChange, since_ms: int | None) -> None:
        """An agent tells a state change of a task, which holds since a time; None: since now."""
        task = change.task
        batch = self._batch[task]
        if batch is None:
            return
        if isinstance(change, r.TaskAdmitted):
            delay = self._in_line.pop(task, None)
            if delay is not None:  # else it is being stopped at this very moment
                self._begin(task, self._instance[task], delay, int(self._env.now))
                self.set_alarms()
        elif isinstance(change, r.TaskRunning):
            self._reports.ran(task, since_ms)
            if self._machines is not None and batch.run_ms is not None:
                self._lives.add(int(self._env.now) + batch.run_ms, task << _SHIFT | _OVER)
        elif isinstance(change, r.TaskHealth):
            self._reports.judged(task, change.healthy, since_ms)
        else:
            why = change.stop_code, change.full_reason
            self._reports.stopped((task,), why, change.exit_code, since_ms)
            self._batch[task] = None
            self._containers.dismiss(task)
