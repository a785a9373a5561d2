"""The instance types that ship: what they register, and how unobserved memory is estimated."""

import csv

import pytest

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.catalogue import estimated_memory, instance_types


def rows():
    source = DATA / "instance_types" / "instance_types.csv"
    with source.open() as stream:
        return list(csv.DictReader(stream))


def test_all_54_types_are_there_and_are_what_the_table_says():
    types = instance_types()
    assert len(types) == 54
    for row in rows():
        kind = types[row["instance_type"]]
        assert kind.cpu == 1024 * int(row["vcpu"])
        assert kind.gpus == int(row["gpu_count"])
        assert kind.eni_slots == int(row["max_enis"]) - 1
        assert kind.architecture == row["arch"]
        assert 0 < kind.memory < int(row["memory_mib"])
        assert kind.price_microusd_hour > 0


def test_one_type_of_each_processor_in_full():
    m5, g5g = instance_types()["m5.xlarge"], instance_types()["g5g.xlarge"]
    assert (m5.cpu, m5.memory, m5.gpus, m5.eni_slots) == (4096, 15576, 0, 3)
    assert (m5.architecture, m5.price_microusd_hour) == ("x86_64", 192_000)
    assert (g5g.cpu, g5g.gpus, g5g.architecture) == (4096, 1, "arm64")
    assert g5g.memory == estimated_memory("g5g.xlarge", 8192)


@pytest.mark.parametrize(
    ("name", "nominal", "estimate"),
    [
        ("t3.micro", 1024, 947),
        ("c5.large", 4096, 3788),
        ("c5.xlarge", 8192, 7741),
        ("m5.2xlarge", 32768, 30965),
        ("m5.4xlarge", 65536, 62914),
        ("t2.micro", 1024, 993),
        ("m4.large", 8192, 7946),
    ],
)
def test_memory_is_estimated_by_size_and_by_hypervisor(name, nominal, estimate):
    assert estimated_memory(name, nominal) == estimate


def test_estimates_are_near_what_was_observed():
    observed = [row for row in rows() if row["ecs_registered_memory_mib_observed"]]
    assert len(observed) == 14
    for row in observed:
        found = int(row["ecs_registered_memory_mib_observed"])
        assert instance_types()[row["instance_type"]].memory == found
        estimate = estimated_memory(row["instance_type"], int(row["memory_mib"]))
        assert estimate == pytest.approx(found, rel=0.025)
