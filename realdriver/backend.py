"""What every real backend gives to those who look at a cluster, or end it: `status` and `down`.

A run needs a Driver. Who looks has only a journal: it says by its header which backend the run is
on and with which settings, and `realdriver.backends` makes a `Backend` of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from stowplan.placement.driver import DriverError

_AT_ONCE = 8


class Thing(Protocol):
    """Something that a run made on a backend. Its text says what and where."""

    @property
    def kind(self) -> str:
        """A noun: container, network, instance."""
        ...

    @property
    def run(self) -> str:
        """The run that made it."""
        ...

    @property
    def turn(self) -> int:
        """Things of a lower turn are removed first."""
        ...

    def remove(self) -> None:
        """Take it away; one that is gone already is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Everything that carries a cluster's label; `silent` says why who could not be asked."""

    things: tuple[Thing, ...]
    silent: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many things."""
        return len(self.things)

    @property
    def summary(self) -> str:
        """How many of each kind, in words."""
        counts = Counter(thing.kind for thing in self.things)
        words = [f"{n} {kind}{'s' if n != 1 else ''}" for kind, n in counts.items()]
        return ", ".join(words) or "nothing"

    def without(self, run: str) -> Leftovers:
        """Only what other runs made."""
        others = tuple(thing for thing in self.things if thing.run != run)
        return Leftovers(others, self.silent)

    def remove(self) -> None:
        """Remove it all, turn by turn; what cannot be removed keeps nothing else.

        Raises:
            DriverError: what stays, and why.
        """
        stays: list[str] = []
        for now in sorted({thing.turn for thing in self.things}):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                those = [thing for thing in self.things if thing.turn == now]
                stays += filter(None, pool.map(_removed, those))
        if stays:
            raise DriverError(f"not removed: {'; '.join(stays)}")


def _removed(thing: Thing) -> str:
    """Remove it; "", or why it stays."""
    try:
        thing.remove()
    except DriverError as error:
        return f"{thing}: {error}"
    return ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found to run: lines for people by task; `silent` names who does not answer."""

    by_task: Mapping[int, list[str]]
    silent: tuple[str, ...]


class Backend(Protocol):
    """A backend, with the settings of a run."""

    def leftovers(self, cluster: str, run: str | None, *, reachable_only: bool) -> Leftovers:
        """What a cluster, or one run of it, has there.

        Raises:
            DriverError: somebody does not answer, unless `reachable_only`.
        """
        ...

    def look(self, cluster: str, run: str) -> Seen:
        """What runs there now, for `status`."""
        ...
