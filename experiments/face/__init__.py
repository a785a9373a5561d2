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
    from stowplan._gym import gym
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
    from stowplan._sweep import Experiment, load_experiment, sweep
    from stowplan._tasks import Tasks, tasks
    from stowplan.experiments.loading.own_strategies import OwnStrategyError
    from stowplan.experiments.record.metrics import Metric
    from stowplan.experiments.workloads.protocol import Job
    from stowplan.placement.constraints import Constraint
    from stowplan.placement.errors import PlacementError, SpecError
    from stowplan.placement.strategies.row_score import RowScore

# The module of each name.
_HOMES = {
    "Cluster": "stowplan._cluster",
    "Constraint": "stowplan.placement.constraints",
    "Experiment": "stowplan._sweep",
    "Job": "stowplan.experiments.workloads.protocol",
    "Journal": "stowplan._results",
    "Metric": "stowplan.experiments.record.metrics",
    "Optimum": "stowplan._optimum",
    "OwnStrategyError": "stowplan.experiments.loading.own_strategies",
    "Packing": "stowplan._optimum",
    "Placement": "stowplan._place",
    "PlacementError": "stowplan.placement.errors",
    "Replay": "stowplan._journal",
    "Result": "stowplan._results",
    "Results": "stowplan._results",
    "Scenario": "stowplan._scenario",
    "RowScore": "stowplan.placement.strategies.row_score",
    "SpecError": "stowplan.placement.errors",
    "Tasks": "stowplan._tasks",
    "Verification": "stowplan._journal",
    "cluster": "stowplan._cluster",
    "constraint": "stowplan._register",
    "gym": "stowplan._gym",
    "load": "stowplan._scenario",
    "load_experiment": "stowplan._sweep",
    "metric": "stowplan._register",
    "metrics": "stowplan._catalogue",
    "optimize": "stowplan._optimum",
    "pack": "stowplan._optimum",
    "place": "stowplan._place",
    "policy": "stowplan._register",
    "predictor": "stowplan._register",
    "register": "stowplan._register",
    "replay": "stowplan._journal",
    "results_frame": "stowplan._results",
    "scenario": "stowplan._scenario",
    "simulate": "stowplan._simulate",
    "strategies": "stowplan._catalogue",
    "strategy": "stowplan._register",
    "sweep": "stowplan._sweep",
    "task_definition": "stowplan._scenario",
    "tasks": "stowplan._tasks",
    "types": "stowplan._catalogue",
    "verify": "stowplan._journal",
    "workload": "stowplan._register",
    "workloads": "stowplan._catalogue",
}

__all__ = [
    "Cluster",
    "Constraint",
    "Experiment",
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
    "RowScore",
    "Scenario",
    "SpecError",
    "Tasks",
    "Verification",
    "cluster",
    "constraint",
    "gym",
    "load",
    "load_experiment",
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
    "sweep",
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
    value = getattr(import_module(home), name)
    globals()[name] = value  # the next time nobody asks here
    return value


def __dir__() -> list[str]:
    # What this file itself imports is no name of the face.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
