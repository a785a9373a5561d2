"""Workloads by name: what arrives, when, and how long it runs. One kind a file.

To add one: a file with a `WorkloadKind`, and a line in `_SHIPPED`. It raises
pydantic's ValidationError for options it cannot use, ValueError for another field of
the table, and SpecError for a trace, naming file and line of every row that does not parse. All
workloads are made before anything runs. Of a trace that streams (it may be of any size) only the
first thousand rows are read then; a bad row further on ends the run that meets it, with a SpecError
as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from stowplan.experiments.workloads.alibaba_2018 import AlibabaBatchTasks, AlibabaContainers
from stowplan.experiments.workloads.alibaba_batch import AlibabaBatch
from stowplan.experiments.workloads.alibaba_dlrm import AlibabaDlrm
from stowplan.experiments.workloads.azure_v1 import AzureV1
from stowplan.experiments.workloads.google import Google2011, Google2019
from stowplan.experiments.workloads.openb import OpenbPods
from stowplan.experiments.workloads.protocol import Job, Workload, WorkloadKind
from stowplan.experiments.workloads.swf import Swf
from stowplan.experiments.workloads.synthetic import Burst, Poisson
from stowplan.experiments.workloads.table import TableOfJobs
from stowplan.experiments.workloads.varying import Diurnal, Mmpp, Waves
from stowplan.placement.registry import Registry

__all__ = ["WORKLOADS", "Job", "Workload"]

# What WORKLOADS ships with.
_SHIPPED: Mapping[str, WorkloadKind] = {
    "alibaba_2018_batch": AlibabaBatchTasks,
    "alibaba_2018_containers": AlibabaContainers,
    "alibaba_batch": AlibabaBatch,
    "alibaba_dlrm": AlibabaDlrm,
    "azure_v1": AzureV1,
    "burst": Burst,
    "diurnal": Diurnal,
    "google_2011": Google2011,
    "google_2019": Google2019,
    "mmpp": Mmpp,
    "openb_pods": OpenbPods,
    "poisson": Poisson,
    "swf": Swf,
    "table": TableOfJobs,
    "waves": Waves,
}
WORKLOADS: Registry[WorkloadKind] = Registry("workload", _SHIPPED)
