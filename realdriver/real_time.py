"""The Driver protocol in real time: what every real driver does between world and scheduler.

One thread keeps all state and decides nothing. It passes the scheduler's commands to a fleet, and
what the fleet's workers report back to it. The workers make every slow call.

Time is the run's own: it stands still while no process drives the run, and no clock makes it jump.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.book import Book

_LONGEST_MS = 500  # of one wait


@dataclass(frozen=True, slots=True)
class Wake:
    """Put into the inbox by who wants `wait` to return, once `act` is done."""

    act: Callable[[], object] = bool


class Fleet(Protocol):
    """The instances of a run. All of it is called by the driver's thread."""

    @property
    def ready(self) -> bool:
        """Whether the run's time may begin."""
        ...

    @property
    def over(self) -> str:
        """Why the run must end now; "": it need not."""
        ...

    @property
    def idle(self) -> bool:
        """Whether no task runs and no instance is awaited."""
        ...

    @property
    def deadline_ms(self) -> int | None:
        """When `due` has work even if no report comes."""
        ...

    def begin(self) -> None:
        """Reach out to the world, and take up what the book knows."""
        ...

    def hear(self, word: object, now_ms: int) -> None:
        """Take in what a worker put into the inbox."""
        ...

    def due(self, now_ms: int) -> list[m.Event]:
        """The events until now."""
        ...

    def start(self, tasks: Iterable[int], now_ms: int) -> None:
        """Start tasks that the book knows."""
        ...

    def stop(self, tasks: Iterable[int], now_ms: int) -> None:
        """Stop tasks as the book says."""
        ...

    def end(self, task: int) -> None:
        """A task's time is over: it ends as if by itself."""
        ...

    def close(self) -> None:
        """Let go of the world; what runs there goes on."""
        ...


class RealDriver:
    """Plays a run on a fleet, which a driver of this kind sets as `fleet`.

    Args:
        until_ms: the end of the run; None: none.
        run_ms: how long the tasks of a request run, as a workload says; None: until they are
            stopped, or end by themselves.
    """

    fleet: Fleet

    def __init__(
        self,
        until_ms: int | None = None,
        run_ms: Callable[[int], int | None] = lambda request: None,
    ) -> None:
        self.book = Book()
        self._until_ms, self._run_ms = until_ms, run_ms
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self._now_ms = 0
        self._began_s: float | None = None
        self._woken = False
        self._lives: list[tuple[int, int]] = []

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The run's time when `wait` last returned."""
        return self._now_ms

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """Events of the fleet; [] at the deadline, or once woken; None at the end of the run."""
        if self._began_s is None:
            self.fleet.begin()
            while not self.fleet.ready:
                self._await()
                if self.fleet.over:
                    return None
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
        self._inbox.put(Wake())

    def close(self) -> None:
        """Let go of the world; what runs there goes on."""
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

    def _await(self) -> None:
        """Before the run's time begins."""
        try:
            word = self._inbox.get(timeout=_LONGEST_MS / 1000)
        except Empty:
            word = Wake()
        if isinstance(word, Wake):
            word.act()
        else:
            self.fleet.hear(word, self._now_ms)

    def _over(self, deadline_ms: int | None) -> bool:
        if self.fleet.over:
            return True
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
            if isinstance(heard, Wake):
                heard.act()
                self._woken = True
            else:
                self.fleet.hear(heard, self._now_ms)
            if self._inbox.empty():
                return
            heard = self._inbox.get()
