"""Looks at everything, again and again, in a thread: what EC2 and the control plane say there is.

It also moves the dead man's switch on: who looks, lives.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

from stowplan.placement.driver import DriverError
from stowplan.realdriver.ec2.control import Control, Document
from stowplan.realdriver.ec2.groups import Groups, GroupSeen
from stowplan.realdriver.ec2.machines import Ec2Instance, Machines


@dataclass(frozen=True, slots=True)
class Look:
    """All that there is; whatever happened before `begun_s` (monotonic) is in it, but for what AWS
    has not got round to show."""

    begun_s: float
    machines: list[Ec2Instance]
    instances: list[Document]
    tasks: list[Document]
    groups: list[GroupSeen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Blind:
    """A look that failed, and why."""

    why: str


@dataclass
class Watch:
    """The thread. `known`: ARNs of tasks that have ended and were told, not described again.

    Args:
        lease_s: how far ahead the switch is set, None: there is none; `latest_s` never later.
    """

    machines: Machines
    control: Control
    groups: Groups
    inbox: SimpleQueue[object]
    every_s: float
    lease_s: float | None
    latest_s: float | None
    known: frozenset[str] = frozenset()
    _over: threading.Event = field(default_factory=threading.Event)
    _hurry: threading.Event = field(default_factory=threading.Event)
    _moved_s: float = 0.0
    _ids: frozenset[str] = frozenset()

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Look again without waiting: something was done."""
        self._hurry.set()

    def close(self) -> None:
        """Look no more; a look that goes on is not waited for."""
        self._over.set()
        self._hurry.set()

    def _run(self) -> None:
        while not self._over.is_set():
            self._hurry.clear()
            try:
                look = self.look()
                self.inbox.put(look)
                self.move([each for each in look.machines if not each.gone])
            except DriverError as error:
                if not self._over.is_set():
                    self.inbox.put(Blind(str(error)))
            except Exception as error:
                self.inbox.put(error)
                return
            self._hurry.wait(self.every_s)

    def look(self) -> Look:
        """One look."""
        begun_s = time.monotonic()
        machines = self.machines.instances()
        instances = self.control.instances()
        tasks = self.control.tasks(known=self.known)
        return Look(begun_s, machines, instances, tasks, self.groups.look())

    def move(self, there: list[Ec2Instance]) -> None:
        """Move the switch of what is there, where it is time."""
        ids = frozenset(each.id for each in there if each.ours)
        if self.lease_s is None:
            return
        now_s = time.time()
        if ids <= self._ids and now_s - self._moved_s < self.lease_s / 3:
            return
        until_s = lease_until(now_s, self.lease_s, self.latest_s)
        self.machines.move_switch(sorted(ids), until_s)
        self.groups.move(until_s)
        self._moved_s, self._ids = now_s, ids


def lease_until(now_s: float, lease_s: float, latest_s: float | None) -> int:
    """When a switch goes off that is set now."""
    until_s = now_s + lease_s
    return int(until_s if latest_s is None else min(until_s, latest_s))


Say = Callable[[str], None]
