"""Energy and carbon are what the table of watts, the load and the region come to, by hand."""

from __future__ import annotations

import pytest

import stowplan as sp
from stowplan.experiments.record.energy import MEAN_WATTS, PUE, grams_per_kwh, watts
from stowplan.experiments.record.records import InstanceRecord

SKYLAKE = (0.645, 4.115)  # watts of a vCPU of c5: the mean of Cascade Lake and Skylake


def ran(zones, count=2, cpu=2048, kind="c5.xlarge", **service):
    scenario = sp.scenario(
        [{"name": "all", "instance_type": kind, "count": 2, "zones": zones}],
        duration="1h",
        models={"start": {"mean": "0s"}, "stop": {"mean": "0s"}},
        task_definitions={"web": sp.task_definition("web", cpu=cpu, memory=128)},
        service=[{"name": "web", "task_definition": "web", "desired_count": count, **service}],
    )
    return sp.simulate(scenario).metrics


def test_an_hour_by_hand():
    # Two instances of 4 vCPUs; two tasks hold half of each for the whole hour.
    idle, full = SKYLAKE
    expected = PUE * (8 * idle + 4 * (full - idle)) / 1000
    found = ran(["us-east-1a"])
    assert found["kwh"] == pytest.approx(expected, rel=2e-3)
    assert found["kg_co2e"] == pytest.approx(expected * 0.36513, rel=2e-3)


def test_idle_instances_take_energy_too():
    assert ran(["us-east-1a"], count=0)["kwh"] == pytest.approx(PUE * 8 * SKYLAKE[0] / 1000)


def test_carbon_is_the_regions():
    sweden, india = ran(["eu-north-1a"]), ran(["ap-south-1b"])
    assert sweden["kwh"] == india["kwh"]
    assert india["kg_co2e"] / sweden["kg_co2e"] == pytest.approx(708.2 / 8.8)


def test_a_zone_of_no_region_has_energy_and_no_carbon():
    found = ran(["a"])
    assert found["kwh"] > 0
    assert found["kg_co2e"] != found["kg_co2e"]  # NaN


def test_memory_counts_beyond_what_comes_with_the_processor():
    lean = InstanceRecord("i", "us-east-1a", "c5.large", 2048, 8 * 1024, 0, 0)
    rich = InstanceRecord("i", "us-east-1a", "r5.large", 2048, 16 * 1024, 0, 0)
    assert watts(lean)[0] == pytest.approx(2 * SKYLAKE[0])
    assert watts(rich)[0] - watts(lean)[0] == pytest.approx(8 * 0.392)


def test_a_type_of_ones_own_has_the_mean_of_all():
    own = InstanceRecord("i", "z", "mine", 4096, 1024, 0, 0)
    assert watts(own) == pytest.approx([4 * each for each in MEAN_WATTS])


def test_a_gpu_is_idle_or_busy():
    idle = ran(["us-east-1a"], count=0, kind="g4dn.xlarge")["kwh"]
    busy = ran(["us-east-1a"], count=2, cpu=4, kind="g4dn.xlarge")["kwh"]
    assert busy - idle == pytest.approx(PUE * 2 * (71 - 8) / 1000, rel=0.01)


@pytest.mark.parametrize(
    ("zone", "grams"),
    [("us-gov-west-1a", 298.65), ("eu-north-1", 8.8), ("mars-1a", None), ("", None)],
)
def test_regions_of_zones(zone, grams):
    assert grams_per_kwh(zone) == grams
