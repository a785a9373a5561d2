"""stowplan: decide, in simulation and for real, where containers go, the way Amazon ECS does.

`import stowplan as sp` is where to begin: a cluster and tasks as tables, placed by any strategy; a
scenario simulated, its results as tables and plots; proven optima beside them. Each name is
imported when it is first used, so that the import itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stowplan._catalogue import metrics, strategies, types, workloads
    from stowplan._cluster import Cluster, cluster
    from stowplan._journal import Replay, Verification, replay, verify
    from stowplan._optimum import Optimum, Packing, optimize, pack
    from stowplan._place import Placement, place
    from stowplan._register import (
        constraint,
        metric,
        policy,
        predictor,
        register,
        strategy,
        workload,
    )
    from stowplan._results import Journal, Result, Results, results_frame
    from stowplan._scenario import Scenario, load, scenario, task_definition
    from stowplan._simulate import simulate
    from stowplan._tasks import Tasks, tasks
    from stowplan.experiments.loading.own_strategies import OwnStrategyError
    from stowplan.experiments.record.metrics import Metric
    from stowplan.experiments.workloads.protocol import Job
    from stowplan.placement.constraints import Constraint
    from stowplan.placement.errors import PlacementError, SpecError

# The module of each name, below `stowplan`.
_HOMES = {
    "Cluster": "_cluster",
    "Constraint": "placement.constraints",
    "Job": "experiments.workloads.protocol",
    "Journal": "_results",
    "Metric": "experiments.record.metrics",
    "Optimum": "_optimum",
    "OwnStrategyError": "experiments.loading.own_strategies",
    "Packing": "_optimum",
    "Placement": "_place",
    "PlacementError": "placement.errors",
    "Replay": "_journal",
    "Result": "_results",
    "Results": "_results",
    "Scenario": "_scenario",
    "SpecError": "placement.errors",
    "Tasks": "_tasks",
    "Verification": "_journal",
    "cluster": "_cluster",
    "constraint": "_register",
    "load": "_scenario",
    "metric": "_register",
    "metrics": "_catalogue",
    "optimize": "_optimum",
    "pack": "_optimum",
    "place": "_place",
    "policy": "_register",
    "predictor": "_register",
    "register": "_register",
    "replay": "_journal",
    "results_frame": "_results",
    "scenario": "_scenario",
    "simulate": "_simulate",
    "strategies": "_catalogue",
    "strategy": "_register",
    "task_definition": "_scenario",
    "tasks": "_tasks",
    "types": "_catalogue",
    "verify": "_journal",
    "workload": "_register",
    "workloads": "_catalogue",
}

__all__ = [
    "Cluster",
    "Constraint",
    "Job",
    "Journal",
    "Metric",
    "Optimum",
    "OwnStrategyError",
    "Packing",
    "Placement",
    "PlacementError",
    "Replay",
    "Result",
    "Results",
    "Scenario",
    "SpecError",
    "Tasks",
    "Verification",
    "cluster",
    "constraint",
    "load",
    "metric",
    "metrics",
    "optimize",
    "pack",
    "place",
    "policy",
    "predictor",
    "register",
    "replay",
    "results_frame",
    "scenario",
    "simulate",
    "strategies",
    "strategy",
    "task_definition",
    "tasks",
    "types",
    "verify",
    "workload",
    "workloads",
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
