"""stowplan: decide, in simulation and for real, where containers go, the way Amazon ECS does.

`import stowplan as sp` is where to begin: a cluster and tasks as tables, placed by any strategy; a
scenario simulated, its results as tables and plots; proven optima beside them. Each name is
imported when it is first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stowplan._cluster import Cluster, cluster
    from stowplan._place import Placement, place
    from stowplan._results import Journal, Result, Results, results_frame
    from stowplan._scenario import Scenario, load, scenario, task_definition
    from stowplan._simulate import simulate
    from stowplan._tasks import Tasks, tasks
    from stowplan.placement.errors import SpecError

# The file of each name; those that do not begin with "_" are of the rooms below.
_HOMES = {
    "Cluster": "_cluster",
    "cluster": "_cluster",
    "Placement": "_place",
    "place": "_place",
    "Tasks": "_tasks",
    "tasks": "_tasks",
    "SpecError": "placement.errors",
    "Journal": "_results",
    "Result": "_results",
    "Results": "_results",
    "results_frame": "_results",
    "Scenario": "_scenario",
    "load": "_scenario",
    "scenario": "_scenario",
    "task_definition": "_scenario",
    "simulate": "_simulate",
}

__all__ = [
    "Cluster",
    "Journal",
    "Placement",
    "Result",
    "Results",
    "Scenario",
    "SpecError",
    "Tasks",
    "cluster",
    "load",
    "place",
    "results_frame",
    "scenario",
    "simulate",
    "task_definition",
    "tasks",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'stowplan' has no attribute {name!r}")
    value = getattr(import_module(f"stowplan.{home}"), name)
    globals()[name] = value  # the next time nobody asks here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
