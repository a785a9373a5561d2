"""What a workload is: jobs in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from numpy.random import Generator

from stowplan.placement.messages import ContainerOverride
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import WorkloadTable


@dataclass(frozen=True, slots=True)
class Job:
    """`count` equal tasks submitted together at `at_ms`, each to run for `run_ms` (None: for good).

    `cpu` (units), `memory` (MiB) and `resources` override the task definition; `constraints` come
    on top of those of the scenario; `name` tells jobs apart. `overrides` are of containers, each
    instead of what the scenario's workload overrides of it.
    """

    at_ms: int
    count: int
    run_ms: int | None
    cpu: int | None = None
    memory: int | None = None
    name: str = ""
    resources: tuple[tuple[str, int], ...] = ()
    constraints: tuple[PlacementConstraint, ...] = ()
    overrides: tuple[ContainerOverride, ...] = ()


class Workload(Protocol):
    """A source of jobs."""

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs in order of time; `rng` is the only source of chance."""
        ...


class WorkloadKind(Protocol):
    """Makes the workload of a table whose `options` have the shape of these."""

    @property
    def options(self) -> type[Table]: ...

    def __call__(self, table: WorkloadTable) -> Workload: ...


class NoOptions(Table):
    """The options of a kind that has none."""
