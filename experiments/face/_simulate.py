"""Scenarios simulated from a notebook: strategies as objects, several seeds, nothing on disk."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from stowplan._results import Result, Results
from stowplan._scenario import Scenario, with_strategies
from stowplan._values import Problems, check, whole
from stowplan._workers import Order, beside, here, stays
from stowplan.experiments.runs.compiling import say_when_compiling
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
    jobs: int = 1,
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
    jobs: int = 1,
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
    jobs: int = 1,
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
    jobs: int = 1,
) -> Result | Results:
    """Simulate a scenario from its first call to its end; nothing is written to disk.

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
    jobs : int
        Processes beside each other. What is defined in the notebook or script itself cannot go to
        another: then all runs stay in this one, with a warning. A script that asks for more than
        one needs `if __name__ == "__main__":` around it. With 1 no process is begun.

    Returns
    -------
    Result or Results
        One run; several where `strategies` or `seeds` are given, in the order of strategies, then
        seeds. The same scenario, strategy and seed give the same result.

    Raises
    ------
    SpecError
        Naming every strategy, layout or fault that is not there or makes no sense; or a script
        asks for several processes and each would run it again.
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
    numbers = _numbers(of.seed if seed is None else seed, seeds, problems)
    numbers = [whole(each, "seed", problems) for each in numbers]
    for what, name, known in (("layout", layout, of.layouts), ("faults", faults, of.faults)):
        if name is not None and name not in known:
            problems.append((what, unknown(what, name, known)))
    whole(jobs, "jobs", problems, 1)
    check(problems)
    runs = [
        Run(name, layout or next(iter(of.layouts)), faults or next(iter(of.faults)))
        for name in names
    ]
    orders = [Order(run, number, tasks, journal) for run in runs for number in numbers]
    staying = stays(given) if jobs > 1 else []
    if staying:
        what = "of this notebook or script cannot go to other processes: the runs stay in this one"
        warnings.warn(f"{', '.join(staying)} {what}", stacklevel=2)
    say_when_compiling()
    apart = jobs > 1 and len(orders) > 1 and not staying
    results = beside(given, orders, jobs) if apart else here(given, orders)
    if strategies is None and seeds is None:
        return results[0]
    return Results(tuple(results))


def _numbers(seed: int, seeds: Any, problems: Problems) -> list[Any]:
    """One seed, or those that were given."""
    if seeds is None:
        return [seed]
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        problems.append(("seeds", f"expected several, such as range(5), found {seeds!r}"))
        return []
    found = list(seeds)
    if not found:
        problems.append(("seeds", "there are none"))
    return found
