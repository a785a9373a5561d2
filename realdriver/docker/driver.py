"""The Driver protocol on Docker engines: real instances, real containers, real time.

One thread keeps all state and decides nothing. It passes the scheduler's commands to the agents of
the instances, the agents' actions to the workers of the engines, and the workers' reports back to
the agents. The workers make every slow call.

Time is the run's own: it stands still while no process drives the run, and no clock makes it jump.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.book import Book
from stowplan.realdriver.docker.config import EnginesTable, EngineTable, Machine
from stowplan.realdriver.docker.engines import EngineFleet

_LONGEST_MS = 500  # of one wait


@dataclass(frozen=True, slots=True)
class _Wake:
    """Put into the inbox by who wants `wait` to return, once `act` is done."""

    act: Callable[[], object] = bool


class DockerDriver:
    """Plays a run on engines.

    Args:
        machines: the instances and which engine plays each.
        settings: engines, and how to treat them.
        cluster, run: the labels of all that is made.
        until_ms: the end of the run; None: none.
        run_ms: how long the tasks of a request run, as a workload says; None: until they are
            stopped, or end by themselves.
        say: takes a line about each thing that happens, for people.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        settings: EnginesTable,
        *,
        cluster: str,
        run: str,
        until_ms: int | None = None,
        run_ms: Callable[[int], int | None] = lambda request: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.book = Book()
        self._until_ms, self._run_ms = until_ms, run_ms
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self.fleet = EngineFleet(machines, settings, self.book, self._inbox, (cluster, run), say)
        self._now_ms = 0
        self._began_s: float | None = None
        self._woken = False
        self._lives: list[tuple[int, int]] = []

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The run's time when `wait` last returned."""
        return self._now_ms

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """Events of the engines; [] at the deadline, or once woken; None at the end of the run."""
        if self._began_s is None:
            self.fleet.begin()
            while not self.fleet.heard_all:
                self.fleet.hear(self._inbox.get(), self._now_ms)
            self._began_s = time.monotonic() - self._now_ms / 1000
        while True:
            self._now_ms = max(self._now_ms, int((time.monotonic() - self._began_s) * 1000))
            if events := self._events():
                for event in events:
                    self._note(event)
                return events
            if self._over(deadline_ms):
                return None
            due = deadline_ms is not None and deadline_ms <= self._now_ms
            if due or self._woken:
                self._woken = False
                return []
            self._listen(deadline_ms)

    def execute(self, command: m.Command) -> None:
        """Begin to carry out a command."""
        self.book.command(command)
        if isinstance(command, m.StartTasks):
            self.fleet.start(command.tasks, self._now_ms)
        elif isinstance(command, m.StopTasks):
            self.fleet.stop(command.tasks, self._now_ms)

    def register(self, call: m.RegisterTaskDefinition) -> None:
        """A task definition, which may make no sense."""
        self.book.event(call)

    def wake(self) -> None:
        """Let `wait` return soon, from any thread: a caller has something to say."""
        self._inbox.put(_Wake())

    def add(self, machine: Machine, engine: EngineTable | None = None) -> None:
        """A machine joins while the run lasts, from any thread.

        Args:
            engine: that plays it, where it is a new one; else it is `machine.engine`.
        """

        def act() -> None:
            number = machine.engine if engine is None else self.fleet.open(engine)
            self.fleet.add(replace(machine, engine=number))

        self._inbox.put(_Wake(act))

    def retire(self, name: str) -> None:
        """A machine goes for good while the run lasts, and what runs there; from any thread."""
        self._inbox.put(_Wake(partial(self.fleet.retire, name)))

    def close(self) -> None:
        """Let go of the engines; what runs there goes on."""
        self.fleet.close()

    def restore(self, rounds: Iterable[m.Round]) -> None:
        """Take up a run where its journal ends; before the first `wait`."""
        for entry in rounds:
            self._now_ms = entry.now_ms
            for event in entry.accepted():
                self._note(event)
            for command in entry.commands:
                self.book.command(command)

    # --- the loop ---------------------------------------------------------------------------------

    def _note(self, event: m.Event) -> None:
        """Note an event before the scheduler gets it."""
        self.book.event(event, self._now_ms)
        if isinstance(event, m.TasksChanged) and event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                self._expect_end(task)

    def _expect_end(self, number: int) -> None:
        """A workload says how long its tasks run: a task that has not ended by then is stopped."""
        task = self.book.tasks.get(number)
        if task is not None and task.request is not None:
            run_ms = self._run_ms(task.request)
            if run_ms is not None:
                heapq.heappush(self._lives, (self._now_ms + run_ms, number))

    def _events(self) -> list[m.Event]:
        now_ms = self._now_ms
        while self._lives and self._lives[0][0] <= now_ms:
            self.fleet.end(heapq.heappop(self._lives)[1])
        return self.fleet.due(now_ms)

    def _over(self, deadline_ms: int | None) -> bool:
        if self._until_ms is not None and self._now_ms >= self._until_ms:
            return True
        return deadline_ms is None and not self._woken and self.fleet.idle

    def _listen(self, deadline_ms: int | None) -> None:
        """Wait for a report of a worker, or until something else is due."""
        times = [deadline_ms, self.fleet.deadline_ms, self._until_ms]
        if self._lives:
            times.append(self._lives[0][0])
        # A thread that waits for long may not hear Ctrl-C, if another one got the signal.
        next_ms = min((at for at in times if at is not None), default=self._now_ms + _LONGEST_MS)
        seconds = max(0, min(next_ms - self._now_ms, _LONGEST_MS)) / 1000
        try:
            heard = self._inbox.get(timeout=seconds)
        except Empty:
            return
        assert self._began_s is not None
        self._now_ms = max(self._now_ms, int((time.monotonic() - self._began_s) * 1000))
        while True:
            if isinstance(heard, _Wake):
                heard.act()
                self._woken = True
            else:
                self.fleet.hear(heard, self._now_ms)
            if self._inbox.empty():
                return
            heard = self._inbox.get()
