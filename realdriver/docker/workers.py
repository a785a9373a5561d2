"""Threads around one engine: some make calls, one watches. They report to one inbox.

An engine that hangs holds up its own workers only. The threads decide nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread

from stowplan.placement.driver import NotFound
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.connection import Connection, EngineContainer

Job = Callable[[], None]

# Calls at a time: enough to keep an engine busy; more only make each start slower.
CALLERS, _PULLERS, _STOPPERS, _SWEEPERS = 4, 4, 16, 2
_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All containers of ours on an engine, none older than `begun` (monotonic seconds)."""

    engine: int
    begun: float
    containers: tuple[EngineContainer, ...]


@dataclass(frozen=True, slots=True)
class ContainerChanged:
    """A container as it is now, after something happened to it."""

    engine: int
    container: EngineContainer


@dataclass(frozen=True, slots=True)
class ContainerVanished:
    """A container is not there any more."""

    engine: int
    task: int
    container: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The engine does not answer."""

    engine: int
    why: str


class EngineWorkers:
    """The threads of one engine; daemon threads, so that no exit waits for a call that hangs.

    Args:
        labels: of what is ours.
        inbox: takes Snapshot, ContainerChanged, ContainerVanished and Silent, and what jobs put
            there themselves.
        silence_s: how long to listen for events before looking at everything again.
    """

    def __init__(
        self,
        engine: int,
        connection: Connection,
        labels: Mapping[str, str],
        inbox: SimpleQueue[object],
        silence_s: float,
    ) -> None:
        self._engine, self._connection, self._labels = engine, connection, labels
        self._inbox, self._silence_s = inbox, silence_s
        self._closed = Event()
        self._known: dict[tuple[str, str], EngineContainer] = {}
        self._looks = 0
        self.call, self.pull, self.stop, self.sweep = (
            _Pool(count, inbox) for count in (CALLERS, _PULLERS, _STOPPERS, _SWEEPERS)
        )
        Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """No further job is begun. Calls that make a container are awaited for a short time: it
        might appear after everything else was removed."""
        self._closed.set()
        for workers in (self.call, self.pull, self.stop, self.sweep):
            workers.close()
        self.call.join(_PATIENCE_S)

    # --- the watcher ------------------------------------------------------------------------------

    def _watch(self) -> None:
        prepared = False
        while not self._closed.is_set():
            try:
                self._connection.check(self._silence_s)
                if not prepared:
                    self._connection.connect()
                    self._connection.prepare(self._labels[names.CLUSTER], self._labels)
                prepared = True
                self._follow()
            except Exception as error:  # after any error the watch must go on, and report it
                prepared = False
                self._known.clear()
                self._inbox.put(Silent(self._engine, str(error)))
                self._closed.wait(0.5)

    def _follow(self) -> None:
        """Look at everything, then listen until nothing was heard for a while.

        It subscribes first, so that no event is missed between the two.
        """
        events = self._connection.events(self._labels, self._silence_s)
        begun = time.monotonic()
        containers = tuple(self._look(self._connection.list(self._labels)))
        self._inbox.put(Snapshot(self._engine, begun, containers))
        for identity, attributes in events:
            if self._closed.is_set():
                return
            self._report(identity, attributes)
            if time.monotonic() - begun > 6 * self._silence_s:
                return

    def _look(self, listed: Iterable[Mapping[str, str]]) -> Iterable[EngineContainer]:
        """Inspect what may have changed, and now and then all: the list itself lacks exit codes."""
        self._looks += 1
        known, self._known = self._known if self._looks % 6 else {}, {}
        for each in listed:
            # Status holds the health, and for how long the container has been up or down.
            running = each["State"] == "running" and "health" not in each["Status"]
            key = (each["Id"], each["State"])
            found = known.get(key) if running or each["State"] == "exited" else None
            if found is None:
                try:
                    found = self._connection.inspect(each["Id"])
                except NotFound:
                    continue
            self._known[key] = found
            yield found

    def _report(self, identity: str, attributes: Mapping[str, str]) -> None:
        try:
            container = self._connection.inspect(identity)
        except NotFound:
            task, name = int(attributes[names.TASK]), attributes[names.CONTAINER]
            self._inbox.put(ContainerVanished(self._engine, task, name))
            return
        for key in [key for key in self._known if key[0] == identity]:
            del self._known[key]
        self._inbox.put(ContainerChanged(self._engine, container))


class _Pool:
    """`count` threads that do jobs in the order in which they come. An error of a job goes to the
    inbox, since it is a mistake of ours."""

    def __init__(self, count: int, inbox: SimpleQueue[object]) -> None:
        self._inbox = inbox
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def __call__(self, job: Job) -> None:
        """Do this when its turn comes."""
        self._jobs.put(job)

    def close(self) -> None:
        """Begin no further job."""
        while not self._jobs.empty():
            self._jobs.get()
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for what is under way, at most so long."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                self._inbox.put(error)
