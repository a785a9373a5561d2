"""The reader of Alibaba's recommendation services: rows as jobs, and every bad row named."""

import numpy as np
import pytest

from stowplan.experiments.workloads import WORKLOADS, Job
from stowplan.placement.errors import SpecError
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scenario.scenario import WorkloadTable

HEADER = (
    "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,"
    "memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,"
    "scheduled_time,deletion_time"
)
GPU = "i0,HN,app_0,12,12,1,1,25,25,120.0,120.0,640.5,800.0,8,,,"
CPU = "i1,CN,app_0,64,64,0,0,1,1,937.5,940,255.0,300,-1,10,11,70.5"


def workload(tmp_path, *rows):
    file = tmp_path / "trace.csv"
    file.write_text("\n".join((HEADER, *rows)) + "\n")
    table = WorkloadTable(name="d", task_definition="c", kind="alibaba_dlrm", file=str(file))
    return WORKLOADS["alibaba_dlrm"](table)


def test_a_row_is_a_container_with_all_that_it_reserves(tmp_path):
    jobs = list(workload(tmp_path, CPU, GPU).jobs(np.random.default_rng(0)))
    assert jobs == [
        Job(
            0, 1, None, 12 * 1024, 120 * 1024, "app_0-HN",
            (("GPU", 1), ("DISK", 641), ("RDMA", 25)),
            (PlacementConstraint("maxPerInstance", "8"),),
        ),
        Job(10_000, 1, 60_500, 64 * 1024, 960_000, "app_0-CN", (("DISK", 255), ("RDMA", 1))),
    ]  # fmt: skip


def test_every_bad_row_is_named_with_its_line(tmp_path):
    bad = [
        GPU.replace("HN", "XN"),
        GPU.replace(",8,,,", ",0,,,"),
        GPU.replace("640.5", "much"),
        CPU.replace("70.5", "7"),
        "i9,HN,app_0",
    ]
    with pytest.raises(SpecError) as raised:
        workload(tmp_path, GPU, *bad)
    lines = [place.rsplit(":", 1)[1] for place, _ in raised.value.problems]
    assert lines == ["3", "4", "5", "6", "7"]


def test_a_file_without_the_columns_is_refused(tmp_path):
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    table = WorkloadTable(name="d", task_definition="c", kind="alibaba_dlrm", file=str(file))
    with pytest.raises(SpecError, match="lacks the columns role, app_name"):
        WORKLOADS["alibaba_dlrm"](table)
