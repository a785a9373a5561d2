"""The time of a world behind an endpoint: it passes with the clock, at a factor, or step by step.

A simulated world jumps from one instant with events to the next. Here it may do so only when that
instant has come, so that calls from outside meet the world as it is now.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from stowplan.placement.driver import Driver
from stowplan.placement.messages import Event, InstanceRegistered
from stowplan.placement.scenario.scenario import InstanceSpec

_TURN_S = 0.001  # how long a loop lets others in who wait


class Timed(Driver, Protocol):
    """A world whose time passes as it is told to."""

    @property
    def next_ms(self) -> int | None:
        """When something happens next; None: never, unless something is asked for."""
        ...


class Stepped(Timed, Protocol):
    """A simulated world, in which machines are made."""

    def launch(self, specs: list[InstanceSpec]) -> None:
        """Launch instances now: each boots, then registers."""
        ...

    def join(self, spec: InstanceSpec) -> InstanceRegistered:
        """A machine is there, and its agent registers: the event, which the caller reports."""
        ...


class Clock:
    """How fast the time of a world passes.

    Args:
        factor: simulated seconds a second; 0: only when told to; infinite: at once to what happens
            next, until nothing more does.
        monotonic: the machine's time in seconds; for tests.
    """

    def __init__(
        self, factor: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic, self._factor = monotonic, factor
        self._at_ms, self._since = 0.0, monotonic()

    @property
    def factor(self) -> float:
        """Simulated seconds a second."""
        return self._factor

    def now_ms(self) -> float:
        """The time that the world may have reached; infinite where it may go on at once."""
        if math.isinf(self._factor):
            return math.inf
        return self._at_ms + (self._monotonic() - self._since) * 1000 * self._factor

    def set_factor(self, factor: float, now_ms: int) -> None:
        """From now on, with the world at `now_ms`, time passes that fast."""
        self._at_ms = max(self._at_ms, now_ms) if math.isinf(self._factor) else self.now_ms()
        self._factor, self._since = factor, self._monotonic()

    def advance(self, by_ms: int, now_ms: int) -> None:
        """The world may go on for so long, at once."""
        self.set_factor(self._factor, now_ms)
        self._at_ms += by_ms

    def seconds_until(self, at_ms: float) -> float | None:
        """How long to wait until the world may reach that time; None: until told to."""
        left_ms = at_ms - self.now_ms()
        if left_ms <= 0:
            return 0.0
        return left_ms / 1000 / self._factor if self._factor else None


class Gate(threading.Condition):
    """Held by whoever is at work. A loop lets go of it between two rounds for those that wait.

    Python's locks are not fair: who lets go and takes again is first, so a loop that has always
    something to do would keep everybody out for many rounds.
    """

    def __init__(self) -> None:
        super().__init__(threading.RLock())
        self._counting, self._visits = threading.Lock(), 0

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Have it for a while; of loops, none goes on meanwhile."""
        with self._counting:
            self._visits += 1
        try:
            with self:
                yield
        finally:
            with self._counting:
                self._visits -= 1

    def give_way(self) -> None:
        """Let somebody in who waits."""
        self.wait(_TURN_S if self._visits > 0 else 0)


class Paced:
    """A stepped world whose time passes by a clock; a driver again.

    The loop runs with `gate` held, and lets go of it while it waits: whoever holds it sees the
    state between two rounds.
    """

    def __init__(self, world: Timed, clock: Clock, gate: Gate) -> None:
        self._world, self._clock, self._gate = world, clock, gate
        self._woken = self._ended = self.failed = False
        self._todo: list[Callable[[], None]] = []
        self.now_ms, self.execute, self.register = world.now_ms, world.execute, world.register

    def wake(self) -> None:
        """Something is to be done now; `gate` is held."""
        self._woken = True
        self._gate.notify_all()

    def do(self, what: Callable[[], None]) -> None:
        """Have the loop do something to the world, as soon as it is there where the clock is."""
        self._todo.append(what)
        self.wake()

    def end(self) -> None:
        """The loop is to end; `gate` is held."""
        self._ended = True
        self._gate.notify_all()

    def wait(self, deadline_ms: int | None) -> list[Event] | None:
        """See `Driver`; [] also when woken."""
        world, clock = self._world, self._clock
        while not self._ended:
            allowed = clock.now_ms()
            if self._woken:  # a call is made now, so what was to happen by now comes before it
                now_ms = world.now_ms() if math.isinf(allowed) else int(allowed)
                heard = world.wait(now_ms)
                self._woken = bool(heard)
                if not heard:
                    todo, self._todo = self._todo, []
                    for what in todo:
                        what()
                return heard
            until = min((t for t in (deadline_ms, world.next_ms) if t is not None), default=None)
            if until is not None and until <= allowed:
                self._gate.give_way()
                return world.wait(until)
            self._gate.wait(None if until is None else clock.seconds_until(until))
        return None

    def close(self) -> None:
        """Let go of the world."""
        self._world.close()
