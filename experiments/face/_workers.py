"""Runs in processes beside this one: what they need is sent, or what cannot be sent is named."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.sharedctypes import Synchronized
from typing import NamedTuple

from stowplan._register import GIVEN, register_all
from stowplan._results import Journal, Result
from stowplan._scenario import Scenario
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.task_rows import TaskRow, TaskRows
from stowplan.experiments.runs import travel
from stowplan.experiments.runs.compiling import say_when_compiling, to_stderr
from stowplan.experiments.runs.processes import fresh_processes
from stowplan.experiments.runs.simulate import simulate
from stowplan.experiments.runs.travel import Setup, packed
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
    started = pickle.dumps(packed([given.loaded], [registered()])), told
    with ProcessPoolExecutor(min(jobs, len(orders)), context, _start, started) as pool:
        kept = list(pool.map(_work, orders))
    return [_result(given, *each) for each in zip(orders, kept, strict=True)]


def stays(given: Scenario) -> list[str]:
    """What is an object of the notebook or script itself, which other processes cannot import."""
    package = packed([given.loaded])
    own = {f"{kind} {name}": thing for (kind, name), (thing, _) in GIVEN.items()}
    return travel.stays({**package.objects, **own})


def registered() -> Setup:
    """Makes known in another process what `register` was told in this one."""
    return register_all, (dict(GIVEN),)


_loaded: Loaded | None = None  # of this worker process


def _start(payload: bytes, told: Synchronized[int]) -> None:
    global _loaded

    def say() -> None:  # every process compiles; people hear it once
        with told:
            first, told.value = not told.value, 1
        if first:
            to_stderr()

    say_when_compiling(say)
    (_loaded,) = pickle.loads(payload).unpacked()


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
