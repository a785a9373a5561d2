"""Clusters as a notebook says them: counts of instance types, or a table with a row per group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from stowplan._values import (
    Problems,
    check,
    made,
    prefixed,
    rows_of,
    texts,
    unknown_columns,
    whole,
)
from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement.model import AVAILABILITY_ZONE, INSTANCE_TYPE
from stowplan.placement.scenario.scenario import (
    FleetGroup,
    InstanceSpec,
    InstanceTypeTable,
    Scenario,
    instance_specs,
)
from stowplan.placement.scenario.words import unknown

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_OF_TYPE = ("cpu", "memory", "gpus", "eni_slots", "price_microusd_hour")
COLUMNS = (
    *("instance_type", "count", "zones", "name", "capacity_provider"),
    *_OF_TYPE,
    *("attribute:", "resource:"),
)


@dataclass(frozen=True, repr=False)
class Cluster:
    """Instances to place tasks on; made by `cluster`, never changed.

    Attributes
    ----------
    groups : tuple of FleetGroup
        As the table `fleet` of a scenario has them.
    types : dict of str to InstanceTypeTable
        What an instance of each type registers: CPU in units (1024 are a vCPU), memory in MiB,
        price in millionths of a dollar per hour.
    """

    groups: tuple[FleetGroup, ...]
    types: Mapping[str, InstanceTypeTable]

    @cached_property
    def scenario(self) -> Scenario:
        """A scenario of nothing but these instances."""
        return Scenario(
            name="cluster",
            duration=1,
            instance_types=dict(self.types),
            fleet=self.groups,
            task_definitions={},
        )

    @cached_property
    def specs(self) -> list[InstanceSpec]:
        """What each instance registers, in the order in which they are numbered."""
        return instance_specs(self.scenario)

    @property
    def frame(self) -> pd.DataFrame:
        """A row per instance: name, type, zone, what it registers, and dollars per hour.

        Resources that ECS knows are `cpu` (units), `memory` (MiB), `gpus` and `eni_slots`;
        others and attributes of one's own are columns `resource:NAME` and `attribute:NAME`.
        """
        named = {"CPU": "cpu", "MEMORY": "memory", "GPU": "gpus", "ENI": "eni_slots"}
        rows = []
        for spec in self.specs:
            amounts = dict.fromkeys(named, 0) | dict(spec.resources)
            own = {n: v for n, v in spec.attributes.items() if "ecs." not in n}
            rows.append(
                {
                    "instance": spec.name,
                    "type": spec.attributes[INSTANCE_TYPE],
                    "zone": spec.attributes[AVAILABILITY_ZONE],
                    **{named.get(n, f"resource:{n}"): a for n, a in amounts.items()},
                    "usd_hour": spec.price_microusd_hour / 1e6,
                    **{f"attribute:{n}": value for n, value in own.items()},
                }
            )
        return pd.DataFrame(rows)

    def __len__(self) -> int:
        """How many instances there are."""
        return sum(group.count for group in self.groups)

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for group in self.groups:
            counts[group.instance_type] = counts.get(group.instance_type, 0) + group.count
        zones = dict.fromkeys(zone for group in self.groups for zone in group.zones)
        kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
        usd = sum(spec.price_microusd_hour for spec in self.specs) / 1e6
        return f"<Cluster: {kinds}; zones {', '.join(zones)}; ${usd:,.2f} an hour>"

    def _repr_html_(self) -> str:
        return str(self.frame._repr_html_())


def cluster(
    instances: Mapping[str, int] | pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    zones: Sequence[str] = ZONES,
    attributes: Mapping[str, str] | None = None,
    resources: Mapping[str, int] | None = None,
) -> Cluster:
    """A cluster out of counts of instance types, or of a table with a row per group.

    Parameters
    ----------
    instances : mapping of str to int, DataFrame, or list of dict
        How many of each instance type (`types()` lists them); or rows with the columns

        - `instance_type`: its name; of one that `types()` does not have, say `cpu` and `memory`
        - `count`: instances, 1 where it is left out
        - `zones`: one, or a list that is dealt in turn; `zones` below where it is left out
        - `cpu` (units, 1024 are a vCPU), `memory` (MiB), `gpus`, `eni_slots`,
          `price_microusd_hour`: what the type has instead of what `types()` says
        - `attribute:NAME`, `resource:NAME`: custom attributes and resources
        - `capacity_provider`, `name` of the group

    zones : sequence of str
        Availability zones over which each type is dealt in turn; us-east-1a, b and c.
    attributes, resources : mapping, optional
        For all instances: custom attributes, and amounts of custom resources.

    Returns
    -------
    Cluster
        `frame` shows it, a row per instance.

    Raises
    ------
    SpecError
        Naming every row and column that is wrong: an unknown type, a count that is no whole
        number above 0, a column that nobody knows.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.cluster({"m5.large": 6}, zones=["a", "b", "c"])
    <Cluster: 6 m5.large; zones a, b, c; $0.58 an hour>
    >>> mine = sp.cluster([{"instance_type": "blade", "cpu": 4096, "memory": 8192, "count": 2}])
    >>> mine.frame[["instance", "type", "cpu", "memory"]].values.tolist()[0]
    ['i-00000000000000000', 'blade', 4096, 8192]
    """
    if isinstance(instances, Mapping) and "instance_type" not in instances:
        rows = [(n, {"instance_type": n, "count": count}) for n, count in instances.items()]
    else:
        rows = rows_of(instances)
    problems: Problems = [] if rows else [("instances", "there are none")]
    unknown_columns(rows, COLUMNS, problems)
    types: dict[str, InstanceTypeTable] = {}
    groups: list[FleetGroup] = []
    for place, row in rows:
        name = _type(row, place, types, problems)
        group = {
            "name": str(row.get("name", f"group-{len(groups)}")),
            "instance_type": name,
            "count": whole(row.get("count", 1), f"{place}: count", problems, 1),
            "zones": texts(row.get("zones", zones)),
            "attributes": {**(attributes or {}), **prefixed(row, "attribute:")},
            "resources": _amounts(
                {**(resources or {}), **prefixed(row, "resource:")}, place, problems
            ),
            "capacity_provider": row.get("capacity_provider"),
        }
        groups.append(made(FleetGroup, group, place, problems))
    check(problems)
    return Cluster(tuple(groups), types)


def _amounts(given: Mapping[str, Any], place: str, problems: Problems) -> dict[str, int]:
    return {n: whole(a, f"{place}: resource:{n}", problems) for n, a in given.items()}


def _type(
    row: Mapping[str, Any], place: str, types: dict[str, InstanceTypeTable], problems: Problems
) -> str:
    """The name of a row's type, which is added to `types`."""
    own = {
        n: whole(row[n], f"{place}: {n}", problems, int(n in ("cpu", "memory")))
        for n in _OF_TYPE
        if n in row
    }
    known = instance_types()
    name = str(row.get("instance_type", ""))
    if not name and not {"cpu", "memory"} <= own.keys():
        problems.append((place, "has no instance_type; one of your own needs cpu and memory"))
        return name
    if not name:
        name = f"{own['cpu']}cpu-{own['memory']}MiB"
    if name in known:
        table = known[name].model_copy(update=own)
    elif {"cpu", "memory"} <= own.keys():
        table = made(InstanceTypeTable, own, place, problems)
    else:
        what = unknown("instance type", name, known) if len(known) < 9 else _short(name, known)
        problems.append((f"{place}: instance_type", what))
        return name
    if types.setdefault(name, table) != table:
        problems.append((place, f"type {name} is another one in an earlier row: give it a name"))
    return name


def _short(name: str, known: Mapping[str, object]) -> str:
    hint = unknown("instance type", name, known).partition("; known:")[0]
    return f"{hint}; sp.types() lists them, and cpu and memory describe one of your own"
