"""Health checks for Podman, which leaves them to timers of systemd: without these, nobody checks.

Who checks is seen, not asked: a check that the engine made itself since the last look puts ours
off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from threading import Event, Thread

from stowplan.placement.driver import DriverError
from stowplan.realdriver.docker.connection import Connection, EngineContainer

_STEP_S = 0.25


class Probes:
    """A thread that makes the checks of an engine's containers, when each is due.

    Args:
        known: the containers as they were last seen.
        submit: takes a check as a job; one may last as long as its own timeout.
        over: when to end.
    """

    def __init__(
        self,
        connection: Connection,
        known: Callable[[], Iterable[EngineContainer]],
        submit: Callable[[Callable[[], None]], None],
        over: Event,
    ) -> None:
        self._connection, self._known, self._submit, self._over = connection, known, submit, over
        self._due: dict[str, float] = {}
        self._last: dict[str, str] = {}
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._over.wait(_STEP_S):
            now = time.monotonic()
            there = {c.id: c for c in self._known() if c.health_every_s and c.status == "running"}
            self._due = {k: self._due.get(k, now + c.health_every_s) for k, c in there.items()}
            for identity, container in there.items():
                if self._due[identity] <= now:
                    self._due[identity] = now + container.health_every_s
                    self._submit(partial(self._check, identity))

    def _check(self, identity: str) -> None:
        with suppress(DriverError):  # it may have ended; an absence is seen elsewhere
            found = self._connection.inspect(identity)
            if found.health_last == self._last.get(identity, ""):
                self._connection.check_health(identity)
                found = self._connection.inspect(identity)
            self._last[identity] = found.health_last
