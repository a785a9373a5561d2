"""Room is used: nothing waits, is short or is refused where an instance would do."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History
from stowplan.placement.audit.host_rules import fits
from stowplan.placement.audit.hosts import Needs, on_provider
from stowplan.placement.audit.seen import Seen
from stowplan.placement.messages import Round
from stowplan.placement.reasons import PROVISIONING_QUOTA


class RoomIsUsed:
    """No task waits, no service is short and no request fails where an instance has room.

    Compares with the room at the end of a round. Requests are dealt with last, so that is the room
    they met. For the others an instance on which the round's commands stopped a task is left out
    until the next round: its room may have come too late. On all others room only shrank.
    """

    sees = (m.RunTaskFailed, Round)

    def __init__(self) -> None:
        self._failed: dict[Needs, None] = {}
        self._short: dict[str, Needs] = {}
        self._room = _Room()

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if isinstance(seen, m.RunTaskFailed):
            needs = history.needs_of_request(seen.request)
            # A StartTask fails for the one instance that it named, whatever room others have.
            tried_all = seen.instance is None and seen.failure.reason != PROVISIONING_QUOTA
            if needs is not None and tried_all:
                self._failed[on_provider(needs, seen.capacity_provider)] = None
        elif isinstance(seen, Round):
            yield from self._end(history)

    def _end(self, history: History) -> Iterator[str]:
        self._room.begin(history.freed | history.stopped_on)
        for needs in self._failed:
            yield from self._room.of(needs, "a request failed", history, frozenset())
        for name in history.touched:
            self._look_at(history, name)
        for name in history.endings.failed & self._short.keys():
            del self._short[name]  # a deployment that has failed starts nothing more
        waiting = dict.fromkeys(history.waiting, "tasks wait")
        waiting.update((needs, f"service {name} is short") for name, needs in self._short.items())
        for needs, what in waiting.items():
            yield from self._room.of(needs, what, history, history.stopped_on)
        self._failed = {}

    def _look_at(self, history: History, name: str) -> None:
        """Whether a service of which something changed is short of tasks that it may start."""
        self._short.pop(name, None)
        service = history.services[name]
        if service.daemon or not service.plain or service.call.capacity_provider_strategy:
            return  # tasks on a capacity provider wait each for itself
        settled, total = history.counts(name)
        total += len(service.draining)
        if settled < service.call.desired_count and total < service.ceiling:
            self._short[name] = service.needs


class _Room:
    """Which instances to look at for room: where there was none, only a change can have made some.

    `_log` holds the instances that changed so, round after round; `_upto` how far into it each of
    the needs has been looked for in vain.
    """

    def __init__(self) -> None:
        self._log: list[int] = []
        self._begin = 0
        self._upto: dict[Needs, int] = {}

    def begin(self, changed: set[int]) -> None:
        """The end of a round in which these instances changed."""
        self._begin = len(self._log)
        self._log += changed

    def of(
        self, needs: Needs, what: str, history: History, but: frozenset[int] | set[int]
    ) -> Iterator[str]:
        """Says where there is room; instances in `but` are looked at again in the next round."""
        # With a rule that another task's start can fulfil, room may come as well as go.
        if not all(rule.lasting for rule in needs.constraints):
            return
        for number in sorted(self._unseen(needs, history) - but):
            if fits(needs, history.hosts[number]):
                self._upto.pop(needs, None)
                yield f"{what} ({needs.group}), and instance {number} has room"
                return
        upto = self._begin if but else len(self._log)
        self._upto[needs] = max(self._upto.get(needs, 0), upto)

    def _unseen(self, needs: Needs, history: History) -> set[int]:
        upto = self._upto.get(needs)
        if upto is None or len(self._log) - upto > len(history.hosts):
            return set(history.hosts)
        return set(self._log[upto:]) & history.hosts.keys()
