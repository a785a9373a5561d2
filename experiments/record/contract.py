"""The contract of a metric: `check_metric(Metric(...))`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import msgspec
import numpy as np

from stowplan.experiments.record.metrics import Metric
from stowplan.experiments.record.recorder import Recorder
from stowplan.placement import messages as m
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.testing.checked import Checked


def check_metric(metric: Metric, name: str | None = None) -> None:
    """Assert that a metric can stand in `METRICS`.

    It gives a finite number, or None where a run has none; the same when asked again and of the
    same run read from its journal; it changes nothing, and copes with a run in which nothing
    happened. `better` is "less", "more" or "", and `about` says what it is.

    Args:
        metric: what `METRICS` would hold.
        name: of it, for messages.
    Raises:
        AssertionError: something of that does not hold; the message says what.
    """
    subject = Checked(metric.of, name)
    if metric.better not in ("less", "more", ""):
        subject.fail(f"better is {metric.better!r}, not 'less', 'more' or ''")
    if not isinstance(metric.unit, str) or not metric.about:
        subject.fail("says nothing about itself: give a unit, '' for a count, and about")
    rounds = _rounds()
    read = [_round_trip(entry) for entry in rounds]
    for what, entries in (("a run in which nothing happened", []), ("a run", rounds)):
        recorder = _recorded(entries)
        before = repr(recorder)
        value = subject.ask(f"asked of {what}, it", partial(metric.of, recorder))
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if value is not None and not (number and math.isfinite(value)):
            subject.fail(
                f"is {value!r} of {what}, not a finite number; None says that there is none"
            )
        if repr(recorder) != before:
            subject.fail("changes the recorder, which it may only read")
        if metric.of(recorder) != value:
            subject.fail(f"is {value!r} of {what}, and asked again {metric.of(recorder)!r}")
        again = metric.of(_recorded(read if entries else []))
        if again != value:
            subject.fail(f"is {value!r} of {what}, and {again!r} of the same read from its journal")


def _recorded(rounds: Sequence[m.Round]) -> Recorder:
    recorder = Recorder()
    for entry in rounds:
        recorder(entry)
    recorder.finish(rounds[-1].now_ms if rounds else 0)
    return recorder


def _round_trip(entry: m.Round) -> m.Round:
    return msgspec.json.decode(msgspec.json.encode(entry), type=m.Round)


def _rounds() -> list[m.Round]:
    """A short run in which tasks wait, run, end, fail and are lost, and a service is served."""
    scheduler = Scheduler()
    document = {
        "family": "app",
        "containerDefinitions": [{"name": "c", "image": "i", "cpu": 256, "memory": 128}],
    }
    sizes = {"CPU": 1024, "MEMORY": 1024}
    ended = StopCode.ESSENTIAL_CONTAINER_EXITED
    plan: list[tuple[m.Event, ...]] = [
        (
            m.RegisterTaskDefinition(document),
            m.CreateService("web", "app", 2),
            m.InstanceRegistered(0, "i-0", sizes, {}, price_microusd_hour=7),
            m.RunTask(0, "app", 3, started_by="job"),
        ),
        (m.TasksChanged(TaskStatus.RUNNING, (0, 1, 2)),),
        (m.InstanceRegistered(1, "i-1", sizes, {}, price_microusd_hour=9),),
        (m.TasksChanged(TaskStatus.RUNNING, (3, 4)), m.RunTask(1, "app", 9, started_by="job")),
        (m.TasksChanged(TaskStatus.STOPPED, (0,), ended, "done", 0),),
        (m.TasksChanged(TaskStatus.STOPPED, (1,), ended, "failed", 1),),
        (m.InstancesGone((1,)),),
        (m.StopTask((2,)),),
    ]
    rounds = []
    for number, events in enumerate(plan):
        for event in events:
            scheduler.receive(event)
        now_ms = 30_000 * number
        rounds.append(m.Round(now_ms, events, scheduler.decide(now_ms)))
    return rounds
