"""Docker engines as `status` and `down` meet them."""

from __future__ import annotations

from urllib.parse import urlsplit

from stowplan.placement.journal import Header
from stowplan.realdriver.backend import Leftovers, Seen
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.config import ENGINES, EnginesTable
from stowplan.realdriver.docker.connection import Connection, EngineContainer
from stowplan.realdriver.docker.errors import Unreachable
from stowplan.realdriver.docker.leftovers import leftovers


class DockerBackend:
    """The engines of a run: see `realdriver.backend.Backend`."""

    def __init__(self, settings: EnginesTable) -> None:
        self._settings = settings

    @classmethod
    def of(cls, header: Header) -> DockerBackend:
        """Those that a journal's header names."""
        return cls(engines_of(header))

    def leftovers(self, cluster: str, run: str | None, *, reachable_only: bool) -> Leftovers:
        """Containers, volumes and networks that carry the cluster's label."""
        return leftovers(self._settings, cluster, run, reachable_only=reachable_only)

    def look(self, cluster: str, run: str) -> Seen:
        """The containers of a run."""
        found: dict[int, list[str]] = {}
        silent: list[str] = []
        for table in self._settings.engine:
            connection = Connection(table, self._settings)
            try:
                connection.check(self._settings.silence / 1000)
                for each in connection.list({names.CLUSTER: cluster, names.RUN: run}):
                    container = connection.inspect(each["Id"])
                    words = _words(container, table.url)
                    found.setdefault(container.task, []).append(words)
            except Unreachable:
                silent.append(connection.name)
            finally:
                connection.close()
        return Seen(found, tuple(silent))


def engines_of(header: Header) -> EnginesTable:
    """The engines of a run, as its journal has them."""
    return EnginesTable.model_validate_json(header.run[ENGINES])


def _words(container: EngineContainer, url: str) -> str:
    words = [container.name, container.status]
    if container.status == "exited":
        words.append(f"({container.exit_code})")
    if container.health not in (None, "none"):
        words.append(str(container.health))
    words += [f"{port}->{to_call(where, url)}" for port, where in container.published]
    return " ".join(words)


def to_call(where: str, url: str) -> str:
    """The address that reaches a published port from here.

    Args:
        where: the address and port that the engine publishes on, of its own machine.
        url: of the engine: its machine, where that is another one.
    """
    host, _, port = where.rpartition(":")
    if host not in ("0.0.0.0", "[::]", ""):
        return where
    machine = urlsplit(url).hostname if url.startswith(("tcp://", "ssh://")) else None
    return f"{machine or 'localhost'}:{port}"
