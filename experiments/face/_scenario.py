"""Scenarios as a notebook says them: tables, dicts and objects, with the checks that files get."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stowplan._cluster import Cluster
from stowplan._given import chain_of
from stowplan._values import Problems, check, whole
from stowplan.experiments.loading.load import Loaded, check_scenario, load_scenario
from stowplan.experiments.loading.objects import Objects
from stowplan.placement.errors import SpecError
from stowplan.placement.model import PlacementStrategy
from stowplan.placement.scenario import scenario as tables
from stowplan.placement.scenario.checks import scenario_problems
from stowplan.placement.strategies import STRATEGIES


@dataclass(frozen=True, repr=False)
class Scenario:
    """A checked scenario: fleet, tasks over time, strategies, faults; made by `scenario` or `load`.

    Attributes
    ----------
    loaded : Loaded
        What the toolkit's own functions take: its `scenario` has every table, times in ms.
    """

    loaded: Loaded

    @property
    def tables(self) -> tables.Scenario:
        """The scenario's tables, as the reference of scenario files describes them."""
        return self.loaded.scenario

    @property
    def name(self) -> str:
        """Its name."""
        return self.tables.name

    @property
    def strategies(self) -> list[str]:
        """The names of its strategies; `simulate` takes the first where none is said."""
        return list(self.tables.strategies)

    def __repr__(self) -> str:
        of = self.tables
        instances = sum(group.count for group in of.fleet)
        parts = [
            f"{of.duration / 60_000:g} min on {instances} instances",
            f"{len(of.service)} services, {len(of.workload)} workloads",
            f"strategies {', '.join(of.strategies)}",
        ]
        for what in ("layouts", "faults"):
            if len(getattr(of, what)) > 1:
                parts.append(f"{what} {', '.join(getattr(of, what))}")
        return f"<Scenario {of.name}: {'; '.join(parts)}>"


def load(path: str | Path, *, buys: bool = False) -> Scenario:
    """Read and check a scenario file.

    Parameters
    ----------
    path : str or Path
        A TOML file; paths in it are relative to it. A bare name, such as `"small"`, is one that
        ships with stowplan, where no such file is here.
    buys : bool
        Instances are to be bought (`optimize`), so that it may go without a fleet.

    Returns
    -------
    Scenario

    Raises
    ------
    SpecError
        Naming every problem with its place in the file.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.load("small").strategies
    ['ecs-default', 'binpack', 'spread-zone-binpack']
    """
    return Scenario(load_scenario(Path(path), buys=buys))


def scenario(
    fleet: Cluster | Sequence[Any] = (),
    *,
    duration: str | float,
    name: str = "scenario",
    strategies: Mapping[str, Any] | Sequence[Any] | None = None,
    folder: str | Path = ".",
    buys: bool = False,
    **fields: Any,
) -> Scenario:
    """A scenario out of objects, without a file, with the checks that a file gets.

    Parameters
    ----------
    fleet : Cluster or list of dict
        What `cluster` makes, or rows as in `[[fleet]]`.
    duration : str or float
        `"10m"`, `"1.5h"`, `"2d"`, or seconds.
    name : str
        What tables and reports call it.
    strategies : mapping or list, optional
        Chains by name, as `place` takes them: names, lists, `"mine.py:Mine"`, classes, objects.
        ECS's default where it is left out.
    folder : str or Path
        What paths of traces, task definitions and strategies are relative to.
    buys : bool
        Instances are to be bought (`optimize`), so that it may go without a fleet.
    **fields
        Every other table of a scenario file, by its name there, as dicts and lists, or as the
        objects of `stowplan.placement.scenario`: `task_definitions` (name -> what
        `task_definition` makes, RegisterTaskDefinition's input, or the path of such a file),
        `service`, `workload`, `faults`, `layouts`, `seed`, `models`, `capacity_provider`, ...
        (the reference of scenario files has them all).

    Returns
    -------
    Scenario

    Raises
    ------
    SpecError
        Naming every problem with its place, such as `scenario: service[0].task_definition`.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.scenario(
    ...     sp.cluster({"m5.large": 3}),
    ...     duration="10m",
    ...     task_definitions={"web": sp.task_definition("web", cpu=256, memory=512)},
    ...     service=[{"name": "web", "task_definition": "web", "desired_count": 6}],
    ...     strategies={"packed": "binpack:memory"},
    ... )
    <Scenario scenario: 10 min on 3 instances; 1 services, 0 workloads; strategies packed>
    """
    # Copied, since checking fills in what files hold; what is frozen stays the same object.
    document: dict[str, Any] = copy.deepcopy({"name": name, "duration": duration, **fields})
    document.setdefault("task_definitions", {})
    if isinstance(fleet, Cluster):
        document["fleet"] = list(fleet.groups)
        document["instance_types"] = {**fleet.types, **document.get("instance_types", {})}
    else:
        document["fleet"] = list(fleet)
    objects = Objects()
    if strategies is not None:
        pairs = _named(strategies)
        document["strategies"] = {n: _plain(chain, objects) for n, chain in pairs.items()}
    for key in ("service", "workload"):
        for table in document.get(key, ()):
            if isinstance(table, dict) and "strategy" in table:
                table["strategy"] = _plain(table["strategy"], objects)
    checked = check_scenario(document, Path(folder) / name, None, buys, objects)
    objects.absorb(checked.own_strategies)  # those out of files, too
    return Scenario(Loaded(checked.scenario, checked.path, objects))


def task_definition(
    family: str,
    *,
    cpu: int,
    memory: int,
    ports: int | Sequence[int] = (),
    image: str = "",
    gpus: int = 0,
    **fields: Any,
) -> dict[str, Any]:
    """The task definition of a task with one container, for `scenario`.

    Parameters
    ----------
    family : str
        Its name.
    cpu, memory : int
        What a task reserves: units (1024 are a vCPU) and MiB.
    ports : int or sequence of int
        Host ports that it binds; a dynamic one needs none.
    image : str
        The container image; `family` where it is left out. Simulations pull none unless the
        scenario has `images`.
    gpus : int
        GPUs that it reserves.
    **fields
        Further fields of RegisterTaskDefinition's input, by their names there.

    Returns
    -------
    dict
        RegisterTaskDefinition's input.

    Raises
    ------
    SpecError
        An amount is no whole number.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.task_definition("web", cpu=256, memory=512)["containerDefinitions"][0]["cpu"]
    256
    """
    problems: Problems = []
    container: dict[str, Any] = {
        "name": family,
        "image": image or family,
        "cpu": whole(cpu, f"{family}: cpu", problems),
        "memory": whole(memory, f"{family}: memory", problems, 1),
        "essential": True,
    }
    listed = ports if isinstance(ports, Iterable) else [ports]
    numbers = [whole(port, f"{family}: ports", problems, 1) for port in listed]
    if numbers:
        container["portMappings"] = [{"containerPort": p, "hostPort": p} for p in numbers]
    if whole(gpus, f"{family}: gpus", problems):
        container["resourceRequirements"] = [{"type": "GPU", "value": str(gpus)}]
    check(problems)
    return {"family": family, "containerDefinitions": [container], **fields}


def with_strategies(given: Scenario, strategy: Any, strategies: Any) -> tuple[Scenario, list[str]]:
    """The scenario with strategies to run added, and their names.

    A text that names one of the scenario's own is that one. Neither given: its first.

    Raises:
        SpecError: naming every strategy that is wrong.
    """
    have = given.tables.strategies
    if strategy is None and strategies is None:
        return given, given.strategies[:1]
    if strategy is not None and strategies is not None:
        raise SpecError([("strategy", "give strategy=... or strategies=..., not both")])
    if isinstance(strategies, str) and strategies == "all":
        return given, given.strategies
    pairs = _named([strategy]) if strategies is None else _named(strategies)
    objects = Objects()
    problems: Problems = []
    objects.absorb(given.loaded.own_strategies)
    chains: dict[str, tuple[PlacementStrategy, ...]] = {}
    for name, chain in pairs.items():
        if isinstance(chain, str) and chain in have:
            chains[name] = have[chain]
        elif chain != "default":
            chains[name] = chain_of(chain, f"strategy {name}", objects, problems)
        else:
            chains[name] = ()
    check(problems)
    added = given.tables.model_copy(update={"strategies": {**have, **chains}})
    found = scenario_problems(added, {**STRATEGIES, **objects}, {})
    check([(at, what) for at, what in found if at.startswith("strategies.")])
    return Scenario(Loaded(added, given.loaded.path, objects)), list(chains)


def _named(strategies: Any) -> dict[str, Any]:
    """Chains by name; those of a list by what they say, or by the name of their class."""
    if isinstance(strategies, Mapping):
        return {str(name): chain for name, chain in strategies.items()}
    if isinstance(strategies, str) or not isinstance(strategies, Sequence):
        raise SpecError([("strategies", f"expected a mapping or a list, found {strategies!r}")])
    return {_name(chain): chain for chain in strategies}


def _name(chain: Any) -> str:
    if isinstance(chain, str):
        return chain
    if isinstance(chain, PlacementStrategy):
        return ":".join(filter(None, (chain.type, chain.field)))
    if isinstance(chain, list | tuple):
        return ",".join(map(_name, chain))
    return str(getattr(chain, "__name__", type(chain).__name__))


def _plain(chain: Any, objects: Objects) -> Any:
    """A chain as a file would have it: what is no text is named, and added to `objects`."""
    if isinstance(chain, str):
        return chain.split(",") if "," in chain else chain
    if isinstance(chain, list | tuple):
        return [_plain(each, objects) for each in chain]
    return chain if isinstance(chain, PlacementStrategy) else objects.add(chain)
