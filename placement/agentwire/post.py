"""What waits for the agent of one instance: orders about tasks, until it acknowledged them.

An order is delivered when the message that held it was acknowledged. A message may be lost, and its
acknowledgement too, so both are sent again: an agent knows tasks by their ARNs, and an order that
it has had changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

TASKS_MOST = 10  # in one message


class Peer(Protocol):
    """The other end of a websocket; both may be called from any thread, and neither waits."""

    def send(self, frame: str) -> None:
        """Send a frame, after those before it."""
        ...

    def close(self, why: str) -> None:
        """Close it, once all frames are sent."""
        ...


@dataclass(eq=False)
class Session:
    """An agent's websocket: of ACS, or of TCS with `telemetry`."""

    instance: int
    peer: Peer
    heard_ms: int
    telemetry: bool = False


@dataclass
class _Sent:
    orders: dict[int, str]
    at_ms: int


@dataclass
class Post:
    """Orders for one agent, by task: the desiredStatus that it is to bring about.

    Args:
        connected: what the scheduler was last told.
        absent_ms: since when nobody is there; None: somebody is.
    """

    connected: bool = True
    absent_ms: int | None = 0
    session: Session | None = None
    waiting: dict[int, str] = field(default_factory=dict)
    delivered: dict[int, str] = field(default_factory=dict)
    _sent: dict[str, _Sent] = field(default_factory=dict)

    def order(self, task: int, desired: str) -> None:
        """An order more, in place of an earlier one about the task."""
        if self.delivered.get(task) != desired and self.waiting.get(task) != "STOPPED":
            self.waiting[task] = desired

    def over(self, task: int) -> None:
        """The task has stopped: nothing is to be told of it any more."""
        self.waiting.pop(task, None)
        self.delivered.pop(task, None)

    def runs(self, task: int) -> None:
        """The task runs, so the order to start it has arrived."""
        if self.waiting.get(task) == "RUNNING":
            del self.waiting[task]
            self.delivered[task] = "RUNNING"

    def open(self, session: Session | None) -> None:
        """Somebody else is at the other end; what was sent before may not have arrived."""
        self.session = session
        self._sent.clear()

    def batches(self) -> Iterable[dict[int, str]]:
        """Orders that are not under way, for a message each."""
        under_way = {
            (task, desired) for sent in self._sent.values() for task, desired in sent.orders.items()
        }
        left = [each for each in self.waiting.items() if each not in under_way]
        for first in range(0, len(left), TASKS_MOST):
            yield dict(left[first : first + TASKS_MOST])

    def sent(self, message: str, orders: dict[int, str], now_ms: int) -> None:
        """A message is on its way."""
        self._sent[message] = _Sent(orders, now_ms)

    def acknowledged(self, message: str) -> None:
        """The agent has the message; one that is unknown was acknowledged before."""
        found = self._sent.pop(message, None)
        for task, desired in ({} if found is None else found.orders).items():
            if self.waiting.get(task) == desired:
                del self.waiting[task]
                self.delivered[task] = desired

    def refused(self, message: str) -> list[int]:
        """The agent does not take the message: the tasks that it was to start."""
        found = self._sent.pop(message, None)
        orders = {} if found is None else found.orders
        starts = [task for task, desired in orders.items() if desired == "RUNNING"]
        for task in orders:
            self.waiting.pop(task, None)
        return starts

    def overdue(self, before_ms: int, again: Callable[[str, dict[int, str]], None]) -> None:
        """Have messages sent again that were not acknowledged since that time."""
        for message, sent in list(self._sent.items()):
            if sent.at_ms > before_ms:
                continue
            sent.orders = {t: d for t, d in sent.orders.items() if self.waiting.get(t) == d}
            if sent.orders:
                again(message, sent.orders)
            else:
                del self._sent[message]
