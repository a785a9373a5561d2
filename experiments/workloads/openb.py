"""The pods of OpenB's GPU cluster over time, as they came and went.

CSV with a header: name, cpu_milli, memory_mib, num_gpu, gpu_milli (thousandths of each device),
creation_time and deletion_time (s; empty: stays); gpu_spec, the models it may use, `A|B`, may be
missing. ECS has whole GPUs only, so a share of one is a whole one here (`stowplan openb` places
shares). A pod with a gpu_spec goes where the attribute `gpu-model` is one of these.

Source: Weng et al. (2023), Beware of Fragmentation, USENIX ATC; see the README beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.experiments.workloads.rows import csv_rows, number, read_jobs, trace_file
from stowplan.placement.model import GPU, PlacementConstraint
from stowplan.placement.scenario.scenario import WorkloadTable

_COLUMNS = ["name", "cpu_milli", "memory_mib", "num_gpu", "creation_time", "deletion_time"]


class OpenbPods:
    """Reads a list of pods whole, a job for each."""

    options = NoOptions

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError naming every row that does not parse, OSError where there is no file."""
        path = trace_file("openb_pods", table.file)
        NoOptions(**table.options)
        _, header = next(csv_rows(path), (1, []))
        columns = _COLUMNS + ["gpu_spec"] * ("gpu_spec" in header)
        self._jobs = read_jobs(path, columns, _job, table.until)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The pods by time of creation; nothing is drawn."""
        yield from self._jobs


def _job(row: dict[str, str]) -> Job:
    created = number("creation_time", row["creation_time"])
    run_s = None
    if row["deletion_time"]:
        run_s = number("deletion_time", row["deletion_time"]) - created
        if run_s < 0:
            raise ValueError(f"deletion_time {row['deletion_time']} is before creation_time")
    gpus = number("num_gpu", row["num_gpu"])
    if gpus % 1:
        raise ValueError(f"num_gpu {row['num_gpu']} is not a whole number")
    models = sorted({name for name in row.get("gpu_spec", "").split("|") if name})
    expression = f"attribute:gpu-model in [{', '.join(models)}]"
    return Job(
        at_ms=round(created * 1000),
        count=1,
        run_ms=None if run_s is None else max(1, round(run_s * 1000)),
        cpu=-int(-number("cpu_milli", row["cpu_milli"]) * 1024 // 1000),
        memory=-int(-number("memory_mib", row["memory_mib"]) // 1),
        name=row["name"],
        resources=((GPU, int(gpus)),) if gpus else (),
        constraints=(PlacementConstraint("memberOf", expression),) if models else (),
    )
