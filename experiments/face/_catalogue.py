"""What there is to name: instance types, strategies, workloads, metrics, as tables."""

from __future__ import annotations

import inspect
from typing import Any

import pandas as pd

from stowplan.experiments.loading.catalogue import check_region, listed_types
from stowplan.experiments.loading.extensions import load_extensions
from stowplan.experiments.record.metrics import METRICS, load_metrics
from stowplan.experiments.workloads import WORKLOADS
from stowplan.placement.registry import Registry
from stowplan.placement.strategies import STRATEGIES


def types(region: str = "us-east-1") -> pd.DataFrame:
    """The instance types that `cluster` knows by name: all of EC2 that runs Linux.

    Parameters
    ----------
    region
        Whose prices to give; `stowplan types --region` lists what is on offer there.

    Returns
    -------
    DataFrame
        A row per type, by name: `cpu` (units, 1024 are a vCPU), `memory` (MiB that the agent
        registers), `gpus`, `eni_slots` (awsvpc tasks without trunking), `eni_slots_trunk` (with),
        `architecture`, `usd_hour` (on demand, Linux; NaN where no price is known).

    Raises
    ------
    SpecError
        A region of which no prices are known.

    Notes
    -----
    Source: `experiments/data/instance_types/README.md`.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.types().loc["m5.large", ["cpu", "memory", "usd_hour"]].tolist()
    [2048.0, 7680.0, 0.096]
    >>> float(sp.types("eu-west-1").loc["m5.large", "usd_hour"])
    0.107
    """
    check_region(region, "region")
    known = listed_types(region)
    rows = {each.name: each.registers.model_dump(exclude={"resources"}) for each in known}
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("instance_type")
    priced = [each.priced for each in known]
    frame["usd_hour"] = (frame.pop("price_microusd_hour") / 1e6).where(priced)
    return frame.astype({"eni_slots_trunk": "Int64"})


def strategies() -> pd.DataFrame:
    """The strategies that chains may name, yours after those that ship.

    Returns
    -------
    DataFrame
        A row per strategy, by name: `about`, a sentence, and whether it is your `own`.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.strategies().loc["random", "about"]
    'Prefer one candidate drawn uniformly.'
    """
    load_extensions()
    return _table(STRATEGIES)


def workloads() -> pd.DataFrame:
    """The kinds of workload that a scenario may name, yours after those that ship.

    Returns
    -------
    DataFrame
        A row per kind, by name: `about`, a sentence, its `options` with their types, and whether
        it is your `own`.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.workloads().loc["poisson", "options"]["rate_per_s"]
    'float'
    """
    load_extensions()
    frame = _table(WORKLOADS)
    options = [
        {name: _type_name(f.annotation) for name, f in WORKLOADS[kind].options.model_fields.items()}
        for kind in frame.index
    ]
    frame.insert(1, "options", options)
    return frame


def metrics() -> pd.DataFrame:
    """The metrics of a run, yours after those that ship.

    Returns
    -------
    DataFrame
        A row per metric, by name: `about`, its `unit`, which way is `better` ("" for neither),
        and whether it is your `own`.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.metrics().loc["wait_p99_s", ["unit", "better"]].tolist()
    ['s', 'less']
    """
    load_metrics()
    rows = [(m.about, m.unit, m.better, name in METRICS.added) for name, m in METRICS.items()]
    index = pd.Index(list(METRICS), name="metric")
    return pd.DataFrame(rows, index, ["about", "unit", "better", "own"])


def _table(registry: Registry[Any]) -> pd.DataFrame:
    own = registry.added
    rows = [(_about(registry[name]), name in own) for name in registry]
    return pd.DataFrame(rows, pd.Index(list(registry), name=registry.kind), ["about", "own"])


def _about(thing: Any) -> str:
    """The first sentences of its docstring."""
    text = inspect.getdoc(thing) or ""
    return " ".join(text.split("\n\n")[0].split())


def _type_name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation).replace("typing.", ""))
