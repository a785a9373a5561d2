"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stowplan.experiments.record.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Metric:
    """A named number of a run. `better`: which way is better, or '' where neither is."""

    of: Callable[[Recorder], float | None]
    unit: str
    better: str
    about: str
