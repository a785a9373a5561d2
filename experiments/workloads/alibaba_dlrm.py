"""Alibaba's recommendation services on disaggregated GPU nodes: containers, a row each.

Columns: instance_sn, role (CN or HN), app_name; what a container reserves, `cpu_request` (vCPU),
`gpu_request`, `rdma_request` (per cent of a network card), `memory_request` and `disk_request`
(GiB); `max_instance_per_node` of its service and role (-1: none); creation_time and deletion_time
(s since the start; empty: before it, and after the end). Other columns are not read.

Source: Yang et al. (2025), GPU-Disaggregated Serving for Deep Learning Recommendation Models at
Scale, NSDI.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.experiments.workloads.rows import number, read_jobs
from stowplan.placement.model import GPU, PlacementConstraint
from stowplan.placement.scenario.scenario import WorkloadTable

DISK, RDMA = "DISK", "RDMA"
_COLUMNS = [
    *("role", "app_name", "cpu_request", "gpu_request", "rdma_request", "memory_request"),
    *("disk_request", "max_instance_per_node", "creation_time", "deletion_time"),
]


class AlibabaDlrm:
    """Reads the trace: a job for each container, in the group of its service and role.

    RDMA (per cent of a network card) and DISK (GiB, rounded up) are resources of its own, which
    the scenario's instance types must offer.
    """

    options = NoOptions

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming every row that does not parse, OSError where there is no file."""
        if table.file is None:
            raise ValueError("alibaba_dlrm needs a file")
        NoOptions(**table.options)
        self._jobs = read_jobs(Path(table.file), _COLUMNS, _job, table.until)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The containers by time of creation; nothing is drawn."""
        yield from self._jobs


def _job(row: dict[str, str]) -> Job:
    limit = row["max_instance_per_node"]
    if limit != "-1" and not (limit.isdecimal() and int(limit)):
        raise ValueError(f"max_instance_per_node {limit!r} is neither -1 nor a number above 0")
    if row["role"] not in ("CN", "HN"):
        raise ValueError(f"role {row['role']!r} is neither CN nor HN")
    created = number("creation_time", row["creation_time"] or "0")
    deleted = row["deletion_time"]
    run_s = number("deletion_time", deleted) - created if deleted else None
    if run_s is not None and run_s < 0:
        raise ValueError(f"deletion_time {deleted} is before creation_time")
    amounts = [
        (GPU, _whole(row, "gpu_request")),
        (DISK, _whole(row, "disk_request")),
        (RDMA, _whole(row, "rdma_request")),
    ]
    return Job(
        at_ms=round(created * 1000),
        count=1,
        run_ms=None if run_s is None else max(1, round(run_s * 1000)),
        cpu=_whole(row, "cpu_request", 1024),
        memory=_whole(row, "memory_request", 1024),
        name=f"{row['app_name']}-{row['role']}",
        resources=tuple((name, amount) for name, amount in amounts if amount),
        constraints=() if limit == "-1" else (PlacementConstraint("maxPerInstance", limit),),
    )


def _whole(row: dict[str, str], name: str, unit: int = 1) -> int:
    """An amount in whole units, rounded up: a plan must hold what is reserved."""
    return -int(-number(name, row[name]) * unit // 1)
