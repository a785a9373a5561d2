"""Makes runs: in this process, or in several beside it; on a Dask cluster see `on_dask`."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple, Protocol

import pandas as pd

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.results import TABLES
from stowplan.experiments.runs.compiling import say_when_compiling
from stowplan.experiments.runs.parallel import end_workers
from stowplan.experiments.runs.processes import fresh_processes
from stowplan.experiments.runs.simulate import simulate
from stowplan.experiments.runs.travel import Package
from stowplan.experiments.studies.experiment.identity import Order
from stowplan.placement.errors import PlacementError, SpecError

KILLED_MOST = 3  # times that processes may die under the same work before it is given up


class Ran(NamedTuple):
    """A finished run: its row, and the tables that were to be kept."""

    metrics: Mapping[str, float | str | None]
    tables: Mapping[str, pd.DataFrame]


class Workers(Protocol):
    """Where runs are made."""

    def runs(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        """Each run once, as it ends.

        Raises:
            PlacementError: a run failed; it says which. Others that had ended came before.
        """


def made(loaded: Loaded, order: Order) -> Ran:
    """A run of a scenario in this process."""
    tables = loaded.scenario.model_copy(update={"seed": order.seed})
    seeded = Loaded(tables, loaded.path, loaded.own_strategies)
    try:
        result = simulate(seeded, order.run, since_ms=order.since_ms)
    except PlacementError as error:
        raise PlacementError(f"{order.run.id}, seed {order.seed}: {error}") from error
    return Ran(dict(result.metrics), {name: TABLES[name]([result]) for name in order.keep})


class Here:
    """One run after the other in this process."""

    def __init__(self, variants: Sequence[Loaded]) -> None:
        self._variants = variants

    def runs(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        """See `Workers`."""
        say_when_compiling()
        for order in orders:
            yield order, made(self._variants[order.variant], order)


class Beside:
    """Several processes of this machine, each with the scenarios loaded once."""

    def __init__(self, package: Package, jobs: int) -> None:
        self._payload, self._jobs = pickle.dumps(package), jobs

    def runs(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        """See `Workers`. Processes that are killed are begun again, a few times."""
        left, killed = list(orders), 0
        while left:
            try:
                for order, ran in self._some(left):
                    left.remove(order)
                    yield order, ran
            except BrokenProcessPool:
                killed += 1
                if killed > KILLED_MOST:
                    what = f"its processes were killed {killed} times; is there memory for --jobs?"
                    raise SpecError([("experiment", what)]) from None

    def _some(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        context = fresh_processes()
        workers = min(self._jobs, len(orders))
        with ProcessPoolExecutor(workers, context, _start, (self._payload,)) as pool:
            try:
                waiting = iter(orders)
                going: dict[Future[Ran], Order] = {}
                # Twice as many as there are processes, so that none of them waits for its next.
                for order in waiting:
                    going[pool.submit(_work, order)] = order
                    if len(going) < 2 * workers:
                        continue
                    yield from _ended(going)
                while going:
                    yield from _ended(going)
            except BaseException:
                end_workers(pool)
                raise


def _ended(going: dict[Future[Ran], Order]) -> Iterator[tuple[Order, Ran]]:
    done, _ = wait(going, return_when=FIRST_COMPLETED)
    # A run that failed comes last, so that none that ended beside it is lost.
    for future in sorted(done, key=lambda each: (each.exception() is not None, going[each].seed)):
        yield going.pop(future), future.result()


_variants: list[Loaded] = []  # of this worker process


def _start(payload: bytes) -> None:
    global _variants
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asked ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    say_when_compiling()
    _variants = pickle.loads(payload).unpacked()


def _work(order: Order) -> Ran:
    return made(_variants[order.variant], order)
