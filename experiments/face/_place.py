"""Tasks placed on a cluster by one strategy or several, and what came of it as tables and plots."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stowplan._cluster import Cluster
from stowplan._given import Named, named_chains
from stowplan._plots import bars, ranked
from stowplan._tasks import Tasks
from stowplan._values import check, whole
from stowplan.experiments.loading.objects import Objects
from stowplan.experiments.record.leftovers import leftovers
from stowplan.experiments.runs.compiling import say_when_compiling
from stowplan.placement.chance import stream
from stowplan.placement.cluster.cluster import Cluster as State
from stowplan.placement.cluster.cluster import instance_strings
from stowplan.placement.constraints import check_of
from stowplan.placement.engine.batch import Decision, TaskBatch
from stowplan.placement.engine.engine import Engine
from stowplan.placement.messages import InstanceRegistered
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    CPU,
    INSTANCE_TYPE,
    MEMORY,
    TaskKind,
)
from stowplan.placement.scenario.checks import scenario_problems
from stowplan.placement.scenario.offers import Fleet
from stowplan.placement.strategies import STRATEGIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RESERVED = [("tcp", port) for port in InstanceRegistered.__struct_defaults__[1]]


@dataclass(frozen=True)
class _Placed:
    """What one strategy decided, and the cluster afterwards."""

    name: str
    batch: TaskBatch
    decision: Decision
    state: State


@dataclass(frozen=True, repr=False)
class Placement:
    """What each strategy made of the same tasks on the same cluster; made by `place`.

    Every table begins with the column `strategy`.
    """

    cluster: Cluster
    _placed: tuple[_Placed, ...]

    @cached_property
    def placements(self) -> pd.DataFrame:
        """A row per strategy and task, in the order in which they were placed.

        `task` numbers them from 0; `instance` is None for one that found no place, `zone` and
        `type` are the instance's.
        """
        specs = [*self.cluster.specs, None]  # row -1: nowhere
        names = np.array([spec and spec.name for spec in specs], object)
        zones = np.array([spec and spec.attributes[AVAILABILITY_ZONE] for spec in specs], object)
        types = np.array([spec and spec.attributes[INSTANCE_TYPE] for spec in specs], object)
        parts = []
        for each in self._placed:
            rows = each.decision.instances
            groups = np.array([kind.group for kind in each.batch.kinds], object)
            columns = {
                "strategy": each.name,
                "task": np.arange(len(rows)),
                "group": groups[each.batch.index],
                "instance": names[rows],
                "zone": zones[rows],
                "type": types[rows],
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def instances(self) -> pd.DataFrame:
        """A row per strategy and instance: tasks on it, and how much of it they reserve.

        `cpu` in units and `memory` in MiB are what it offers, `*_used` what is reserved of that,
        `*_used_pct` the share in percent; `usd_hour` is its price.
        """
        fleet = self.cluster.frame[["instance", "type", "zone", "cpu", "memory", "usd_hour"]]
        parts = []
        for each in self._placed:
            part = fleet.assign(strategy=each.name, tasks=each.state.running_tasks_count.copy())
            for name, resource in (("cpu", CPU), ("memory", MEMORY)):
                part[f"{name}_used"] = _used(each.state, resource)
                offered = part[name].where(part[name] > 0)
                part[f"{name}_used_pct"] = 100 * part[f"{name}_used"] / offered
            parts.append(part[["strategy", *(n for n in part.columns if n != "strategy")]])
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def refusals(self) -> pd.DataFrame:
        """A row per strategy, group and reason: how many tasks found no place, and why.

        `reason` is ECS's word for the step that left no instance, such as `RESOURCE:CPU`;
        `ruled_out` says how many instances each step removed, the first time it happened.
        """
        rows = []
        for each in self._placed:
            counts: Counter[tuple[str, str]] = Counter()
            steps: dict[tuple[str, str], str] = {}
            for position, failure in each.decision.failures.items():
                key = each.batch.kinds[each.batch.index[position]].group, failure.reason
                counts[key] += 1
                steps.setdefault(key, ", ".join(f"{n} by {why}" for why, n in failure.rejected))
            for (group, reason), count in counts.items():
                rows.append((each.name, group, reason, count, steps[group, reason]))
        return pd.DataFrame(rows, columns=["strategy", "group", "reason", "tasks", "ruled_out"])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per strategy: tasks placed and refused, instances in use and their price.

        `*_used_pct`: reserved, of what the instances in use offer. `*_stranded_pct`: free where
        the other resource is short for a mean task, `*_fragmented_pct`: free where a task, mean
        over the tasks, does not fit; both of what is free (`experiments.record.leftovers`).
        """
        rows = []
        for each in self._placed:
            of = self.instances[self.instances["strategy"] == each.name]
            used = of[of["tasks"] > 0]
            refused = len(each.decision.failures)
            row = {
                "strategy": each.name,
                "placed": len(each.batch) - refused,
                "refused": refused,
                "instances_used": len(used),
                "usd_hour_used": used["usd_hour"].sum(),
            }
            for name in ("cpu", "memory"):
                row[f"{name}_used_pct"] = (
                    100 * used[f"{name}_used"].sum() / max(1, used[name].sum())
                )
            rows.append({**row, **_left(each)})
        return pd.DataFrame(rows)

    def plot_utilisation(self) -> Figure:
        """CPU and memory reserved of each instance in percent, fullest first, a curve per strategy.

        Returns
        -------
        matplotlib.figure.Figure
            Shown by a notebook; `savefig` writes it.
        """
        panels = {}
        for name in ("cpu", "memory"):
            shares = self.instances.groupby("strategy", sort=False)[f"{name}_used_pct"]
            title = f"{'CPU' if name == 'cpu' else 'Memory'} reserved, % of each instance"
            panels[title] = {n: np.sort(part.fillna(0))[::-1] for n, part in shares}
        return ranked(panels, "instances, fullest first")

    def plot_fragmentation(self) -> Figure:
        """Of free CPU and memory, the percentage that is stranded and fragmented, per strategy.

        Returns
        -------
        matplotlib.figure.Figure
            Shown by a notebook; `savefig` writes it. `summary` has the numbers.
        """
        names = list(self.summary["strategy"])
        panels = {
            f"Free {what}, %": {
                kind: self.summary[f"{column}_{kind}_pct"].fillna(0).tolist()
                for kind in ("stranded", "fragmented")
            }
            for what, column in (("CPU", "cpu"), ("memory", "memory"))
        }
        return bars(panels, names)

    def __repr__(self) -> str:
        lines = [
            f"{row.strategy}: {row.placed} placed, {row.refused} refused, "
            f"{row.instances_used} of {len(self.cluster)} instances in use"
            for row in self.summary.itertuples()
        ]
        return "<Placement " + "\n ".join(lines) + ">"

    def _repr_html_(self) -> str:
        return str(self.summary._repr_html_())


def place(
    tasks: Tasks,
    cluster: Cluster,
    strategy: Any = None,
    *,
    strategies: Mapping[str, Any] | list[Any] | None = None,
    seed: int = 0,
) -> Placement:
    """Place tasks on an empty cluster, one after the other as ECS does, by one strategy or several.

    Parameters
    ----------
    tasks : Tasks
        What to place, in order (`tasks`).
    cluster : Cluster
        Where to (`cluster`); it stays as it is, every strategy starts with it empty.
    strategy : str, list, class or object
        `"binpack:memory"`, `"default"` (ECS's own for services), a chain with commas or as a list,
        `"mine.py:Mine"`, a class or an object with `keys(task, cluster, candidates, rng)`.
        `strategies()` lists the names. Tasks with strategies of their own keep these.
    strategies : mapping or list, optional
        Several of these, by the names that tables are to show.
    seed : int
        Of `random` and others that draw; the same seed gives the same answer.

    Returns
    -------
    Placement
        `placements`, `instances`, `refusals` and `summary` are DataFrames;
        `plot_utilisation()` and `plot_fragmentation()` are figures.

    Raises
    ------
    SpecError
        Naming every strategy that is not known or makes no sense.
    OwnStrategyError
        A strategy of your own raised, or answered with something that is not a number for each
        candidate; it says where.

    Examples
    --------
    >>> import stowplan as sp
    >>> web = sp.tasks(cpu=512, memory=1024, count=30, group="web")
    >>> sp.place(web, sp.cluster({"m5.large": 6}), strategies=["spread:instanceId", "binpack:cpu"])
    <Placement spread:instanceId: 24 placed, 6 refused, 6 of 6 instances in use
     binpack:cpu: 24 placed, 6 refused, 6 of 6 instances in use>
    """
    problems: list[tuple[str, str]] = []
    for name, value, kind in (("tasks", tasks, Tasks), ("cluster", cluster, Cluster)):
        if not isinstance(value, kind):
            problems.append((name, f"expected what sp.{name}(...) makes, found {value!r}"))
    whole(seed, "seed", problems)
    check(problems)
    objects = Objects()
    objects.absorb(tasks.objects)
    chains = named_chains(strategy, strategies, objects)
    registry = {**STRATEGIES, **objects}
    check(_lacking(tasks, cluster, chains, registry))
    say_when_compiling()
    return Placement(
        cluster, tuple(_placed(tasks, cluster, each, registry, seed) for each in chains)
    )


def _lacking(
    tasks: Tasks, cluster: Cluster, chains: list[Named], registry: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Attributes and resources that strategies, constraints or tasks name and no instance has."""
    named = {each.name: each.chain for each in chains}
    named |= {f"of {kind.group}": kind.strategies for kind in tasks.batch.kinds if kind.strategies}
    scenario = cluster.scenario.model_copy(update={"strategies": named})
    problems = scenario_problems(scenario, registry, {})
    fleet = Fleet(cluster.scenario)
    for kind in tasks.batch.kinds:
        place = f"tasks of {kind.group}"
        for constraint in kind.constraints:
            query = check_of(constraint).query
            lacks = [fleet.lacks(name) for name in sorted(query.attributes if query else ())]
            problems += [(f"{place}: constraints", what) for what in lacks if what]
        lacks = [fleet.lacks_resource(name) for name, _ in kind.resources]
        problems += [(place, what) for what in lacks if what]
    return list(dict.fromkeys(problems))


def state_of(cluster: Cluster) -> State:
    """The instances, registered and empty."""
    state = State()
    for row, spec in enumerate(cluster.specs):
        strings = instance_strings(spec.name, spec.attributes, spec.capacity_provider)
        state.register(row, spec.resources, strings, reserved_ports=_RESERVED)
    return state


def _placed(
    tasks: Tasks, cluster: Cluster, given: Named, registry: Mapping[str, Any], seed: int
) -> _Placed:
    kinds = tuple(_with_chain(kind, given) for kind in tasks.batch.kinds)
    batch = TaskBatch(kinds, tasks.batch.index)
    state = state_of(cluster)
    decision = Engine(state, stream(seed, "placement"), registry).place(batch)
    return _Placed(given.name, batch, decision, state)


def _with_chain(kind: TaskKind, given: Named) -> TaskKind:
    values = {name: getattr(kind, name) for name in TaskKind.__slots__ if name != "_hash"}
    return TaskKind(**{**values, "strategies": kind.strategies or given.chain})


def _used(state: State, resource: str) -> np.ndarray[Any, Any]:
    column = state.resources.index(resource)
    return np.asarray(state.registered[:, column] - state.remaining[:, column])


def _left(each: _Placed) -> dict[str, float]:
    """Stranded and fragmented, in percent of what is free; NaN where nothing is."""
    if not len(each.batch):  # no mean task could say what it cannot use
        return {
            f"{n}_{k}_pct": math.nan for n in ("cpu", "memory") for k in ("stranded", "fragmented")
        }
    counts = np.bincount(each.batch.index, minlength=len(each.batch.kinds)).tolist()
    kinds = {kind.resources: 0 for kind in each.batch.kinds}
    for kind, count in zip(each.batch.kinds, counts, strict=True):
        kinds[kind.resources] += count
    columns = [each.state.resources.index(name) for name in (CPU, MEMORY)]
    have = each.state.registered[:, columns]
    rows = leftovers(0, (CPU, MEMORY), have, have - each.state.remaining[:, columns], kinds)
    found = {}
    for name, row in zip(("cpu", "memory"), rows, strict=True):
        free = row.offered - row.used or float("nan")
        found[f"{name}_stranded_pct"] = 100 * row.stranded_mean / free
        found[f"{name}_fragmented_pct"] = 100 * row.fragmented / free
    return found
