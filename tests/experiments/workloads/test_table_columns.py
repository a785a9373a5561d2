"""Any table is a workload once it is said what its columns are called; gaps of any distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stowplan.experiments.workloads.synthetic import Renewal
from stowplan.experiments.workloads.table import TableOfJobs
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import WorkloadTable

COLUMNS = {"at": "submit_ms", "end": "end_ms", "cpu": "cores", "memory": "gib", "name": "job id"}
SCALE = {"at": 0.001, "end": 0.001, "cpu": 1024.0, "memory": 1024.0}
FRAME = pd.DataFrame(
    {
        "job id": ["b", "a"],
        "submit_ms": [1_700_000_005_000, 1_700_000_000_000],
        "end_ms": [1_700_000_065_500, np.nan],
        "cores": [0.5, 1.3],
        "gib": [2, 0.1],
        "comment": ["", "not read"],
    }
)


def jobs(path, **options):
    table = WorkloadTable(
        name="w", task_definition="job", kind="table", file=str(path), options=options
    )
    return list(TableOfJobs(table).jobs(np.random.default_rng(0)))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_foreign_table(tmp_path, kind):
    path = tmp_path / f"jobs.{kind}"
    FRAME.to_csv(path, index=False) if kind == "csv" else FRAME.to_parquet(path)
    one, two = jobs(path, columns=COLUMNS, scale=SCALE, from_first=True)
    assert (one.at_ms, one.run_ms, one.cpu, one.memory, one.name) == (0, None, 1332, 103, "a")
    assert (two.at_ms, two.run_ms, two.cpu, two.memory) == (5_000, 60_500, 512, 2048)


def test_what_is_wrong_with_it_is_said_with_its_line(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_text("at,end\n5,4\nx,9\n1,2\n")
    with pytest.raises(SpecError) as caught:
        jobs(path)
    assert [what for _, what in caught.value.problems] == [
        "end 4 is before at 5",
        "at 'x' is not a number",
    ]
    with pytest.raises(SpecError, match="lacks the column begin: it has at, end"):
        jobs(path, columns={"at": "begin"})
    path.write_text("at,end,run\n1,2,3\n")
    with pytest.raises(SpecError, match="run and end"):
        jobs(path)
    with pytest.raises(ValueError, match="did you mean memory"):
        jobs(path, columns={"at": "at", "memry": "run"})


def test_gaps_of_any_distribution():
    options = {
        "gap": {"distribution": "weibull", "mean": "2s", "shape": 3.0},
        "run": {"mean": "5s"},
    }
    table = WorkloadTable(
        name="w", task_definition="job", kind="renewal", until="20000s", options=options
    )
    times = np.array([job.at_ms for job in Renewal(table).jobs(np.random.default_rng(3))])
    gaps = np.diff(times)
    assert gaps.mean() == pytest.approx(2_000, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(0.363, rel=0.05)
    never = {**options, "gap": {"mean": "0s"}}
    with pytest.raises(ValueError, match="gaps above 0s"):
        Renewal(table.model_copy(update={"options": never}))
