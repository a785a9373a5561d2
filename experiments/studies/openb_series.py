"""The published form of a run's outcome: means of what stood at each per cent of arrived load."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LOAD_MAX = 130  # per cent of the GPU capacity
Point = tuple[int, float | None, float | None, float | None]


class Events:
    """What stood after each arrival, placed or not: thousandths of GPUs."""

    def __init__(self, count: int) -> None:
        self.arrived = np.zeros(count, np.int64)
        self.used = np.zeros(count, np.int64)
        self.fragments = np.zeros(count)
        self.refused = np.zeros(count, np.bool_)

    def note(
        self, index: int, arrived: int, used: int, fragments: float, refused: bool = False
    ) -> None:
        """Record the state after arrival `index`, and whether it found no room."""
        self.arrived[index], self.used[index] = arrived, used
        self.fragments[index], self.refused[index] = fragments, refused


def series(events: Events, capacity: int) -> Iterator[Point]:
    """(load, allocation, fragment ratio, fragment amount), in per cent, for each load of 0..130.

    A load's values are the means over the arrivals at which it was reached, to the nearest per
    cent; where none was, over those one per cent off; None where there are none either. The steps
    of rounding are those of the artefact's scripts.
    """
    load = np.round(100 * events.arrived / capacity)
    allocated = np.round(100 * events.used / capacity, 2)
    idle = capacity - events.used
    ratio = np.round(100 * events.fragments / np.maximum(idle, 1), 2)
    amount = 100 * events.fragments / capacity
    for point in range(LOAD_MAX + 1):
        at = load == point
        if not at.any():
            at = np.abs(load - point) <= 1
        if not at.any():
            yield point, None, None, None
            continue
        # numpy's way of rounding, which is not Python's where a mean ends in a 5.
        means = (float(values[at].mean()) for values in (allocated, ratio, amount))
        places = zip(means, (2, 6, 2), strict=True)
        mean_allocated, mean_ratio, mean_amount = (float(np.round(m, n)) for m, n in places)
        yield point, mean_allocated, mean_ratio, mean_amount
