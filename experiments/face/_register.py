"""One way to add strategies, constraints, workloads, predictors, metrics and policies of your own.

Under a name, it is known wherever that name may stand: in chains, in scenario files, in tables. It
lasts as long as the process. What a file or an installed package offers is known to the command
line and its worker processes as well: name `mine.py:Mine` in a chain, or give the package an entry
point of the group `stowplan.strategies` (`.constraints`, `.workloads`, `.predictors`, `.metrics`,
`.policies`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.random import Generator

from stowplan.experiments.loading.extensions import fit, from_file
from stowplan.experiments.record.metrics import METRICS, as_metric
from stowplan.experiments.studies.openb import POLICIES
from stowplan.experiments.workloads import WORKLOADS
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.registry import Registry
from stowplan.placement.scenario.scenario import WorkloadTable
from stowplan.placement.scenario.words import unknown
from stowplan.placement.strategies import STRATEGIES

Thing = TypeVar("Thing")

REGISTRIES: dict[str, Registry[Any]] = {
    "strategy": STRATEGIES,
    "constraint": CONSTRAINTS,
    "workload": WORKLOADS,
    "predictor": EXPECTED,
    "metric": METRICS,
    "policy": POLICIES,
}


# What was registered in this process, as it was given: worker processes are told the same.
GIVEN: dict[tuple[str, str], tuple[Any, dict[str, str]]] = {}


def register(kind: str, name: str, thing: Any, **about: str) -> Any:
    """Add something of your own under a name, beside what ships.

    Parameters
    ----------
    kind : str
        What it is, and so what `thing` has to be:

        - `strategy`: a class, made with the field of `NAME:FIELD` if there is one, or an object,
          copied for each use, with `keys(task, cluster, candidates, rng)` -> a number for each
          candidate, the smallest wins
        - `constraint`: a class derived from `Constraint`, made with the expression
        - `workload`: a function `(rng)` or `(rng, table)` that yields `Job` in order of time, or
          a class with `options` and `jobs(rng)`
        - `predictor`: a class or function without arguments that makes a function: `Job` -> ms
          that it is expected to run, or None; named by a workload's `expected`
        - `metric`: a function of the run's `Recorder` that gives a number or None, or a `Metric`
        - `policy`: a function of what may be known of OpenB's workload that makes a strategy

    name : str
        What chains, scenario files and tables call it; one that ships cannot be taken.
    thing : object, or str
        As above, or `"mine.py:Mine"`, relative to the working directory.
    **about
        Of a metric: `unit`, `better` (`"more"`, `"less"` or nothing) and `about`, a sentence.

    Returns
    -------
    object
        `thing`, so that `strategy(NAME)`, `metric(NAME)` and so on can be decorators.

    Raises
    ------
    SpecError
        No such kind, a name that ships, a file that does not load, something of another shape.

    Notes
    -----
    A name of your own may be given again, and then means the new thing.

    Examples
    --------
    >>> import stowplan as sp
    >>> @sp.strategy("oldest")
    ... class Oldest:
    ...     def keys(self, task, cluster, candidates, rng):
    ...         return candidates
    >>> web = sp.tasks(cpu=512, memory=512, count=3)
    >>> sp.place(web, sp.cluster({"m5.large": 2}), "oldest").summary["instances_used"].item()
    1
    >>> _ = sp.register("metric", "tasks_started", lambda run: run.totals.started, unit="")
    >>> bool(sp.simulate(sp.load("small")).metrics["tasks_started"] > 900)
    True
    """
    if kind not in REGISTRIES:
        raise SpecError([("kind", unknown("kind", kind, REGISTRIES))])
    found = from_file(thing, Path()) if isinstance(thing, str) else thing
    try:
        if about and kind != "metric":
            raise PlacementError(f"{', '.join(about)}: is for metrics alone")
        REGISTRIES[kind][name] = _fit(kind, name, found, about)
        GIVEN[kind, name] = thing, about
    except PlacementError as error:
        raise SpecError([(f"{kind} {name}", str(error))]) from error
    return thing


def register_all(given: Mapping[tuple[str, str], tuple[Any, dict[str, str]]]) -> None:
    """Add what another process was given, as its `GIVEN` has it."""
    for (kind, name), (thing, about) in given.items():
        register(kind, name, thing, **about)


def _fit(kind: str, name: str, thing: Any, about: dict[str, str]) -> Any:
    """What the registry holds. Raises PlacementError where the thing has another shape."""
    if kind == "metric":
        return as_metric(name, thing, **about)
    if kind == "strategy":
        return fit(STRATEGIES)(name, thing)
    if not callable(thing):
        raise PlacementError(f"{thing!r} is neither a class nor a function")
    if kind == "workload" and not hasattr(thing, "options"):
        return _function_workload(thing)
    return thing


def _function_workload(function: Callable[..., Iterator[Job]]) -> Any:
    """A kind of workload out of a function of (rng) or (rng, table)."""
    takes_table = len(inspect.signature(function).parameters) > 1

    class Kind:
        """Made of a table of a scenario; it has no options."""

        options = NoOptions

        def __init__(self, table: WorkloadTable) -> None:
            NoOptions.model_validate(table.options)
            self.table = table

        def jobs(self, rng: Generator) -> Iterator[Job]:
            """What the function yields, until the table's `until`."""
            until_ms = self.table.until
            for job in function(rng, self.table) if takes_table else function(rng):
                if until_ms is not None and job.at_ms >= until_ms:
                    return
                yield job

    Kind.__doc__ = inspect.getdoc(function) or Kind.__doc__
    return Kind


def _decorator(kind: str, name: str, about: dict[str, str]) -> Callable[[Thing], Thing]:
    def add(thing: Thing) -> Thing:
        register(kind, name, thing, **about)
        return thing

    return add


def strategy(name: str) -> Callable[[Thing], Thing]:
    """Register the strategy that follows; see `register`."""
    return _decorator("strategy", name, {})


def constraint(name: str) -> Callable[[Thing], Thing]:
    """Register the constraint that follows; see `register`."""
    return _decorator("constraint", name, {})


def workload(name: str) -> Callable[[Thing], Thing]:
    """Register the workload that follows; see `register`."""
    return _decorator("workload", name, {})


def predictor(name: str) -> Callable[[Thing], Thing]:
    """Register the predictor that follows; see `register`."""
    return _decorator("predictor", name, {})


def metric(name: str, **about: str) -> Callable[[Thing], Thing]:
    """Register the metric that follows, with its unit, better and about; see `register`."""
    return _decorator("metric", name, about)


def policy(name: str) -> Callable[[Thing], Thing]:
    """Register the OpenB policy that follows; see `register`."""
    return _decorator("policy", name, {})
