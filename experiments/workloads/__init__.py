"""Workloads by name: what arrives, when, and how long it runs. One kind a file.

To add one: a file with a factory `(WorkloadTable) -> Workload`, and a line in `WORKLOADS`. The
factory raises pydantic's ValidationError for options it cannot use, ValueError for another field of
the table, and SpecError for a trace, naming file and line of every row that does not parse: nothing
runs before all of them were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.workloads.alibaba_batch import AlibabaBatch
from experiments.workloads.alibaba_dlrm import AlibabaDlrm
from experiments.workloads.protocol import Job, Workload
from experiments.workloads.synthetic import Burst, Poisson
from placement.scenario import WorkloadTable

__all__ = ["WORKLOADS", "Job", "Workload"]

WORKLOADS: Mapping[str, Callable[[WorkloadTable], Workload]] = {
    "alibaba_batch": AlibabaBatch,
    "alibaba_dlrm": AlibabaDlrm,
    "burst": Burst,
    "poisson": Poisson,
}
