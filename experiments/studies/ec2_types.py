"""Makes the tables of EC2's instance types that ship, from what two packages of PyPI carry.

    pip download --no-deps moto==5.2.5 apache-libcloud==3.9.1
    python -m stowplan.experiments.studies.ec2_types --moto moto-*.whl --libcloud apache_*.whl

`experiments/data/instance_types/README.md` says what the columns are and where each is from.
Prices of us-east-1 stay as they are in `types.csv.gz`; `--prices FILE` brings others
(`instance_type,usd_per_hour`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import median_low
from typing import Any

from stowplan.experiments.files.paths import DATA

FOLDER = DATA / "instance_types"
HOME = "us-east-1"
# Prices of one family rise with the size. Those that are not of one ratio to us-east-1 are 5 to
# 10 % dearer, in every region: another tenancy, that got into the package among the shared ones.
_SAME_RATIO = 0.006
_RESOURCES = "moto/ec2/resources/"
# The package calls these of a previous generation, which AWS's page of those does not list.
_STILL_CURRENT = {"c5", "c6gn", "g5", "m5", "m6i", "r5", "r6i", "r7g", "r7gd"}

COLUMNS = (
    *("instance_type", "arch", "vcpu", "memory_mib", "max_enis", "ipv4_per_eni"),
    *("trunk_tasks", "observed_mib", "observed_source", "usd_per_hour", "xen", "maker"),
    *("current", "metal", "burstable", "hibernation", "spot", "local_gb", "local_kind"),
    *("ebs_mbps", "network_gbps", "accelerator", "acc_count", "acc_maker", "acc_name"),
    *("acc_mib_each", "offered"),
)
_ACCELERATORS = (
    ("gpu", "GpuInfo", "Gpus"),
    ("inference", "NeuronInfo", "NeuronDevices"),
    ("inference", "InferenceAcceleratorInfo", "Accelerators"),
    ("fpga", "FpgaInfo", "Fpgas"),
    ("media", "MediaAcceleratorInfo", "Accelerators"),
)


def main() -> None:
    """Write `types.csv.gz` and `regions.csv.gz`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moto", type=Path, required=True, help="the wheel of moto")
    parser.add_argument("--libcloud", type=Path, required=True, help="that of apache-libcloud")
    parser.add_argument("--prices", type=Path, help="CSV of prices in us-east-1")
    parser.add_argument("--out", type=Path, default=FOLDER, help="default: where they ship")
    arguments = parser.parse_args()
    prices = _column(FOLDER / "types.csv.gz", "usd_per_hour")
    if arguments.prices:
        prices = _column(arguments.prices, "usd_per_hour")
    types, regions = read_moto(arguments.moto)
    rows = [*rows_of(types, prices), *_plain(FOLDER / "extra.csv")]
    write(arguments.out / "types.csv.gz", COLUMNS, sorted(rows, key=lambda r: r["instance_type"]))
    home = {name: float(price) for name, price in prices.items()}
    ratios = dict(ratios_of(read_libcloud(arguments.libcloud), home))
    # Those of `offered` first, bit by bit; then those of which prices alone are known.
    regions += sorted({region for of in ratios.values() for region in of} - {*regions, HOME})
    families = ({"family": name, **of} for name, of in sorted(ratios.items()))
    write(arguments.out / "regions.csv.gz", ("family", *regions), families)


def read_moto(wheel: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """DescribeInstanceTypes by type, with `offered`: a bit for each region; and the regions."""
    with zipfile.ZipFile(wheel) as archive:
        types = json.loads(gzip.decompress(archive.read(f"{_RESOURCES}instance_types.json.gz")))
        folder = f"{_RESOURCES}instance_type_offerings/region/"
        files = sorted(name for name in archive.namelist() if name.startswith(folder))
        regions = [name.removeprefix(folder).removesuffix(".json.gz") for name in files]
        for bit, name in enumerate(files):
            for each in json.loads(gzip.decompress(archive.read(name))):
                if each["InstanceType"] in types:
                    kind = types[each["InstanceType"]]
                    kind["offered"] = kind.get("offered", 0) | 1 << bit
    return types, regions


def read_libcloud(wheel: Path) -> dict[str, dict[str, float]]:
    """Type -> region -> dollars per hour, Linux on demand; what it has as 0 is left out."""
    with zipfile.ZipFile(wheel) as archive:
        prices = json.loads(archive.read("libcloud/data/pricing.json"))["compute"]["ec2_linux"]
    # Five parts (`us-west-2-lax-1`) are a local zone.
    return {
        name: {k: v for k, v in of.items() if v and k.count("-") < 4} for name, of in prices.items()
    }


def ratios_of(
    prices: Mapping[str, Mapping[str, float]], home: Mapping[str, float]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Family -> region -> its price as a share of that of us-east-1.

    That on which most sizes of the family agree, two of them at least; of two with as many the
    lower one.
    """
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for name, of in prices.items():
        for region, price in of.items():
            if home.get(name):
                found[name.partition(".")[0]][region][name] = price / home[name]
    for family, regions in sorted(found.items()):
        agreed = {}
        for region, ratios in regions.items():
            same = _agreed(ratios)
            if len(same) > 1 and region != HOME:
                agreed[region] = f"{median_low(ratios[name] for name in same):.6f}"
        if agreed:
            yield family, agreed


def _agreed(ratios: Mapping[str, float]) -> list[str]:
    groups = [
        ([name for name, other in ratios.items() if abs(other / r - 1) < _SAME_RATIO], r)
        for r in ratios.values()
    ]
    return max(groups, key=lambda group: (len(group[0]), -group[1]))[0]


def rows_of(
    types: Mapping[str, Mapping[str, Any]], prices: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Rows of `types.csv.gz`.

    Args:
        types: see `read_moto`.
        prices: in us-east-1, dollars per hour.
    """
    trunk = _column(FOLDER / "trunking.csv", "tasks")
    observed = _column(FOLDER / "observed.csv", "memory_mib")
    source = _column(FOLDER / "observed.csv", "source")
    for name, kind in types.items():
        arch = kind["ProcessorInfo"]["SupportedArchitectures"][-1]
        if arch.endswith("_mac"):  # ECS has no agent for macOS
            continue
        network, local = kind["NetworkInfo"], kind.get("InstanceStorageInfo", {})
        optimized = kind["EbsInfo"].get("EbsOptimizedInfo", {})
        yield {
            "instance_type": name,
            "arch": arch,
            "vcpu": kind["VCpuInfo"]["DefaultVCpus"],
            "memory_mib": kind["MemoryInfo"]["SizeInMiB"],
            "max_enis": network["MaximumNetworkInterfaces"],
            "ipv4_per_eni": network["Ipv4AddressesPerInterface"],
            "trunk_tasks": trunk.get(name, ""),
            "observed_mib": observed.get(name, ""),
            "observed_source": source.get(name, ""),
            "usd_per_hour": prices.get(name, ""),
            "xen": int(kind.get("Hypervisor") == "xen"),
            "maker": kind["ProcessorInfo"].get("Manufacturer", ""),
            "current": int(kind["CurrentGeneration"] or name.partition(".")[0] in _STILL_CURRENT),
            "metal": int(kind["BareMetal"]),
            "burstable": int(kind["BurstablePerformanceSupported"]),
            "hibernation": int(kind["HibernationSupported"]),
            "spot": int("spot" in kind["SupportedUsageClasses"]),
            "local_gb": local.get("TotalSizeInGB", 0),
            "local_kind": "+".join(sorted({each["Type"] for each in local.get("Disks", ())})),
            "ebs_mbps": optimized.get("BaselineBandwidthInMbps", 0),
            "network_gbps": _gbps(network),
            **_accelerators(kind),
            "offered": f"{kind.get('offered', 0):x}",
        }


def _gbps(network: Mapping[str, Any]) -> float:
    cards = network.get("NetworkCards", ())
    return float(sum(card.get("BaselineBandwidthInGbps", 0) for card in cards))


def _accelerators(kind: Mapping[str, Any]) -> dict[str, Any]:
    for what, info, members in _ACCELERATORS:
        if info in kind:
            one = kind[info][members][0]
            memory = one.get("MemoryInfo", {}).get("SizeInMiB", 0)
            return {
                "accelerator": what,
                "acc_count": one.get("LogicalGpuCount", one["Count"]),
                "acc_maker": one.get("Manufacturer", "Amazon Web Services"),
                "acc_name": one["Name"],
                "acc_mib_each": memory,
            }
    return {"accelerator": "", "acc_count": 0, "acc_maker": "", "acc_name": "", "acc_mib_each": 0}


def _plain(file: Path) -> list[dict[str, str]]:
    content = file.read_bytes()
    text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def _column(file: Path, column: str) -> dict[str, str]:
    return {row["instance_type"]: row[column] for row in _plain(file) if row[column]}


def write(file: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV, compressed; the same content gives the same bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    with file.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as stream:
        stream.write(text.getvalue().encode())


if __name__ == "__main__":
    main()
