"""Scenarios simulated from a notebook: strategies as objects, several seeds, nothing on disk."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from stowplan._results import Journal, Result, Results
from stowplan._scenario import Scenario, with_strategies
from stowplan._values import Problems, check, whole
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.task_rows import TaskRows
from stowplan.experiments.runs.simulate import simulate as simulated
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.scenario.words import unknown

Several = Mapping[str, Any] | Sequence[Any] | str


@overload
def simulate(
    scenario: Scenario,
    strategy: Any = None,
    *,
    seed: int | None = None,
    layout: str | None = None,
    faults: str | None = None,
    tasks: bool = False,
    journal: bool = True,
) -> Result: ...
@overload
def simulate(
    scenario: Scenario,
    strategy: Any = None,
    *,
    strategies: Several | None = None,
    seeds: Iterable[int],
    layout: str | None = None,
    faults: str | None = None,
    tasks: bool = False,
    journal: bool = True,
) -> Results: ...
@overload
def simulate(
    scenario: Scenario,
    *,
    strategies: Several,
    seed: int | None = None,
    layout: str | None = None,
    faults: str | None = None,
    tasks: bool = False,
    journal: bool = True,
) -> Results: ...
def simulate(
    scenario: Scenario,
    strategy: Any = None,
    *,
    strategies: Several | None = None,
    seed: int | None = None,
    seeds: Iterable[int] | None = None,
    layout: str | None = None,
    faults: str | None = None,
    tasks: bool = False,
    journal: bool = True,
) -> Result | Results:
    """Simulate a scenario from its first call to its end, in this process.

    Parameters
    ----------
    scenario : Scenario
        What `scenario` or `load` made.
    strategy : str, list, class or object, optional
        One of the scenario's by name, or anything that `place` takes; the scenario's first where
        neither this nor `strategies` is given. An object is copied for each run.
    strategies : mapping, list, or "all", optional
        Several, by the names that tables are to show; `"all"` are the scenario's own.
    seed : int, optional
        Instead of the scenario's. What arrives depends on it alone, never on the strategy.
    seeds : iterable of int, optional
        Several; each strategy runs with each.
    layout, faults : str, optional
        By their names in the scenario; its first.
    tasks : bool
        Keep a row for each task (`Result.tasks`).
    journal : bool
        Keep the journal in memory (`Result.journal`), compressed.

    Returns
    -------
    Result or Results
        One run; several where `strategies` or `seeds` are given, in the order of strategies, then
        seeds. The same scenario, strategy and seed give the same result.

    Raises
    ------
    SpecError
        Naming every strategy, layout or fault that is not there or makes no sense.
    OwnStrategyError
        A strategy of your own raised, or answered with something that is not a number for each
        candidate; it says where.

    Examples
    --------
    >>> import stowplan as sp
    >>> class Emptiest:
    ...     def keys(self, task, cluster, candidates, rng):
    ...         return cluster.running_tasks_count[candidates]
    >>> runs = sp.simulate(sp.load("small"), strategies=["binpack", Emptiest], seeds=range(2))
    >>> runs.summary("started").round(0).index.get_level_values("strategy").tolist()
    ['binpack', 'Emptiest']
    >>> one = sp.simulate(sp.load("small"), Emptiest(), tasks=True)
    >>> bool((one.tasks["running_s"] >= one.tasks["placed_s"]).all())
    True
    """
    if not isinstance(scenario, Scenario):
        what = f"expected what sp.scenario(...) or sp.load(...) makes, found {scenario!r}"
        raise SpecError([("scenario", what)])
    given, names = with_strategies(scenario, strategy, strategies)
    problems: Problems = []
    of = given.tables
    if seed is not None and seeds is not None:
        problems.append(("seed", "give seed=... or seeds=..., not both"))
    numbers = [of.seed if seed is None else seed] if seeds is None else list(seeds)
    numbers = [whole(each, "seed", problems) for each in numbers]
    for what, name, known in (("layout", layout, of.layouts), ("faults", faults, of.faults)):
        if name is not None and name not in known:
            problems.append((what, unknown(what, name, known)))
    check(problems)
    runs = [
        Run(name, layout or next(iter(of.layouts)), faults or next(iter(of.faults)))
        for name in names
    ]
    results = [_one(given, run, number, tasks, journal) for run in runs for number in numbers]
    if strategies is None and seeds is None:
        return results[0]
    return Results(tuple(results))


def _one(given: Scenario, run: Run, seed: int, tasks: bool, journal: bool) -> Result:
    tables = given.tables.model_copy(update={"seed": seed})
    loaded = Loaded(tables, given.loaded.path, given.loaded.own_strategies)
    stream = io.BytesIO() if journal else None
    rows = TaskRows() if tasks else None
    found = simulated(loaded, run, stream, also=[] if rows is None else [rows])
    kept = None if stream is None else Journal(stream.getvalue(), f"{run.id}__seed-{seed}")
    return Result(Scenario(loaded), seed, found, kept, None if rows is None else rows.rows())
