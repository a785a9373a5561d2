"""The instance types that ship: what they register, and how unobserved memory is estimated."""

import csv
import gzip
import json
import subprocess
import sys
import zipfile

import pytest

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.catalogue import (
    catalogue_offers,
    estimated_memory,
    instance_types,
    is_offered,
    listed,
    listed_types,
    regions,
)
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.studies import ec2_types
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskKind

FOLDER = DATA / "instance_types"


def rows(name):
    opened = gzip.open if name.endswith(".gz") else open
    with opened(FOLDER / name, "rt") as stream:
        return list(csv.DictReader(stream))


def fleet_of(name):
    return f"""
name = "s"
duration = "1m"
task_definitions = {{ }}
fleet = [{{ name = "f", instance_type = "{name}", count = 1, zones = ["a"] }}]
"""


def test_every_type_of_the_table_is_there_and_is_what_it_says():
    types = instance_types()
    assert len(types) == len(rows("types.csv.gz")) == 1391
    for row in rows("types.csv.gz"):
        kind = types[row["instance_type"]]
        assert kind.cpu == 1024 * int(row["vcpu"])
        assert kind.eni_slots == int(row["max_enis"]) - 1
        assert kind.architecture == row["arch"]
        assert 0 < kind.memory < int(row["memory_mib"])
        assert (kind.price_microusd_hour > 0) == bool(row["usd_per_hour"])
    assert "" not in types
    assert "m5.lrge" not in types


def test_one_type_of_each_processor_in_full():
    m5, g5g = instance_types()["m5.xlarge"], instance_types()["g5g.xlarge"]
    assert (m5.cpu, m5.memory, m5.gpus, m5.eni_slots) == (4096, 15576, 0, 3)
    assert (m5.eni_slots_trunk, m5.architecture, m5.price_microusd_hour) == (20, "x86_64", 192_000)
    assert (g5g.cpu, g5g.gpus, g5g.architecture) == (4096, 1, "arm64")
    assert g5g.memory == estimated_memory(8192)


def test_gpus_of_nvidia_alone_are_registered():
    large, amd, inferentia = (listed(n) for n in ("p5.48xlarge", "g4ad.xlarge", "inf2.xlarge"))
    assert (large.registers.gpus, large.gpu_name) == (8, "H100")
    assert (amd.registers.gpus, amd.gpu_name) == (0, "Radeon Pro V520")
    assert (inferentia.registers.gpus, inferentia.gpu_name) == (0, "")


@pytest.mark.parametrize(
    ("xen", "nominal", "estimate"),
    [
        (False, 1024, 947),
        (False, 4096, 3788),
        (False, 8192, 7741),
        (False, 32768, 30965),
        (False, 65536, 62914),
        (True, 1024, 993),
        (True, 8192, 7946),
    ],
)
def test_memory_is_estimated_by_size_and_by_hypervisor(xen, nominal, estimate):
    assert estimated_memory(nominal, xen) == estimate


def test_estimates_are_near_what_was_observed():
    observed = rows("observed.csv")
    assert len(observed) == 14
    for row in observed:
        found = int(row["memory_mib"])
        kind = listed(row["instance_type"])
        assert kind.registers.memory == found
        estimate = estimated_memory(kind.memory_mib, kind.facts["xen"] == "1")
        assert estimate == pytest.approx(found, rel=0.025)


# Of AWS's price list for Linux on demand, as it was published in each region.
@pytest.mark.parametrize(
    ("name", "region", "usd"),
    [
        ("m5.large", "us-east-1", 0.096),
        ("m5.large", "eu-west-1", 0.107),
        ("m5.xlarge", "eu-central-1", 0.230),
        ("c5.xlarge", "us-west-2", 0.170),
        ("r5.large", "ap-northeast-1", 0.152),
        ("c6g.xlarge", "eu-west-1", 0.146),
    ],
)
def test_prices_of_regions_are_those_that_aws_published(name, region, usd):
    assert listed(name, region).registers.price_microusd_hour == pytest.approx(usd * 1e6, abs=60)


def test_what_a_region_does_not_offer_is_known():
    assert not is_offered(listed("p5.48xlarge"), "ca-west-1")
    assert all(is_offered(listed("m6g.large"), region) for region in ("us-east-1", "eu-west-1"))
    for region in regions():
        assert sum(is_offered(each, region) for each in listed_types()) > 100, region


def test_a_misspelt_type_is_answered_with_a_near_one(tmp_path):
    (tmp_path / "s.toml").write_text(fleet_of("m7gd.2xlrge"))
    with pytest.raises(SpecError) as caught:
        load_scenario(tmp_path / "s.toml")
    assert "did you mean m7gd.2xlarge?" in str(caught.value)


def test_a_scenario_is_priced_by_its_region(tmp_path):
    text = fleet_of("m5.large")
    (tmp_path / "s.toml").write_text(text)
    here = load_scenario(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(f'region = "eu-west-1"\n{text}')
    there = load_scenario(tmp_path / "s.toml")
    for name, kind in here.scenario.instance_types.items():
        other = there.scenario.instance_types[name]
        assert other.price_microusd_hour > kind.price_microusd_hour
        assert other.memory == kind.memory
    (tmp_path / "s.toml").write_text(
        f'region = "ca-west-1"\n{text}'.replace("m5.large", "m4.large")
    )
    assert any("m4.large in ca-west-1" in n for n in load_scenario(tmp_path / "s.toml").notes)
    (tmp_path / "s.toml").write_text(f'region = "eu-wst-1"\n{text}')
    with pytest.raises(SpecError, match="did you mean eu-west-1"):
        load_scenario(tmp_path / "s.toml")


def test_a_scenario_that_names_no_type_of_ec2_does_not_read_the_tables():
    code = """
import stowplan as sp
from stowplan.experiments.loading import catalogue
fleet = sp.cluster([{"cpu": 1024, "memory": 2048, "count": 2}])
assert catalogue._table.cache_info().misses <= 1, catalogue._table.cache_info()
assert catalogue.listed.cache_info().misses == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the script that makes the tables -------------------------------------------------------------


def test_the_share_on_which_most_sizes_agree_counts_and_a_size_alone_does_not():
    home = {"a1.large": 1.0, "a1.xlarge": 2.0, "a1.metal": 4.0, "b1.large": 1.0}
    prices = {
        "a1.large": {"r": 1.21, "s": 1.1},  # of another tenancy in r
        "a1.xlarge": {"r": 2.2, "s": 2.2},
        "a1.metal": {"r": 4.4},
        "b1.large": {"r": 1.5},
    }
    assert dict(ec2_types.ratios_of(prices, home)) == {"a1": {"r": "1.100000", "s": "1.100000"}}


def test_a_row_of_the_table_is_made_of_what_ec2_says(tmp_path):
    """The wheel's form, with one type in it as DescribeInstanceTypes has it."""
    kind = {
        "InstanceType": "m5.large",
        "BareMetal": False,
        "BurstablePerformanceSupported": False,
        "CurrentGeneration": True,
        "EbsInfo": {"EbsOptimizedInfo": {"BaselineBandwidthInMbps": 650}},
        "HibernationSupported": True,
        "Hypervisor": "nitro",
        "MemoryInfo": {"SizeInMiB": 8192},
        "NetworkInfo": {"Ipv4AddressesPerInterface": 10, "MaximumNetworkInterfaces": 3},
        "ProcessorInfo": {"Manufacturer": "Intel", "SupportedArchitectures": ["i386", "x86_64"]},
        "SupportedUsageClasses": ["on-demand", "spot"],
        "VCpuInfo": {"DefaultVCpus": 2},
    }
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        content = {"instance_types.json.gz": {"m5.large": kind}}
        content["instance_type_offerings/region/r-1.json.gz"] = []
        content["instance_type_offerings/region/r-2.json.gz"] = [{"InstanceType": "m5.large"}]
        for name, value in content.items():
            packed = gzip.compress(json.dumps(value).encode())
            archive.writestr(f"moto/ec2/resources/{name}", packed)
    types, found = ec2_types.read_moto(tmp_path / "w.whl")
    assert found == ["r-1", "r-2"]
    (row,) = ec2_types.rows_of(types, {"m5.large": "0.096"})
    shipped = next(r for r in rows("types.csv.gz") if r["instance_type"] == "m5.large")
    same = row.keys() - {"offered", "network_gbps", "current"}
    assert {k: str(row[k]) for k in same} == {k: shipped[k] for k in same}
    assert row["offered"] == "2"


def test_offers_are_priced_in_the_region_of_their_zone():
    kind = TaskKind((("CPU", 1), ("MEMORY", 1)), "g")
    home, there, nowhere = (
        {offer.type: offer.price_microusd_hour for offer in catalogue_offers(kind, zone)}
        for zone in ("us-east-1a", "sa-east-1c", "a")
    )
    price = listed("m6i.large").registers.price_microusd_hour
    assert home["m6i.large"] == nowhere["m6i.large"] == price
    assert there["m6i.large"] == listed("m6i.large", "sa-east-1").registers.price_microusd_hour
    assert there["m6i.large"] > home["m6i.large"]
