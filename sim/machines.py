"""Machines whose processors starts and stops share: the more at a time, the slower each.

Processor sharing: beside n - 1 others a call takes `1 + (n - 1) / servers` times as long as alone,
which is what engines were measured to do. An instance makes `callers` starts at a time, as the
agent of a real engine; the others wait in line. To keep a change of speed cheap, time is counted in
*work*: the ms that a call which began at the beginning would have done by now.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from stowplan.placement.scenario.models import Models

Done = Callable[[int], None]

_TINY = 1e-6


@dataclass(slots=True)
class _Call:
    """`work_ms` is its time alone; `line` the instance in whose line it stands, None: in none;
    `more` what is to be called once it is done, at the end of that line."""

    work_ms: float
    line: int | None
    done: Done
    more: tuple[float, ...] = ()


@dataclass(slots=True)
class _Machine:
    work_ms: float = 0.0
    at_ms: int = 0
    count: int = 0
    # (work at which it is done, order, call)
    calls: list[tuple[float, int, _Call]] = field(default_factory=list)


class Machines:
    """All machines of a run. Times must not go back from call to call.

    Args:
        servers: see above; the larger, the less calls slow each other down.
        callers: calls of starts at a time on an instance; None: any number.
        shared: all instances are on one machine; else each is a machine.
    """

    def __init__(self, servers: float, callers: int | None, *, shared: bool) -> None:
        self._servers, self._callers, self._shared = servers, callers, shared
        self._machines: dict[int, _Machine] = {}
        self._lines: dict[int, deque[_Call]] = {}
        self._busy: dict[int, int] = {}
        self._wakes: list[tuple[int, int]] = []

    def start(self, instance: int, works_ms: tuple[float, ...], now_ms: int, done: Done) -> None:
        """Make calls one after the other, each when its turn in the instance's line comes.

        `done` is told when the last one ends.
        """
        call = _Call(works_ms[0], instance, done, works_ms[1:])
        if self._callers is not None and self._busy.get(instance, 0) >= self._callers:
            self._lines.setdefault(instance, deque()).append(call)
            return
        self._busy[instance] = self._busy.get(instance, 0) + 1
        self._begin(instance, call, now_ms)

    def stop(self, instance: int, work_ms: float, now_ms: int, done: Done) -> None:
        """Begin a stop, which does not wait in line."""
        self._begin(instance, _Call(work_ms, None, done), now_ms)

    @property
    def next_ms(self) -> int | None:
        """When `turn` has something to do."""
        while self._wakes and self._wakes[0][0] != self._next_ms(self._wakes[0][1]):
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    def turn(self, now_ms: int) -> None:
        """Tell of all that has ended by now."""
        while (next_ms := self.next_ms) is not None and next_ms <= now_ms:
            number = self._wakes[0][1]
            machine = self._advanced(number, now_ms)
            ended = []
            while machine.calls and machine.calls[0][0] <= machine.work_ms + _TINY:
                ended.append(heapq.heappop(machine.calls)[2])
            for call in ended:
                if call.line is not None:
                    self._advance_line(call.line, now_ms)
            self._wake(number)
            for call in ended:
                if call.more:
                    assert call.line is not None
                    self.start(call.line, call.more, now_ms, call.done)
                else:
                    call.done(now_ms)

    # --- inside -----------------------------------------------------------------------------------

    def _begin(self, instance: int, call: _Call, now_ms: int) -> None:
        number = 0 if self._shared else instance
        machine = self._advanced(number, now_ms)
        machine.count += 1
        heapq.heappush(machine.calls, (machine.work_ms + call.work_ms, machine.count, call))
        self._wake(number)

    def _advance_line(self, instance: int, now_ms: int) -> None:
        line = self._lines.get(instance)
        if line:
            self._begin(instance, line.popleft(), now_ms)
        else:
            self._busy[instance] -= 1

    def _advanced(self, number: int, now_ms: int) -> _Machine:
        """A machine as it is now."""
        machine = self._machines.setdefault(number, _Machine(0.0, now_ms))
        if machine.calls:
            machine.work_ms += (now_ms - machine.at_ms) / self._slowness(machine)
        machine.at_ms = now_ms
        return machine

    def _slowness(self, machine: _Machine) -> float:
        return 1 + (len(machine.calls) - 1) / self._servers

    def _next_ms(self, number: int) -> int | None:
        machine = self._machines[number]
        if not machine.calls:
            return None
        wait_ms = (machine.calls[0][0] - machine.work_ms) * self._slowness(machine)
        return machine.at_ms + max(0, math.ceil(wait_ms - _TINY))

    def _wake(self, number: int) -> None:
        at_ms = self._next_ms(number)
        if at_ms is not None:
            heapq.heappush(self._wakes, (at_ms, number))


def machines_of(models: Models) -> Machines | None:
    """The machines that a scenario models, if it does."""
    if models.servers is None:
        return None
    return Machines(models.servers, models.callers, shared=models.servers_shared)
