"""What a workload is: jobs in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from numpy.random import Generator


@dataclass(frozen=True, slots=True)
class Job:
    """`count` equal tasks submitted together at `at_ms`, each to run for `run_ms`.

    `cpu` (units) and `memory` (MiB) override the task definition; `name` tells jobs apart.
    """

    at_ms: int
    count: int
    run_ms: int
    cpu: int | None = None
    memory: int | None = None
    name: str = ""


class Workload(Protocol):
    """A source of jobs."""

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs in order of time; `rng` is the only source of chance."""
        ...
