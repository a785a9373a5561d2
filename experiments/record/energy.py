"""Energy and carbon of a run, estimated: watts by instance type and load, grams by region.

By Cloud Carbon Footprint's method (experiments/data/power/README.md): a vCPU takes so much at no
load, and more in proportion to its load, up to full load; memory takes 0.392 W a GiB; what goes in
beside the servers is PUE 1.135. The load is what tasks reserve of an instance's CPU: a run knows
no other. Ours: memory counts above 4 GiB a vCPU, since the watts of a vCPU come with the memory of
the server that was measured; a GPU is at full load while its instance is busy.
"""

from __future__ import annotations

import csv
import re
from functools import cache

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.catalogue import listed
from stowplan.experiments.record.capacity_record import MS_PER_HOUR
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import InstanceRecord

PUE = 1.135
WATTS_PER_GIB = 0.392
GIB_PER_VCPU = 4.0  # that come with a vCPU's watts
MEAN_WATTS = (0.74, 3.5)  # of a vCPU, of families that are not in the table
_UNITS = 1024  # of a vCPU
_ZONE = re.compile(r"([a-z]{2}(?:-[a-z]+)+-\d)[a-z]?")


def kwh(recorder: Recorder) -> float:
    """kWh of all instances while they were up."""
    return sum(_kwh_by_instance(recorder))


def kg_co2e(recorder: Recorder) -> float | None:
    """kg of CO2 equivalent for it; None where a zone is in no region that is known."""
    factors = [grams_per_kwh(each.zone) for each in recorder.instances]
    total = 0.0
    for used, grams in zip(_kwh_by_instance(recorder), factors, strict=True):
        if grams is None:
            return None
        total += used * grams / 1000
    return total


def _kwh_by_instance(recorder: Recorder) -> list[float]:
    paid, now_ms = recorder.capacity.paid, recorder.now_ms
    found = []
    for number, record in enumerate(recorder.instances):
        up_ms = paid[record.name].ms(now_ms) if record.name in paid else 0
        held = recorder.held.by_instance.get(number, {}).values()
        load_ms = min(sum(cpu for cpu, _ in held) / record.cpu, up_ms)
        idle, full = watts(record)
        gpu_idle, gpu_full = _gpu_watts(record.type)
        watt_ms = idle * up_ms + (full - idle) * load_ms
        watt_ms += gpu_idle * up_ms + (gpu_full - gpu_idle) * min(record.busy_ms, up_ms)
        found.append(PUE * watt_ms / MS_PER_HOUR / 1000)
    return found


def watts(record: InstanceRecord) -> tuple[float, float]:
    """Watts of an instance at no load and at full load, GPUs and PUE apart."""
    vcpus = record.cpu / _UNITS
    idle, full = _families().get(record.type.partition(".")[0], MEAN_WATTS)
    memory = WATTS_PER_GIB * max(0.0, record.memory / 1024 - GIB_PER_VCPU * vcpus)
    return idle * vcpus + memory, full * vcpus + memory


def _gpu_watts(kind: str) -> tuple[float, float]:
    known = _gpus().get(kind.partition(".")[0])
    of = listed(kind) if known is not None else None
    count = 0 if of is None else of.registers.gpus
    return (0.0, 0.0) if known is None else (known[0] * count, known[1] * count)


def grams_per_kwh(zone: str) -> float | None:
    """Of the region of a zone, `us-east-1a`; None where it is not known."""
    region = _ZONE.fullmatch(zone)
    return None if region is None else _regions().get(region[1])


@cache
def _families() -> dict[str, tuple[float, float]]:
    return _table("families")


@cache
def _gpus() -> dict[str, tuple[float, float]]:
    return _table("gpus")


def _table(name: str) -> dict[str, tuple[float, float]]:
    with (DATA / "power" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return {row[0]: (float(row[1]), float(row[2])) for row in rows}


@cache
def _regions() -> dict[str, float]:
    with (DATA / "power" / "regions.csv").open(newline="", encoding="utf-8") as file:
        return {row[0]: float(row[1]) for row in list(csv.reader(file))[1:]}
