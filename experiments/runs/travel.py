"""Scenarios on their way to other processes: what they need is sent, or what cannot go is named."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stowplan.experiments.loading.extensions import load_extensions
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.loading.objects import Objects
from stowplan.experiments.loading.own_strategies import as_factory, strategies_of
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.strategies.protocol import StrategyFactory

# Makes known there what was registered here: a function that can be imported, and its arguments.
Setup = tuple[Callable[..., None], tuple[Any, ...]]


@dataclass(frozen=True)
class Package:
    """Checked scenarios as they travel; `unpacked` makes them again, strategies in files included.

    Attributes:
        tables: of each scenario, with the path that it goes by.
        objects: strategies that are classes or objects, by the names that chains call them.
        files: strategies in files: (name, folder that it is relative to).
        setups: what is to be made known first, in this order.
    """

    tables: tuple[tuple[Scenario, Path], ...]
    objects: Mapping[str, Any]
    files: tuple[tuple[str, Path], ...]
    setups: tuple[Setup, ...] = ()

    def unpacked(self) -> list[Loaded]:
        """The scenarios, in a process of their own.

        Raises:
            SpecError: naming every strategy in a file that does not load there.
        """
        load_extensions()
        for function, arguments in self.setups:
            function(*arguments)
        own = {name: as_factory(name, thing) for name, thing in self.objects.items()}
        problems: list[tuple[str, str]] = []
        for name, folder in self.files:
            own |= strategies_of([(name, name)], folder, problems)
        if problems:
            raise SpecError(problems)
        return [Loaded(_interned(tables), path, own) for tables, path in self.tables]


def packed(scenarios: Sequence[Loaded], setups: Sequence[Setup] = ()) -> Package:
    """Scenarios that share their strategies, for another process."""
    objects: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for loaded in scenarios:
        given, folders = _behind(loaded.own_strategies)
        objects |= given
        files |= {
            name: Path(folders.get(name, loaded.path.parent)).resolve()
            for name in loaded.own_strategies
            if name not in given
        }
    tables = tuple((each.scenario, each.path) for each in scenarios)
    return Package(tables, objects, tuple(files.items()), tuple(setups))


def _behind(own: Mapping[str, StrategyFactory]) -> tuple[Mapping[str, Any], Mapping[str, Path]]:
    return (own.given, own.folders) if isinstance(own, Objects) else ({}, {})


def stays(things: Mapping[str, Any]) -> list[str]:
    """The names of what is of the notebook or script itself, which no other process can import."""
    return [name for name, thing in things.items() if not _travels(thing)]


def _travels(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or type(thing).__module__
    if isinstance(thing, str):
        return True
    if module == "__main__" or type(thing).__module__ == "__main__":
        return False
    try:
        pickle.dumps(thing)
    # What an object raises when it is pickled is up to its class.
    except Exception:
        return False
    return True


def _interned(value: Any) -> Any:
    """The same tables with the strings that this process has.

    Journals leave out what is the default, which their encoder tells by identity: with other
    strings they would say the same in other bytes.
    """
    if isinstance(value, str):
        return sys.intern(value) if type(value) is str else value
    if isinstance(value, tuple):
        return tuple(map(_interned, value)) if type(value) is tuple else value
    if isinstance(value, dict):
        return {name: _interned(each) for name, each in value.items()}
    if isinstance(value, Table):
        return value.model_copy(update={name: _interned(each) for name, each in value})
    return value
