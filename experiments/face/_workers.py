"""Runs in processes beside this one: what they need is sent, or what cannot be sent is named."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

from stowplan._given import Objects
from stowplan._register import GIVEN, register
from stowplan._results import Journal, Result
from stowplan._scenario import Scenario
from stowplan.experiments.loading.extensions import load_extensions
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.loading.own_strategies import as_factory, strategies_of
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.task_rows import TaskRow, TaskRows
from stowplan.experiments.runs.compiling import say_when_compiling, to_stderr
from stowplan.experiments.runs.processes import fresh_processes
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import Run


class Order(NamedTuple):
    """A run to make, and what to keep of it."""

    run: Run
    seed: int
    tasks: bool
    journal: bool


Kept = tuple[RunResult, bytes | None, list[TaskRow] | None]


def here(given: Scenario, orders: Sequence[Order]) -> list[Result]:
    """The runs one after the other in this process."""
    return [_result(given, order, _kept(given.loaded, order)) for order in orders]


def beside(given: Scenario, orders: Sequence[Order], jobs: int) -> list[Result]:
    """The runs in `jobs` processes, in the order of `orders`.

    Processes begin afresh and import what they need, so what was registered is sent along.

    Raises:
        SpecError: the script that asks for them would be run again by each.
    """
    context = fresh_processes()
    told = context.Value("b", 0)
    started = pickle.dumps(_payload(given)), told
    with ProcessPoolExecutor(min(jobs, len(orders)), context, _start, started) as pool:
        kept = list(pool.map(_work, orders))
    return [_result(given, *each) for each in zip(orders, kept, strict=True)]


def stays(given: Scenario) -> list[str]:
    """What is an object of the notebook or script itself, which other processes cannot import."""
    objects = given.loaded.own_strategies
    things = dict(objects.given) if isinstance(objects, Objects) else {}
    things |= {f"{kind} {name}": thing for (kind, name), (thing, _) in GIVEN.items()}
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


def _payload(given: Scenario) -> tuple[Any, ...]:
    objects = given.loaded.own_strategies
    things = dict(objects.given) if isinstance(objects, Objects) else {}
    folders = dict(objects.folders) if isinstance(objects, Objects) else {}
    parent = given.loaded.path.parent
    files = [(name, folders.get(name, parent)) for name in objects if name not in things]
    return given.tables, given.loaded.path, things, files, dict(GIVEN)


_loaded: Loaded | None = None  # of this worker process


def _start(payload: bytes, told: Synchronized[int]) -> None:
    global _loaded

    def say() -> None:  # every process compiles; people hear it once
        with told:
            first, told.value = not told.value, 1
        if first:
            to_stderr()

    say_when_compiling(say)
    tables, path, things, files, registered = pickle.loads(payload)
    load_extensions()
    for (kind, name), (thing, about) in registered.items():
        register(kind, name, thing, **about)
    own = {name: as_factory(name, thing) for name, thing in things.items()}
    problems: list[tuple[str, str]] = []
    for name, folder in files:
        own |= strategies_of([(name, name)], Path(folder), problems)
    if problems:
        raise SpecError(problems)
    _loaded = Loaded(_interned(tables), path, own)


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


def _work(order: Order) -> Kept:
    assert _loaded is not None, "the pool's initialiser did not run"
    return _kept(_loaded, order)


def _kept(loaded: Loaded, order: Order) -> Kept:
    stream = io.BytesIO() if order.journal else None
    rows = TaskRows() if order.tasks else None
    also = [] if rows is None else [rows]
    found = simulate(_seeded(loaded, order), order.run, stream, also=also)
    data = None if stream is None else stream.getvalue()
    return found, data, None if rows is None else rows.rows()


def _seeded(loaded: Loaded, order: Order) -> Loaded:
    tables = loaded.scenario.model_copy(update={"seed": order.seed})
    return Loaded(tables, loaded.path, loaded.own_strategies)


def _result(given: Scenario, order: Order, kept: Kept) -> Result:
    found, data, rows = kept
    name = f"{order.run.id}__seed-{order.seed}"
    journal = None if data is None else Journal(data, name)
    return Result(Scenario(_seeded(given.loaded, order)), order.seed, found, journal, rows)
