"""Threads around one engine: some make calls, one watches. They report to one inbox.

An engine that hangs holds up its own workers only. The threads decide nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Condition, Event, Lock, Thread, current_thread

from stowplan.placement.driver import NotFound
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.connection import Connection, EngineContainer
from stowplan.realdriver.docker.probes import Probes

Job = Callable[[], None]

# Calls at a time: enough to keep an engine busy; more only make each start slower.
CALLERS, _PULLERS, _STOPPERS, _SWEEPERS = 4, 4, 16, 2
_PATIENCE_S = 5.0
_IDLE_S = 2.0


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
        self._closed, self._preparing = Event(), Lock()
        self._known: dict[tuple[str, str], EngineContainer] = {}
        self._looks = 0
        self._probes: Probes | None = None
        self.call, self.pull, self.stop, self.sweep = (
            _Pool(count, inbox) for count in (CALLERS, _PULLERS, _STOPPERS, _SWEEPERS)
        )
        Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        """No further job is begun. Calls that make or remove a container are awaited for a short
        time: it might appear after everything else was removed, or be in the middle of going."""
        self._closed.set()
        for workers in (self.call, self.pull, self.stop, self.sweep):
            workers.close()
        end = time.monotonic() + _PATIENCE_S
        if self._preparing.acquire(timeout=_PATIENCE_S):
            self._preparing.release()
        for workers in (self.call, self.sweep):
            workers.join(end)

    # --- the watcher ------------------------------------------------------------------------------

    def _watch(self) -> None:
        connected = False
        while not self._closed.is_set():
            try:
                self._connection.check(self._silence_s)
                if not connected:
                    self._connection.connect()
                    self._check_health()
                connected = True
                self._follow()
            except Exception as error:  # after any error the watch must go on, and report it
                connected = False
                self._known.clear()
                self._inbox.put(Silent(self._engine, str(error)))
                self._closed.wait(0.5)

    def _check_health(self) -> None:
        """See that somebody makes the health checks, where the engine may not."""
        if self._connection.facts.podman and self._probes is None:
            checks = _Pool(CALLERS, self._inbox)
            known = self._known_now
            self._probes = Probes(self._connection, known, checks, self._closed)

    def _known_now(self) -> list[EngineContainer]:
        return list(self._known.values())

    def _follow(self) -> None:
        """Look at everything, then listen until nothing was heard for a while.

        It subscribes first, so that no event is missed between the two.
        """
        events = self._connection.events(self._labels, self._silence_s)
        begun = time.monotonic()
        with self._preparing:  # else it could be made again after all was removed
            if self._closed.is_set():
                return
            # Somebody may have pruned the network; every later start would fail.
            self._connection.prepare(self._labels[names.CLUSTER], self._labels)
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
    """At most `most` threads that do jobs in the order in which they come. One that finds none for
    a while ends: an engine on which nothing happens costs no threads. An error of a job goes to
    the inbox, since it is a mistake of ours."""

    def __init__(self, most: int, inbox: SimpleQueue[object]) -> None:
        self._most, self._inbox = most, inbox
        self._jobs: deque[Job] = deque()
        self._threads: set[Thread] = set()
        self._idle, self._closed = 0, False
        self._changed = Condition()

    def __call__(self, job: Job) -> None:
        """Do this when its turn comes."""
        with self._changed:
            if self._closed:
                return
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif len(self._threads) < self._most:
                thread = Thread(target=self._work, daemon=True)
                self._threads.add(thread)
                thread.start()

    def close(self) -> None:
        """Begin no further job."""
        with self._changed:
            self._closed = True
            self._jobs.clear()
            self._changed.notify_all()

    def join(self, end: float) -> None:
        """Wait for what is under way, until this time (monotonic s) at the most."""
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0, end - time.monotonic()))

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except Exception as error:
                self._inbox.put(error)

    def _next(self) -> Job | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs or self._closed, _IDLE_S)
            self._idle -= 1
            if self._jobs:
                return self._jobs.popleft()
            self._threads.discard(current_thread())
            return None
