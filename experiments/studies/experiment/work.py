"""Makes runs: in this process, in several beside it, or on a Dask cluster."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

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


class OnDask:
    """The workers of a Dask scheduler. They need stowplan, and files under the same paths.

    What a worker had not answered when it died is done again by another.
    """

    def __init__(self, package: Package, address: str, wait_s: float = 10) -> None:
        """Connect. Raises SpecError: no Dask here, or no scheduler there."""
        try:
            from distributed import Client
        except ImportError as error:
            what = "Dask is not installed: pip install 'stowplan[dask]'"
            raise SpecError([("--scheduler", what)]) from error
        try:
            self._client: Any = Client(address, timeout=f"{wait_s:g}s", set_as_default=False)
        # Dask raises of many kinds for an address that is none, or that nobody answers at.
        except Exception as error:
            what = f"no Dask scheduler answers there: {error}"
            raise SpecError([(f"--scheduler {address}", what)]) from error
        self._payload = pickle.dumps(package)

    def runs(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        """See `Workers`."""
        from distributed import as_completed

        digest = hashlib.sha256(self._payload).hexdigest()
        # As the result of a call, it can be had again where the worker that holds it dies.
        payload = self._client.submit(bytes, self._payload, pure=False)
        futures = {
            self._client.submit(_on_worker, payload, digest, order, pure=False): order
            for order in orders
        }
        try:
            for future in as_completed(list(futures), loop=self._client.loop):
                try:
                    yield futures[future], future.result()
                except PlacementError:
                    raise
                # A worker's own failure, as one that died too often.
                except Exception as error:
                    order = futures[future]
                    what = f"{order.run.id}, seed {order.seed}: {type(error).__name__}: {error}"
                    raise PlacementError(what) from error
        finally:
            with suppress(Exception):  # the scheduler may be gone
                self._client.cancel(list(futures))

    def close(self) -> None:
        """Let go of the scheduler."""
        with suppress(Exception):
            self._client.close()


_unpacked: dict[str, list[Loaded]] = {}  # of a Dask worker


def _on_worker(payload: bytes, digest: str, order: Order) -> Ran:
    if digest not in _unpacked:
        _unpacked.clear()
        _unpacked[digest] = pickle.loads(payload).unpacked()
    return made(_unpacked[digest][order.variant], order)


def workers_for(
    variants: Sequence[Loaded], package: Package, jobs: int | None, scheduler: str | None
) -> Workers:
    """Where runs are to be made.

    Args:
        jobs: processes at a time; None: one for each processor. With one all is done in this one.
        scheduler: address of a Dask scheduler, or None.
    """
    if scheduler is not None:
        return OnDask(package, scheduler)
    jobs = jobs or os.cpu_count() or 1
    return Here(variants) if jobs == 1 else Beside(package, jobs)
