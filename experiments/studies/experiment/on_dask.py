"""Makes runs on a Dask cluster; the extra `dask` has what it needs."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import distributed

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.travel import Package
from stowplan.experiments.studies.experiment.identity import Order
from stowplan.experiments.studies.experiment.work import Ran, made
from stowplan.placement.errors import PlacementError, SpecError

_dask: Any = distributed  # it does not say its types


class OnDask:
    """The workers of a Dask scheduler. They need stowplan, and files under the same paths.

    What a worker had not answered when it died is done again by another.
    """

    def __init__(self, package: Package, address: str, wait_s: float = 10) -> None:
        """Connect. Raises SpecError: no scheduler there."""
        try:
            self._client = _dask.Client(address, timeout=f"{wait_s:g}s", set_as_default=False)
        # Dask raises of many kinds for an address that is none, or that nobody answers at.
        except Exception as error:
            what = f"no Dask scheduler answers there: {error}"
            raise SpecError([(f"--scheduler {address}", what)]) from error
        self._payload = pickle.dumps(package)

    def runs(self, orders: Sequence[Order]) -> Iterator[tuple[Order, Ran]]:
        """See `Workers`."""
        digest = hashlib.sha256(self._payload).hexdigest()
        # As the result of a call, it can be had again where the worker that holds it dies.
        payload = self._client.submit(bytes, self._payload, pure=False)
        futures = {
            self._client.submit(_on_worker, payload, digest, order, pure=False): order
            for order in orders
        }
        try:
            for future in _dask.as_completed(list(futures), loop=self._client.loop):
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
