"""Makes a packing trace of Azure's VMs of 2017, as they ship with stowplan.

    python -m stowplan.experiments.studies.dvbp.azure FOLDER

writes `vm.csv` and `vmType.csv` into FOLDER, for `stowplan dvbp`: the VMs whose end is known, on
servers of 64 vCPU and 256 GiB. A lifetime is the middle of its bin, and 150 s in the first.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from numpy.random import default_rng

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.workloads.azure_v1 import AzureV1
from stowplan.placement.scenario.scenario import WorkloadTable

FILE = DATA / "azure_v1" / "v1.dev.txt.gz"
VM_COLUMNS = ("vmId", "tenantId", "vmTypeId", "priority", "starttime", "endtime")
TYPE_COLUMNS = ("id", "vmTypeId", "machineId", "core", "memory", "hdd", "ssd", "nic")
_DAY_MS = 24 * 3600 * 1000
_SHORT_MS, _SHORTEST_MS = 1000, 150_000
_SERVER = (64 * 1024, 256 * 1024)  # CPU units, MiB
Size = tuple[int, int]
Row = tuple[int, int, int, int, str, str]


def rows(file: Path = FILE) -> tuple[list[Row], list[Size]]:
    """The rows of `vm.csv`, and the sizes (CPU units, MiB) that types are numbers of."""
    table = WorkloadTable(name="vm", kind="azure_v1", task_definition="vm", file=str(file))
    jobs = [*AzureV1(table).jobs(default_rng(0))]
    # By the text of the sizes, as the map of flavours has them.
    sizes = sorted({(job.cpu or 0, job.memory or 0) for job in jobs}, key=_text)
    index = {size: number for number, size in enumerate(sizes)}
    found: list[Row] = []
    for job in jobs:
        if job.run_ms is None:
            continue
        run_ms = _SHORTEST_MS if job.run_ms < _SHORT_MS else job.run_ms
        start, end = _days(job.at_ms), _days(job.at_ms + run_ms)
        for _ in range(job.count):
            found.append((len(found), 0, index[job.cpu or 0, job.memory or 0], 1, start, end))
    return found, sizes


def _days(at_ms: int) -> str:
    return f"{at_ms / _DAY_MS:.9f}"


def _text(size: Size) -> str:
    cpu, memory = size
    return f"{cpu // 1024},{memory / 1024:g}"


def shares(size: Size) -> tuple[str, str]:
    """What a size takes of a server, to six decimals."""
    core, memory = (amount / most for amount, most in zip(size, _SERVER, strict=True))
    return f"{core:.6f}", f"{memory:.6f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the two files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    vms, sizes = rows()
    types = [(n, n, 0, *shares(size), 0, 0, 0) for n, size in enumerate(sizes)]
    for name, columns, content in (
        ("vm.csv", VM_COLUMNS, vms),
        ("vmType.csv", TYPE_COLUMNS, types),
    ):
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(content)
        print(f"{folder / name}: {len(content)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
