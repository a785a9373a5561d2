"""The engines of a run and the instances on them: there, given up, or back.

The truth is what the engines say. What an agent believes is checked by a look at all containers,
every few seconds and whenever an engine was away. Events only make it quick.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from stowplan.placement import messages as m
from stowplan.placement.agent import runtime as r
from stowplan.placement.driver import DriverError
from stowplan.realdriver.book import Book, TaskEntry
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.actions import ActionAnswer, ActionOrder, ActionRunner, Undecided
from stowplan.realdriver.docker.config import EnginesTable, EngineTable, Machine
from stowplan.realdriver.docker.connection import Connection, EngineContainer
from stowplan.realdriver.docker.events import events_of
from stowplan.realdriver.docker.instance import Instance, nowhere
from stowplan.realdriver.docker.placing import Placing
from stowplan.realdriver.docker.workers import (
    ContainerChanged,
    ContainerVanished,
    EngineWorkers,
    Silent,
    Snapshot,
)


@dataclass(slots=True)
class _Engine:
    """`waiting` are orders whose fate the next look decides; `missing` machines to register."""

    index: int
    connection: Connection
    runner: ActionRunner
    workers: EngineWorkers
    instances: list[Instance] = field(default_factory=list)
    missing: list[Machine] = field(default_factory=list)
    waiting: list[ActionOrder] = field(default_factory=list)
    heard: bool = False
    there: bool = False
    silent_ms: int | None = None
    sweeping: int = 0


@dataclass(frozen=True, slots=True)
class _Swept:
    engine: int


class EngineFleet:
    """Every engine and instance of a run. See `DockerDriver` for the arguments."""

    def __init__(
        self,
        machines: Sequence[Machine],
        settings: EnginesTable,
        book: Book,
        inbox: SimpleQueue[object],
        labels: tuple[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._settings, self._book, self._inbox, self._say = settings, book, inbox, say
        self._cluster, self._run = labels
        self._machines = {machine.spec.name: machine for machine in machines}
        self._placing = Placing(settings, book, self._cluster, self._run)
        self._engines: list[_Engine] = []
        self._instances: list[Instance] = []
        self._events: list[m.Event] = []
        self._drains: list[tuple[int, int]] = []  # until when, which task

    # --- for the driver ---------------------------------------------------------------------------
    def begin(self) -> None:
        """Reach out to the engines, and take up the instances that the book knows."""
        for table in self._settings.engine:
            self.open(table)
        for entry in self._book.instances:
            machine = self._machines.get(entry.name)
            instance = self._instance(machine or nowhere(entry.name))
            instance.connected, instance.gone = entry.connected, entry.gone or machine is None
            if not instance.gone:
                self._engines[instance.machine.engine].instances.append(instance)
            elif not entry.gone:  # its machine went while no process drove the run
                self._events.append(m.InstancesGone((instance.number,)))
        present = {instance.machine.spec.name for instance in self._instances if not instance.gone}
        for machine in self._machines.values():
            if machine.spec.name not in present:
                self._engines[machine.engine].missing.append(machine)

    def open(self, table: EngineTable) -> int:
        """Reach out to one more engine; its number, for machines that it plays."""
        index, connection = len(self._engines), Connection(table, self._settings)
        labels = {names.CLUSTER: self._cluster, names.RUN: self._run}
        silence_s = self._settings.silence / 1000
        workers = EngineWorkers(index, connection, labels, self._inbox, silence_s)
        runner = ActionRunner(connection, self._placing.credentials)
        self._engines.append(_Engine(index, connection, runner, workers))
        return index

    def add(self, machine: Machine) -> None:
        """A machine more: it registers once its engine is there, and its time has come."""
        assert machine.spec.name not in self._machines, "a machine is added once"
        self._machines[machine.spec.name] = machine
        if self._engines:  # else `begin` sees it
            self._engines[machine.engine].missing.append(machine)

    def retire(self, name: str) -> None:
        """A machine goes for good: its instance is gone, and what runs there is removed."""
        machine = self._machines.pop(name, None)
        if machine is None or not self._engines:
            return
        engine = self._engines[machine.engine]
        engine.missing = [each for each in engine.missing if each.spec.name != name]
        for instance in [each for each in engine.instances if each.machine.spec.name == name]:
            engine.instances.remove(instance)
            instance.gone = True
            number = instance.number
            engine.waiting = [order for order in engine.waiting if order.instance != number]
            self._events.append(m.InstancesGone((number,)))

    @property
    def heard_all(self) -> bool:
        """Whether every engine has answered, or failed to, at least once."""
        return all(engine.heard for engine in self._engines)

    @property
    def idle(self) -> bool:
        """Whether no task runs and no instance is awaited."""
        return not self._book.tasks and not any(engine.missing for engine in self._engines)

    def start(self, tasks: Iterable[int], now_ms: int) -> None:
        """Start tasks that the book knows; an instance that sleeps starts them when it wakes."""
        for entry in self._entries(tasks):
            instance = self._instances[entry.instance]
            if instance.awake:
                instance.start(entry, self._placing.definition(entry), now_ms)

    def stop(self, tasks: Iterable[int], now_ms: int) -> None:
        """Stop tasks as the book says."""
        for entry in self._entries(tasks):
            instance = self._instances[entry.instance]
            if instance.awake:
                self._stop(entry, now_ms)

    def _stop(self, entry: TaskEntry, now_ms: int) -> None:
        """Stop a task as the book says: once its target has drained."""
        if entry.drains_until_ms > now_ms:
            heapq.heappush(self._drains, (entry.drains_until_ms, entry.number))
        elif entry.stop is not None:
            self._instances[entry.instance].stop(entry.number, *entry.stop, now_ms)

    def end(self, task: int) -> None:
        """A task's time is over: it ends as if by itself."""
        for entry in self._entries((task,)):
            self._instances[entry.instance].end(task)

    def due(self, now_ms: int) -> list[m.Event]:
        """The events until now."""
        while self._drains and self._drains[0][0] <= now_ms:
            self.stop((heapq.heappop(self._drains)[1],), now_ms)
        for engine in self._engines:
            self._check(engine, now_ms)
            for instance in engine.instances:
                instance.due(now_ms)
        events, self._events = self._events, []
        for instance in self._instances:
            if instance.changes:
                self._let_go(instance)
                events += events_of(instance.changes, instance.seen)
                instance.changes = []
        return events

    @property
    def deadline_ms(self) -> int | None:
        """When `due` has work even if no report comes."""
        times = [instance.deadline_ms for engine in self._engines for instance in engine.instances]
        times += [self._drains[0][0]] if self._drains else []
        for engine in self._engines:
            if engine.silent_ms is not None and engine.instances:
                times.append(engine.silent_ms + self._settings.lost_after)
            if engine.there and not engine.sweeping:
                times += [machine.spec.at_ms for machine in engine.missing]
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    def close(self) -> None:
        """Let go of the engines."""
        for engine in self._engines:
            engine.workers.close()
            engine.connection.close()

    # --- reports of the workers -------------------------------------------------------------------

    def hear(self, word: object, now_ms: int) -> None:
        """Take in what a worker put into the inbox."""
        match word:
            case ActionAnswer():
                instance = self._instances[word.order.instance]
                if not instance.gone:
                    instance.answered(word, now_ms)
                    if isinstance(word.order.action, r.StartContainer) and word.container:
                        self._tell_ports(word.container)
            case Undecided():
                instance = self._instances[word.order.instance]
                if not instance.gone:
                    self._engines[instance.machine.engine].waiting.append(word.order)
            case ContainerChanged():
                for instance in self._holding(word.engine, word.container.task):
                    instance.see(word.container, now_ms)
            case ContainerVanished():
                for instance in self._holding(word.engine, word.task):
                    instance.vanished(word.task, word.container, now_ms)
            case Snapshot():
                self._look(self._engines[word.engine], word, now_ms)
            case Silent():
                self._silent(self._engines[word.engine], word.why, now_ms)
            case _Swept():
                self._engines[word.engine].sweeping -= 1
            case Exception():
                raise word

    def _silent(self, engine: _Engine, why: str, now_ms: int) -> None:
        engine.heard, engine.there = True, False
        if engine.silent_ms is None:
            engine.silent_ms = now_ms
            self._say(f"engine {engine.connection.name} is away: {why}")
            self._connect(engine, False)

    def _connect(self, engine: _Engine, connected: bool) -> None:
        changed = [instance for instance in engine.instances if instance.connected is not connected]
        for instance in changed:
            instance.connected = connected
        if changed:
            numbers = tuple(instance.number for instance in changed)
            self._events.append(m.AgentConnectionChanged(numbers, connected))

    def _look(self, engine: _Engine, snapshot: Snapshot, now_ms: int) -> None:
        """Compare everything with the containers that are really on the engine."""
        found = {container.full_name: container for container in snapshot.containers}
        was_away = engine.silent_ms is not None
        engine.there = engine.heard = True
        self._sweep(engine, snapshot.containers, now_ms)
        for instance in engine.instances:
            if not instance.awake:
                self._wake(instance, found, now_ms)
        waiting, engine.waiting = engine.waiting, []
        for order in waiting:
            self._instances[order.instance].decide(order, found, now_ms)
        for container in snapshot.containers:
            for instance in self._holding(engine.index, container.task):
                instance.see(container, now_ms, cut=was_away)
        for instance in engine.instances:
            instance.miss(found, snapshot.begun, now_ms)
        if was_away:
            self._say(f"engine {engine.connection.name} is back")
        engine.silent_ms = None
        self._connect(engine, True)

    def _wake(self, instance: Instance, found: dict[str, EngineContainer], now_ms: int) -> None:
        """Begin with the tasks that the book says are there, taking over what already runs."""
        instance.awake = True
        entries = self._book.on((instance.number,))
        # Those that run have their share of the instance already.
        for entry in sorted(entries, key=lambda each: each.running_ms is None):
            take_up = instance.start if entry.running_ms is None else instance.resume
            take_up(entry, self._placing.definition(entry), now_ms, found)
            self._stop(entry, now_ms)

    def _sweep(self, engine: _Engine, there: Iterable[EngineContainer], now_ms: int) -> None:
        """Remove containers of ours without a task: it was given up, or ended long ago."""
        wait_ms = self._settings.cleanup_wait
        for container in sorted(there, key=lambda each: each.name == names.PAUSE):
            task, over = container.task, container.status in ("exited", "dead")
            kept = any(task in instance.placed for instance in engine.instances)
            if not (kept or self._book.keeps(task, now_ms, wait_ms if over else 0)):
                engine.sweeping += 1
                engine.workers.sweep(partial(self._remove, engine, container.full_name))

    def _remove(self, engine: _Engine, name: str) -> None:
        with suppress(DriverError):  # else the next look finds it again
            engine.connection.remove(name)
        self._inbox.put(_Swept(engine.index))

    # --- registering and giving up ----------------------------------------------------------------

    def _check(self, engine: _Engine, now_ms: int) -> None:
        """Give up an engine that was away for too long; register its instances when it is there."""
        silent_ms, patience_ms = engine.silent_ms, self._settings.lost_after
        if engine.instances and silent_ms is not None and now_ms >= silent_ms + patience_ms:
            self._give_up(engine)
        if not engine.there or engine.sweeping:
            return
        for machine in [each for each in engine.missing if each.spec.at_ms <= now_ms]:
            engine.missing.remove(machine)
            instance = self._instance(machine)
            instance.awake = True
            engine.instances.append(instance)
            self._events.append(instance.registration)

    def _give_up(self, engine: _Engine) -> None:
        instances, engine.instances, engine.waiting = engine.instances, [], []
        for instance in instances:
            instance.gone = True
            engine.missing.append(instance.machine)
        numbers = tuple(instance.number for instance in instances)
        lost = len(self._book.on(numbers))
        self._say(f"engine {engine.connection.name} is given up, and {lost} tasks with it")
        self._events.append(m.InstancesGone(numbers, "unreachable", since_ms=engine.silent_ms))

    def _instance(self, machine: Machine) -> Instance:
        engine = self._engines[machine.engine]
        instance = Instance(
            len(self._instances),
            machine,
            self._placing.agent,
            partial(self._submit, engine),
            partial(self._placing.placed, engine.connection),
        )
        self._instances.append(instance)
        return instance

    # --- small things -----------------------------------------------------------------------------

    def _submit(self, engine: _Engine, order: ActionOrder) -> None:
        if not engine.there:
            engine.waiting.append(order)
            return
        submit = {
            r.PullImage: engine.workers.pull,
            r.StopContainer: engine.workers.stop,
            r.RemoveContainer: engine.workers.sweep,
        }.get(type(order.action), engine.workers.call)
        instance = self._instances[order.instance]

        def job() -> None:
            if not instance.gone:  # else it was given up while it waited here
                self._inbox.put(engine.runner.carry_out(order))

        submit(job)

    def _let_go(self, instance: Instance) -> None:
        engine = self._engines[instance.machine.engine]
        for change in instance.changes:
            task = instance.placed.get(change.task) if isinstance(change, r.TaskStopped) else None
            if task is not None and task.is_held:
                engine.workers.sweep(partial(engine.runner.let_go, task))

    def _holding(self, engine: int, task: int) -> list[Instance]:
        """The instance of an engine that has the containers of a task, which may have ended."""
        return [each for each in self._engines[engine].instances if task in each.placed]

    def _entries(self, tasks: Iterable[int]) -> list[TaskEntry]:
        return [self._book.tasks[task] for task in tasks if task in self._book.tasks]

    def _tell_ports(self, container: EngineContainer) -> None:
        for port, where in container.published:
            self._say(f"task {container.task} {container.name}: {port} is at {where}")
