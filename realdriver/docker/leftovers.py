"""What a cluster has on its engines, by its labels, and how to take it away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from stowplan.placement.driver import DriverError
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection
from stowplan.realdriver.docker.errors import Unreachable

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Thing:
    """A container, volume or network of ours on an engine; `run` is the run that made it.

    `runs`: it must be asked to stop first. `holds`: other containers of its task use its network
    or limits.
    """

    engine: Connection
    kind: str
    name: str
    run: str
    runs: bool = False
    holds: bool = False

    def remove(self) -> None:
        """Take it away; a container is asked to stop first."""
        if self.kind == "container":
            if self.runs:
                with suppress(DriverError):  # ended meanwhile: either way it goes now
                    self.engine.stop(self.name)
            self.engine.remove(self.name)
        elif self.kind == "volume":
            self.engine.remove_volume(self.name)
        else:
            self.engine.remove_network(self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} on {self.engine.name}"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Everything that carries a cluster's label; `silent` says why engines could not be asked."""

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
        """Remove it all: containers, then what they used."""

        def turn(thing: Thing) -> int:
            return int(thing.holds) if thing.kind == "container" else 2

        for now in range(3):
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(Thing.remove, [each for each in self.things if turn(each) == now]))


def leftovers(
    engines: EnginesTable, cluster: str, run: str | None, *, reachable_only: bool = False
) -> Leftovers:
    """What a cluster (or one run of it) has on these engines.

    Raises:
        Unreachable: an engine does not answer, unless `reachable_only`.
    """
    labels = {names.CLUSTER: cluster, **({} if run is None else {names.RUN: run})}
    things: list[Thing] = []
    silent: list[str] = []
    for table in engines.engine:
        connection = Connection(table, engines)
        try:
            connection.check(engines.silence / 1000)
            things += _things(connection, labels)
        except Unreachable as error:
            if not reachable_only:
                raise
            silent.append(str(error))
    return Leftovers(tuple(things), tuple(silent))


def _things(connection: Connection, labels: dict[str, str]) -> Iterator[Thing]:
    for found in connection.list(labels):
        name, runs = found["Names"][0].lstrip("/"), found["State"] not in ("created", "exited")
        run, own = (found["Labels"].get(label, "") for label in (names.RUN, names.CONTAINER))
        holds = own == names.PAUSE
        # One that only holds others has nothing to finish, and hears no SIGTERM.
        yield Thing(connection, "container", name, run, runs and not holds, holds)
    for name, run in connection.volumes(labels):
        yield Thing(connection, "volume", name, run)
    for name, run in connection.networks(labels):
        yield Thing(connection, "network", name, run)
