"""What the tasks of a run have in common on its engines: names, secrets, passwords, settings."""

from __future__ import annotations

import os

from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.overrides import with_overrides
from stowplan.realdriver.book import Book, TaskEntry
from stowplan.realdriver.docker.config import EnginesTable, Machine
from stowplan.realdriver.docker.connection import Connection
from stowplan.realdriver.docker.placed import Placed


class Placing:
    """From entries of the book to tasks as engines get them. Reads the environment once."""

    def __init__(self, settings: EnginesTable, book: Book, cluster: str, run: str) -> None:
        self._book, self._cluster, self._run = book, cluster, run
        self._secrets = {
            name: os.environ[variable]
            for name, variable in settings.secrets.items()
            if variable in os.environ
        }
        self.credentials = {
            registry: {
                "username": table.username,
                "password": os.environ.get(table.password_env, ""),
            }
            for registry, table in settings.registry.items()
        }
        self.agent = AgentConfig(
            pull_behavior=settings.pull,
            stop_timeout_s=max(1, settings.stop_timeout // 1000),
            pull_timeout_ms=settings.pull_timeout,
            cleanup_wait_ms=settings.cleanup_wait,
        )

    def definition(self, entry: TaskEntry) -> TaskDefinition:
        """The definition of a task, with what its call overrides."""
        return with_overrides(self._book.definitions.definition(entry.definition), entry.overrides)

    def placed(
        self,
        connection: Connection,
        machine: Machine,
        entry: TaskEntry,
        definition: TaskDefinition,
    ) -> Placed:
        """A task on an instance that this engine plays."""
        return Placed(
            self._cluster,
            self._run,
            entry.number,
            machine.spec.name,
            definition,
            entry.cpu,
            entry.memory,
            machine.address,
            connection.facts.cpus,
            self._secrets,
            self.agent.stop_timeout_s,
            connection.nests,
            connection.facts.architecture,
        )
