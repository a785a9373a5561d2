"""Strategies out of a user's own files, which chains name as `file.py:Class`."""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
import sys
import traceback
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import Cluster, IntArray
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import TaskKind
from stowplan.placement.outlook import Outlook
from stowplan.placement.scenario.fields import own_strategy, parse_strategy
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import (
    DeviceChooser,
    Planner,
    Questions,
    ReadsField,
    Strategy,
    StrategyFactory,
    make_strategy,
)
from stowplan.placement.strategies.row_score import RowScore

Problems = list[tuple[str, str]]
# Top-level packages of versions before 0.2.
_FORMER = ("placement", "sim", "realdriver", "experiments")
# ... and where that is now what strategies need of `placement`.
_MOVED = {
    "cluster": "cluster.cluster",
    "engine": "engine.engine",
    "columns": "cluster.arrays",
    "strategies": "strategies.protocol",
}


def strategies_of(
    chains: Iterable[tuple[str, object]], folder: Path, problems: Problems
) -> dict[str, StrategyFactory]:
    """The strategies that chains name as `file.py:Class`, by that name; each is loaded once.

    Args:
        chains: (place, chain) as the file has them, not checked yet.
        folder: what the files are relative to.
        problems: a strategy that does not load is added here, and a stand-in returned.
    """
    own: dict[str, StrategyFactory] = {}
    for place, chain in chains:
        for item in chain if isinstance(chain, list) else [chain]:
            if isinstance(item, str) and item:
                strategy = parse_strategy(item)
                if own_strategy(strategy) and strategy.type not in own:
                    own[strategy.type] = _load(strategy.type, place, folder, problems)
    return own


def _load(reference: str, place: str, folder: Path, problems: Problems) -> StrategyFactory:
    made = attribute_of(reference, place, folder, problems)
    if made is None:
        return STRATEGIES["random"]
    file = folder / reference.rpartition(":")[0]
    return _factory(made, reference, file)


def attribute_of(reference: str, place: str, folder: Path, problems: Problems) -> Any:
    """What `file.py:Name` names; what is wrong is added to `problems`, and None returned."""
    name, _, attribute = reference.rpartition(":")
    file = folder / name
    if not file.is_file():
        problems.append((place, f"no file {file}"))
        return None
    old = _old_imports(file)
    if old:
        problems.append((place, f"{file}: {old}"))
        return None
    try:
        module = _module(file)
    # The user sees any error that the user's own file raises.
    except Exception as error:
        problems.append((place, f"{_where(error, file)}: {type(error).__name__}: {error}"))
        return None
    made = getattr(module, attribute, None)
    if not callable(made):
        problems.append((place, f"{file} has no class {attribute}"))
        return None
    return made


def as_factory(name: str, strategy: Any) -> StrategyFactory:
    """A factory of a strategy that is an object of this process: a class, or one ready made.

    An object is copied for each use, so what it remembers of one run is unknown to the next. What
    it raises or answers wrongly is an `OwnStrategyError` that says where.

    Raises:
        PlacementError: it is neither a class nor an object with a method `keys`.
    """
    if not callable(getattr(strategy, "keys", None)) and not callable(strategy):
        what = "is neither a class nor an object with keys(task, cluster, candidates, rng)"
        raise PlacementError(f"strategy {name}: {strategy!r} {what}")
    code = getattr(getattr(strategy, "keys", None), "__code__", None)
    file = Path(code.co_filename if code is not None else "?")
    said = inspect.getdoc(strategy)
    if isinstance(strategy, type) or not hasattr(strategy, "keys"):
        made = _factory(strategy, name, file)
        made.__doc__ = said
        return made

    def copied(field: str | None = None) -> Any:
        if field:
            raise ValueError(f"an object takes no field, found {field!r}: give its class a name")
        return copy.deepcopy(strategy)

    made = _factory(copied, name, file)
    made.__doc__ = said
    return made


def _old_imports(file: Path) -> str:
    """What to say of a file that imports by the names before `stowplan`; "" for any other.

    It is looked for before the file runs: beside a checkout the old names would be found, and load
    a second copy of everything.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ""  # said better by running it
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in names:
            package, _, rest = name.partition(".")
            if package in _FORMER:
                now = ".".join(filter(None, ("stowplan", package, _MOVED.get(rest, rest))))
                return f"{name} is {now} now: import it by that name"
    return ""


def _module(file: Path) -> ModuleType:
    """The file as a module, run afresh; its name tells it from other files of the same name."""
    name = f"stowplan_own_{file.stem}_{zlib.crc32(str(file.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses look their own module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _where(error: Exception, file: Path) -> str:
    places = {file, file.absolute()}
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) in places]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    return f"{file}:{lines[-1]}" if lines else str(file)


class OwnStrategyError(PlacementError):
    """A user's strategy raised an error, or returned something that is not keys."""


class _Watched:
    """A user's strategy; its errors and wrong answers become one error that says where."""

    def __init__(self, inner: Any, reference: str, file: Path) -> None:
        self._inner, self._reference, self._file = inner, reference, file

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> NDArray[Any]:
        """The keys of the user's strategy, a number for each candidate."""
        keys = np.asarray(self._ask("keys", task, cluster, candidates, rng))
        if keys.shape != candidates.shape or keys.dtype.kind not in "iufb" or (keys != keys).any():
            what = f"expected {len(candidates)} numbers, found {keys.dtype} of shape {keys.shape}"
            raise OwnStrategyError(f"strategy {self._reference}: keys: {what}, NaN not allowed")
        return keys

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._inner, method)(*arguments)
        except Exception as error:
            what = f"{_where(error, self._file)}: {type(error).__name__}: {error}"
            raise OwnStrategyError(f"strategy {self._reference}: {what}") from error


class _Chooses:
    """What a strategy has that also chooses devices."""

    _ask: Callable[..., Any]

    def devices(
        self, task: TaskKind, cluster: Cluster, row: int, rng: Generator
    ) -> tuple[int, ...]:
        """The devices that the user's strategy chose."""
        return tuple(self._ask("devices", task, cluster, row, rng))


class _Plans:
    """What a strategy has that also looks ahead."""

    _ask: Callable[..., Any]

    def look_ahead(self, now_ms: int, outlook: Outlook, engine: Questions) -> None:
        """See `Planner`."""
        self._ask("look_ahead", now_ms, outlook, engine)


class _Reads:
    """What a strategy has whose field names a resource or an attribute."""

    _ask: Callable[..., Any]

    def missing(self, cluster: Cluster) -> str | None:
        """See `ReadsField`."""
        found: str | None = self._ask("missing", cluster)
        return found


class _Scores:
    """What a strategy has that is a score of one instance, which kernels may call."""

    _inner: RowScore

    @property
    def row_score(self) -> RowScore:
        """The strategy itself: nothing of it can go wrong in machine code that would be told."""
        return self._inner


# The engine asks a strategy what it is, so the one around it must be the same.
_ALSO: dict[Any, type] = {
    DeviceChooser: _Chooses,
    Planner: _Plans,
    ReadsField: _Reads,
    RowScore: _Scores,
}


@cache
def _watched(parts: tuple[type, ...]) -> Any:
    return type("_Watched", (*parts, _Watched), {"__doc__": _Watched.__doc__})


def _factory(made: Any, reference: str, file: Path) -> StrategyFactory:
    def make(field: str | None) -> Strategy:
        try:
            strategy = make_strategy(made, field)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if not callable(getattr(strategy, "keys", None)):
            raise ValueError("has no method keys(task, cluster, candidates, rng)")
        parts = tuple(part for also, part in _ALSO.items() if isinstance(strategy, also))
        watched: Strategy = _watched(parts)(strategy, reference, file)
        return watched

    return make
