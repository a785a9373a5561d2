"""A run without its beginning: metrics of what happened from a time on, the warm-up left out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any

from stowplan.experiments.record.capacity_record import CapacityRecord
from stowplan.experiments.record.metrics import METRICS, load_metrics
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import Totals
from stowplan.placement.messages import Round

# Metrics that are sums, means over time or quantiles of what happens, which a part of a run has
# too. Those of a whole run alone (what was ever used, deployments, availability) are not here.
WINDOWED = frozenset(
    {
        *("instances_mean", "instances_busy_mean", "instance_hours"),
        *("dollars", "dollars_per_hour", "dollars_per_month"),
        *("cpu_reserved_pct", "memory_reserved_pct"),
        *("wait_p50_s", "wait_p99_s", "service_wait_p50_s", "service_wait_p99_s", "service_asked"),
        *("start_p50_s", "start_p99_s", "started_per_hour"),
        *("submitted", "started", "finished", "refusals", "lost", "recovered"),
        *("cpu_stranded_pct", "memory_stranded_pct", "cpu_fragmented_pct"),
        *("memory_fragmented_pct", "launches", "terminations", "launch_failures", "throttled"),
        *("reservation_mean_pct", "provisioning_mean_s", "provisioning_max_s"),
        *("service_provisioning_mean_s", "service_provisioning_max_s", "waiting", "simulated_s"),
    }
)
_LISTS = ("waits_ms", "starts_ms", "leftovers")
_COUNTS = ("submitted", "lost", "recovered")
_CAPACITY_LISTS = ("points", "placed_ms", "service_placed_ms")
_CAPACITY_COUNTS = ("launches", "terminations", "launch_failures", "throttled")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a recorder was at a time."""

    at_ms: int
    integrals: Totals
    started: int
    finished: int
    lengths: dict[str, int]
    counts: dict[str, int]
    refusals: Counter[str]
    dollars: float
    hours: float


class WindowRecorder(Recorder):
    """A recorder that remembers how far it was at `since_ms`."""

    def __init__(self, since_ms: int) -> None:
        super().__init__()
        self.since_ms = since_ms
        self.mark: Mark | None = None

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        if self.mark is None and entry.now_ms >= self.since_ms:
            self._remember()
        super().__call__(entry)

    def finish(self, now_ms: int) -> None:
        """Close the books; a run that ended before `since_ms` has nothing after it."""
        if self.mark is None:
            self.since_ms = min(self.since_ms, now_ms)
            self._remember()
        super().finish(now_ms)

    def _remember(self) -> None:
        self._advance(self.since_ms)
        self._sample_until(self.since_ms)
        capacity = self.capacity
        lengths = {name: len(getattr(self, name)) for name in _LISTS}
        lengths |= {name: len(getattr(capacity, name)) for name in _CAPACITY_LISTS}
        counts = {name: getattr(self, name) for name in _COUNTS}
        counts |= {name: getattr(capacity, name) for name in _CAPACITY_COUNTS}
        self.mark = Mark(
            self.since_ms,
            replace(self.integrals),
            self.totals.started,
            self.totals.finished,
            {**lengths, "service_waits": len(self.service_waits.waits_ms)},
            {**counts, "asked": self.service_waits.asked},
            Counter(self.refusals),
            capacity.dollars(self.since_ms),
            capacity.hours(self.since_ms),
        )


def metrics_since(recorder: WindowRecorder) -> dict[str, float | str | None]:
    """The row of a finished run without what was before its mark.

    Metrics that are not in `WINDOWED` have no value. Waits are of tasks that came to run after the
    mark, however long before it they were submitted.
    """
    load_metrics()
    part: Any = _Part(recorder)
    row: dict[str, float | str | None] = {
        name: metric.of(part) if name in WINDOWED else None for name, metric in METRICS.items()
    }
    row["refusals_by_reason"] = json.dumps(dict(sorted(part.refusals.items())))
    return row


class _Part(SimpleNamespace):
    """What metrics read of a recorder, of the time after its mark."""

    def __init__(self, recorder: WindowRecorder) -> None:
        mark = recorder.mark
        assert mark is not None, "it is finished"
        later = {name: getattr(recorder, name)[mark.lengths[name] :] for name in _LISTS}
        counts = {name: getattr(recorder, name) - mark.counts[name] for name in _COUNTS}
        super().__init__(
            **later,
            **counts,
            now_ms=recorder.now_ms - mark.at_ms,
            integrals=_less(recorder.integrals, mark.integrals),
            totals=replace(
                recorder.totals,
                started=recorder.totals.started - mark.started,
                finished=recorder.totals.finished - mark.finished,
            ),
            service_waits=SimpleNamespace(
                waits_ms=recorder.service_waits.waits_ms[mark.lengths["service_waits"] :],
                asked=recorder.service_waits.asked - mark.counts["asked"],
            ),
            services_lack=recorder.services_lack,
            refusals=recorder.refusals - mark.refusals,
            capacity=_CapacityPart(recorder.capacity, mark, recorder.now_ms),
        )


class _CapacityPart(SimpleNamespace):
    """The same of a capacity record; its times are asked for as they are from the mark on."""

    def __init__(self, whole: CapacityRecord, mark: Mark, until_ms: int) -> None:
        later = {name: getattr(whole, name)[mark.lengths[name] :] for name in _CAPACITY_LISTS}
        counts = {name: getattr(whole, name) - mark.counts[name] for name in _CAPACITY_COUNTS}
        super().__init__(**later, **counts)
        self._dollars = whole.dollars(until_ms) - mark.dollars
        self._hours = whole.hours(until_ms) - mark.hours

    def dollars(self, _: int) -> float:
        """What all instances cost after the mark."""
        return self._dollars

    def hours(self, _: int) -> float:
        """How long all instances were up after the mark, together."""
        return self._hours


def _less(whole: Totals, part: Totals) -> Totals:
    names = [each.name for each in fields(Totals)]
    return Totals(**{name: getattr(whole, name) - getattr(part, name) for name in names})
