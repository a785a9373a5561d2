"""What a run depends on, as one name: the same name means that the run need not be made again."""

from __future__ import annotations

import hashlib
import inspect
import json
import pickle
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.runs.travel import packed
from stowplan.experiments.workloads import WORKLOADS
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.registry import Registry
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.strategies import STRATEGIES

FORMAT = 1
# What is for people, or for other commands, changes no run.
_NOT_OF_RUNS = ("name", "question", "seed", "optimize", "prices")
_BY_NAME = ("strategies", "settings", "layouts", "faults")
# The rooms whose code decides how a run goes and what is measured.
_CODE = (
    *("placement", "sim", "experiments/workloads", "experiments/record", "experiments/loading"),
    "experiments/runs",
)
_HOUSE = Path(__file__).resolve().parents[3]
_REGISTRIES: Mapping[str, Registry[Any]] = {
    "strategy": STRATEGIES,
    "constraint": CONSTRAINTS,
    "workload": WORKLOADS,
    "predictor": EXPECTED,
    "metric": METRICS,
}


class Order(NamedTuple):
    """A run to make: of which scenario, how, with which seed, from when measured."""

    variant: int
    run: Run
    seed: int
    since_ms: int = 0
    keep: tuple[str, ...] = ()


class Names:
    """Names of runs: each a SHA-256 of all that the run depends on.

    That is the scenario as far as the run uses it, strategies and other parts of the user's own by
    their source, trace files by their content, seed, warm-up, and the code of this version. Keys
    that only people read change nothing, and neither do strategies that the run does not use.
    """

    def __init__(self, variants: tuple[Loaded, ...]) -> None:
        self._variants = variants
        self._plain: dict[int, dict[str, Any]] = {}
        self._own = _own_parts(variants)

    def of(self, order: Order) -> str:
        """The name of a run, 64 hexadecimal digits; which tables are kept is no part of it."""
        tables = self._tables(order.variant)
        run = order.run
        chain = self._variants[order.variant].scenario.strategies[run.strategy]
        own = {
            key: digest
            for key, digest in self._own.items()
            if key[0] != "strategy" or key[1] in _types(tables, [each.type for each in chain])
        }
        content = {
            "format": FORMAT,
            "code": code_digest(),
            "numpy": np.__version__,
            "scenario": {name: tables[name] for name in tables if name not in _BY_NAME},
            "strategy": tables["strategies"][run.strategy],
            "settings": tables["settings"].get(run.strategy),
            "layout": tables["layouts"][run.layout],
            "faults": tables["faults"][run.faults],
            "ties": [run.ties, run.draw],
            "seed": order.seed,
            "since_ms": order.since_ms,
            "own": sorted([*key, digest] for key, digest in own.items()),
        }
        return _sha(json.dumps(content, sort_keys=True, default=str).encode())

    def _tables(self, variant: int) -> dict[str, Any]:
        """The tables of a scenario as plain values, files by what is in them."""
        if variant not in self._plain:
            loaded = self._variants[variant]
            tables = loaded.scenario.model_dump(mode="json", exclude=set(_NOT_OF_RUNS))
            for table in tables["workload"]:
                if table.get("file"):
                    table["file"] = file_digest(loaded.path.parent / table["file"])
            self._plain[variant] = tables
        return self._plain[variant]


def _types(tables: Mapping[str, Any], chain: list[str]) -> set[str]:
    """The strategies of a run's chain, and those that services and workloads name themselves."""
    used = set(chain)
    for key in ("service", "workload"):
        for table in tables[key]:
            used |= {link["type"] for link in table.get("strategy") or ()}
    return used


def _own_parts(variants: tuple[Loaded, ...]) -> dict[tuple[str, str], str]:
    """(kind, name) -> digest, of all that is not stowplan's own."""
    package = packed(variants)
    own = {("strategy", name): source_digest(thing) for name, thing in package.objects.items()}
    for name, folder in package.files:
        own["strategy", name] = file_digest(folder / name.rpartition(":")[0])
    for kind, registry in _REGISTRIES.items():
        for name in registry.added:
            own[kind, name] = source_digest(registry[name])
    for group in ("strategies", "constraints", "workloads", "predictors", "metrics"):
        for point in entry_points(group=f"stowplan.{group}"):
            version = point.dist.version if point.dist is not None else ""
            own["entry point", f"{group}:{point.name}"] = f"{point.value} {version}"
    return own


def source_digest(thing: Any) -> str:
    """A digest of the source of a class, a function or an object, and of what the object holds.

    Where neither can be had, one that never comes again: a run with it is not taken for known.
    """
    inner = getattr(thing, "of", thing)  # a metric is known by its function
    inner = inspect.unwrap(inner) if callable(inner) else inner
    parts = []
    try:
        named = inspect.isclass(inner) or inspect.isroutine(inner)
        source = inspect.getsource(inner if named else type(inner))
        parts.append(source.encode())
        for cell in getattr(inner, "__closure__", None) or ():
            parts.append(_held(cell.cell_contents))
        if not named:
            parts.append(_held(inner))
    # What has no source, or holds what cannot be written, is known by no name.
    except Exception:
        return uuid4().hex
    return _sha(b"\0".join(parts))


def _held(value: Any) -> bytes:
    if inspect.isclass(value) or inspect.isroutine(value):
        return source_digest(value).encode()
    return pickle.dumps(getattr(value, "__dict__", value))


@cache
def code_digest() -> str:
    """A digest of the code that decides how runs go."""
    whole = hashlib.sha256()
    for room in _CODE:
        for path in sorted((_HOUSE / room).rglob("*.py")):
            whole.update(path.relative_to(_HOUSE).as_posix().encode() + b"\0")
            whole.update(path.read_bytes())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, "" where there is none any more."""
    return _file_digest(str(path), *_stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return found.st_size, found.st_mtime_ns


@cache
def _file_digest(path: str, size: int, _: int) -> str:
    if size < 0:
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
