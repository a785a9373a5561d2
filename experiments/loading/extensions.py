"""What other packages and files add to the registries: entry points, and `file.py:Name`.

Registries live in one process. Each process that loads a scenario, worker processes included, asks
the installed packages here, so a command line knows what a notebook knows.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from stowplan.experiments.loading.own_strategies import as_factory, attribute_of
from stowplan.experiments.workloads import WORKLOADS
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.registry import Registry
from stowplan.placement.strategies import STRATEGIES

# Entry point group, without "stowplan.": its registry. Rooms above add theirs when they ask.
REGISTRIES: dict[str, Registry[Any]] = {
    "strategies": STRATEGIES,
    "constraints": CONSTRAINTS,
    "workloads": WORKLOADS,
    "predictors": EXPECTED,
}

_asked: set[str] = set()


def load_extensions() -> None:
    """Add what installed packages offer for a scenario, once a process.

    A package offers it by an entry point of the group `stowplan.strategies`, `.constraints`,
    `.workloads` or `.predictors`, whose name is the name in chains and scenario files.

    Raises:
        SpecError: naming every entry point that does not load.
    """
    for group, registry in REGISTRIES.items():
        add_entry_points(group, registry)


def add_entry_points(
    group: str, registry: Registry[Any], adapted: Callable[[str, Any], Any] | None = None
) -> None:
    """Add the entry points of the group `stowplan.GROUP` to a registry, once a process.

    Args:
        adapted: makes of (name, object) what the registry holds; None: as `fit` does.
    Raises:
        SpecError: naming every entry point that does not load or whose name ships with stowplan.
    """
    if group in _asked:
        return
    problems = []
    for point in entry_points(group=f"stowplan.{group}"):
        try:
            thing = point.load()
            registry[point.name] = (adapted or fit(registry))(point.name, thing)
        except PlacementError as error:
            problems.append((_place(point), str(error)))
        # Whatever the package raises as it is imported is its user's to see.
        except Exception as error:
            problems.append((_place(point), f"{type(error).__name__}: {error}"))
    if problems:
        raise SpecError(problems)
    _asked.add(group)


def _place(point: EntryPoint) -> str:
    return f"entry point {point.group}: {point.name} = {point.value}"


def fit(registry: Registry[Any]) -> Callable[[str, Any], Any]:
    """Makes of (name, object) what a registry holds: strategies are watched, others as they are."""
    return as_factory if registry is STRATEGIES else lambda name, thing: thing


def from_file(reference: str, folder: Path) -> Any:
    """What `file.py:Name` names, relative to `folder`.

    Raises:
        SpecError: no such file, it raises as it runs, or it has no such name.
    """
    problems: list[tuple[str, str]] = []
    found = attribute_of(reference, reference, folder, problems)
    if problems:
        raise SpecError(problems)
    return found
