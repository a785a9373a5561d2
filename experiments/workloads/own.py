"""Workloads and predictors of a user's own: what they say wrongly is one error that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from stowplan.experiments.workloads.protocol import Job
from stowplan.placement.errors import PlacementError
from stowplan.placement.units import not_whole


def checked_jobs(kind: str, jobs: Iterator[Any]) -> Iterator[Job]:
    """The same jobs, as long as they make sense.

    Raises:
        PlacementError: naming the workload, the number of the job, and what is wrong with it: it is
            no `Job`, an amount is no whole number, it comes before the one before it. Or what the
            workload itself raised.
    """
    at_ms = number = 0
    while True:
        try:
            job = next(jobs, None)
        except PlacementError:
            raise
        # What a user's own code raises is shown to the user.
        except Exception as error:
            what = f"job {number}: {type(error).__name__}: {error}"
            raise PlacementError(f"workload {kind}: {what}") from error
        if job is None:
            return
        problem = _problem(job, at_ms)
        if problem:
            raise PlacementError(f"workload {kind}: job {number}: {problem}")
        at_ms, number = job.at_ms, number + 1
        yield job


def _problem(job: Any, after_ms: int) -> str | None:
    if not isinstance(job, Job):
        return f"expected a Job, found {job!r}"
    amounts = {"at_ms": (job.at_ms, 0), "count": (job.count, 1)}
    for name in ("run_ms", "cpu", "memory"):
        if getattr(job, name) is not None:
            amounts[name] = getattr(job, name), 0
    amounts |= {f"resources.{name}": (amount, 0) for name, amount in job.resources}
    for name, (amount, least) in amounts.items():
        if not_whole(amount, least):
            return f"{name}: expected a whole number of at least {least}, found {amount!r}"
    if job.at_ms < after_ms:
        return f"comes at {job.at_ms} ms, before the one before it at {after_ms} ms"
    return None


def checked_expectation(
    name: str, expect: Callable[[Job], int | None]
) -> Callable[[Job], int | None]:
    """The same predictor, which raises PlacementError where it says no whole number of ms."""

    def expected(job: Job) -> int | None:
        try:
            found = expect(job)
        # What a user's own code raises is shown to the user.
        except Exception as error:
            raise PlacementError(f"predictor {name}: {type(error).__name__}: {error}") from error
        if found is not None and (what := not_whole(found)):
            raise PlacementError(f"predictor {name}: of {job}: {what}")
        return found

    return expected
