"""What a cluster has on its engines, by its labels, and how to take it away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from stowplan.placement.driver import DriverError
from stowplan.realdriver.backend import Leftovers
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection
from stowplan.realdriver.docker.errors import Unreachable


@dataclass(frozen=True, slots=True)
class Thing:
    """A container, volume or network of ours on an engine: see `realdriver.backend.Thing`.

    `runs`: it must be asked to stop first. `holds`: other containers of its task use its network
    or limits.
    """

    engine: Connection
    kind: str
    name: str
    run: str
    runs: bool = False
    holds: bool = False

    @property
    def turn(self) -> int:
        """Containers go first, then what they used."""
        return int(self.holds) if self.kind == "container" else 2

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
