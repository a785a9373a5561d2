"""Faults that are planted each time, beside the sample: they once survived the whole suite."""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """A fault as text: `before` occurs once in the file."""

    what: str
    path: str
    before: str
    after: str


KNOWN = (
    Known(
        "managed scaling's size rounded down",
        "placement/scheduler/capacity/providers.py",
        "wanted = -(-point.needed * 100 // scaling.target_capacity)",
        "wanted = point.needed * 100 // scaling.target_capacity",
    ),
    Known(
        "dollars of busy time with a second too much per instance",
        "experiments/record/money.py",
        "paid = sum(i.price_microusd_hour * i.busy_ms for",
        "paid = sum(i.price_microusd_hour * (i.busy_ms + 1000) for",
    ),
    Known(
        "zone rebalancing above maximumPercent",
        "placement/scheduler/services/rebalancing.py",
        "if not is_eligible(service, engine) or full:",
        "if not is_eligible(service, engine):",
    ),
    Known(
        "zone rebalancing at a difference of one, without an end",
        "placement/scheduler/services/rebalancing.py",
        "counts[zones].min() < 2:",
        "counts[zones].min() < 1:",
    ),
    Known(
        "instances that are dead still act",
        "sim/lives.py",
        "if instance in self._faults.dead:",
        "if instance in ():",
    ),
)
