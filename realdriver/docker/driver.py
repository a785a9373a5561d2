"""The Driver protocol on Docker engines: real instances, real containers, real time.

One thread keeps all state and decides nothing. It passes the scheduler's commands to the agents of
the instances, the agents' actions to the workers of the engines, and the workers' reports back to
the agents. The workers make every slow call.

Time is the run's own: it stands still while no process drives the run, and no clock makes it jump.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue

from numpy.random import Generator

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival, Client
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.realdriver.book import CALLS, Book, TaskEntry
from stowplan.realdriver.docker.config import EnginesTable, Machine
from stowplan.realdriver.docker.engines import EngineFleet

Calls = Callable[[], Iterable[m.Event]]

_POLL_MS = 500
LOST = (StopCode.INFRASTRUCTURE_HEALTH, StopCode.SPOT_INTERRUPTION)


class DockerDriver:
    """Plays a run on engines.

    Args:
        machines: the instances and which engine plays each.
        settings: engines, and how to treat them.
        arrivals: the client's calls, ordered by time.
        rng: the client's source of chance; the same for the same run, also after a restart.
        cluster, run: the labels of all that is made.
        until_ms: the end of the run; None: none.
        calls: asked now and then for calls that other commands left for the run.
        say: takes a line about each thing that happens, for people.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        settings: EnginesTable,
        arrivals: Iterable[Arrival],
        rng: Generator,
        *,
        cluster: str,
        run: str,
        until_ms: int | None = None,
        calls: Calls = tuple,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.book = Book()
        self._client = Client(arrivals, rng)
        self._until_ms, self._calls = until_ms, calls
        self._inbox: SimpleQueue[object] = SimpleQueue()
        self.fleet = EngineFleet(machines, settings, self.book, self._inbox, (cluster, run), say)
        self._now_ms = 0
        self._began_s: float | None = None
        self._next_poll_ms = 0
        self._lives: list[tuple[int, int]] = []

    # --- the Driver protocol ----------------------------------------------------------------------

    def now_ms(self) -> int:
        """The run's time when `wait` last returned."""
        return self._now_ms

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """Events of client and engines; [] at the deadline; None at the end of the run."""
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
            if deadline_ms is not None and deadline_ms <= self._now_ms:
                return []
            self._listen(deadline_ms)

    def execute(self, command: m.Command) -> None:
        """Begin to carry out a command; notices go to the client."""
        self._tell_client(command)
        self.book.command(command)
        if isinstance(command, m.StartTasks):
            self.fleet.start(command.tasks, self._now_ms)
        elif isinstance(command, m.StopTasks):
            self.fleet.stop(command.tasks, self._now_ms)

    def close(self) -> None:
        """Let go of the engines; what runs there goes on."""
        self.fleet.close()

    def restore(self, rounds: Iterable[m.Round]) -> int:
        """Take up a run where its journal ends; before the first `wait`.

        Returns:
            how many calls of others it held, which are not to be made again.
        Raises:
            PlacementError: the journal is not of these arrivals.
        """
        others = 0
        for entry in rounds:
            own = self._client.due(entry.now_ms)
            if list(entry.events[: len(own)]) != own:
                what = "a trace or workload has changed since the run was broken off"
                raise PlacementError(f"the journal at {entry.now_ms} ms has other calls: {what}")
            others += sum(isinstance(event, CALLS) for event in entry.events) - len(own)
            self._now_ms = entry.now_ms
            for event in entry.accepted():
                self._note(event)
            for command in entry.commands:
                self._tell_client(command)
                self.book.command(command)
        return others

    # --- the client -------------------------------------------------------------------------------

    def _tell_client(self, command: m.Command) -> None:
        if isinstance(command, m.RunTaskFailed):
            self._client.failed(command.request, command.count, self._now_ms)
        elif isinstance(command, m.TasksStopped):
            self._lost(command.stop_code, self.book.lost(command.tasks))

    def _note(self, event: m.Event) -> None:
        """Note an event before the scheduler gets it."""
        if isinstance(event, m.TasksChanged) and event.status is TaskStatus.STOPPED:
            ended = [self.book.tasks[n] for n in event.tasks if n in self.book.tasks]
            self._lost(event.stop_code, ended)
        self.book.event(event)
        if isinstance(event, m.TasksChanged) and event.status is TaskStatus.RUNNING:
            for task in event.tasks:
                self._expect_end(task)

    def _lost(self, code: StopCode | None, tasks: list[TaskEntry]) -> None:
        if code in LOST:
            counts = Counter(task.request for task in tasks if task.request is not None)
            for request, count in counts.items():
                self._client.lost(request, count, self._now_ms)

    def _expect_end(self, number: int) -> None:
        """A workload says how long its tasks run: a task that has not ended by then is stopped."""
        task = self.book.tasks.get(number)
        if task is not None and task.request is not None:
            run_ms = self._client.run_ms(task.request)
            if run_ms is not None:
                heapq.heappush(self._lives, (self._now_ms + run_ms, number))

    # --- the loop ---------------------------------------------------------------------------------

    def _events(self) -> list[m.Event]:
        now_ms = self._now_ms
        while self._lives and self._lives[0][0] <= now_ms:
            self.fleet.end(heapq.heappop(self._lives)[1])
        events = self._client.due(now_ms)
        if self._next_poll_ms <= now_ms:
            self._next_poll_ms = now_ms + _POLL_MS
            events += self._calls()
        return events + self.fleet.due(now_ms)

    def _over(self, deadline_ms: int | None) -> bool:
        if self._until_ms is not None and self._now_ms >= self._until_ms:
            return True
        idle = deadline_ms is None and self._client.next_ms is None
        return idle and self.fleet.idle

    def _listen(self, deadline_ms: int | None) -> None:
        """Wait for a report of a worker, or until something else is due."""
        times = (deadline_ms, self._client.next_ms, self.fleet.deadline_ms, self._until_ms)
        next_ms = min((at_ms for at_ms in times if at_ms is not None), default=self._next_poll_ms)
        if self._lives:
            next_ms = min(next_ms, self._lives[0][0])
        next_ms = min(next_ms, self._next_poll_ms)
        try:
            heard = self._inbox.get(timeout=max(0, next_ms - self._now_ms) / 1000)
        except Empty:
            return
        assert self._began_s is not None
        self._now_ms = max(self._now_ms, int((time.monotonic() - self._began_s) * 1000))
        while True:
            self.fleet.hear(heard, self._now_ms)
            if self._inbox.empty():
                return
            heard = self._inbox.get()
