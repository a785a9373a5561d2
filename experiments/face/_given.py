"""Strategies as a notebook gives them: names, chains, files, classes and objects of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stowplan._values import Problems, check
from stowplan.experiments.loading.extensions import load_extensions
from stowplan.experiments.loading.objects import Objects
from stowplan.experiments.loading.own_strategies import strategies_of
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import (
    SERVICE_DEFAULT_STRATEGIES,
    STRATEGIES_MAX,
    PlacementStrategy,
)
from stowplan.placement.scenario.fields import own_strategy, parse_strategy
from stowplan.placement.scenario.words import unknown
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import make_strategy

Chain = tuple[PlacementStrategy, ...]


@dataclass(frozen=True)
class Named:
    """A chain under the name that tables show."""

    name: str
    chain: Chain


def chain_of(given: Any, place: str, objects: Objects, problems: Problems) -> Chain:
    """The chain that was given, checked; what is an object or a file is added to `objects`.

    `given` is a name such as `"binpack:memory"`, several with commas between, `"default"`
    (ECS's own for services), `"mine.py:Mine"`, a class or an object with `keys`, or a list.
    """
    load_extensions()
    if isinstance(given, str) and given.strip() == "default":
        return SERVICE_DEFAULT_STRATEGIES
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",")]
    links = list(given) if isinstance(given, list | tuple) else [given]
    if not 1 <= len(links) <= STRATEGIES_MAX:
        what = f"{len(links)} strategies in a chain, ECS allows 1 to {STRATEGIES_MAX}"
        problems.append((place, what))
    return tuple(
        link for each in links if (link := _link(each, place, objects, problems)) is not None
    )


def _link(given: Any, place: str, objects: Objects, problems: Problems) -> PlacementStrategy | None:
    try:
        if not isinstance(given, str | PlacementStrategy):
            return PlacementStrategy(objects.add(given))
        link = parse_strategy(given)
    except (ValueError, PlacementError) as error:
        problems.append((place, str(error)))
        return None
    if own_strategy(link) and link.type not in objects:
        objects |= strategies_of([(place, given)], Path(), problems)
        objects.folders[link.type] = Path()
    known = {**STRATEGIES, **objects}
    if link.type not in known:
        problems.append((place, unknown("strategy", link.type, known)))
        return None
    try:
        make_strategy(known[link.type], link.field)
    except (ValueError, TypeError) as error:
        problems.append((place, f"{link.type}: {error}"))
    return link


def named_chains(strategy: Any, strategies: Any, objects: Objects) -> list[Named]:
    """The chains of one strategy, of a mapping of name to chain, or of a list of chains.

    Raises:
        SpecError: naming every chain that is wrong, or that both or neither were given.
    """
    problems: Problems = []
    if (strategy is None) == (strategies is None):
        check([("strategy", "give strategy=... or strategies={name: chain}, one of them")])
    if strategies is None:
        pairs = [("", strategy)]
    elif isinstance(strategies, Mapping):
        pairs = [(str(name), chain) for name, chain in strategies.items()]
    elif isinstance(strategies, Iterable) and not isinstance(strategies, str):
        pairs = [("", chain) for chain in strategies]
    else:
        check([("strategies", f"expected a mapping or a list, found {strategies!r}")])
    found: dict[str, Named] = {}
    for name, given in pairs:
        chain = chain_of(given, f"strategy {name or given!r}", objects, problems)
        name = name or (given if isinstance(given, str) else chain_name(chain))
        if name in found:
            problems.append((f"strategy {name}", "is there twice"))
        found[name] = Named(name, chain)
    if not pairs:
        problems.append(("strategies", "there are none"))
    check(problems)
    return list(found.values())


def chain_name(chain: Chain) -> str:
    """How tables call a chain that was given no name: `spread:instanceId,binpack:cpu`."""
    return ",".join(":".join(filter(None, (link.type, link.field))) for link in chain)
