"""How tasks ended: a part of `placement.audit.figures`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from stowplan.placement.messages import TasksChanged, TasksStopped
from stowplan.placement.model import StopCode

SOON_MS = 600_000  # who ends by itself within ten minutes did not hold out
LOOP_LEAST = 3
LOOP_PER_PLACE = 2
# What goes on after this says how a container failed; by itself it says only that one exited.
EXITED = "Essential container in task exited: "


class Ends:
    """Counts of tasks: `finished`, `crashed`, `failed_to_start`."""

    def __init__(self) -> None:
        self.finished = self.crashed = self.failed_to_start = 0
        self._soon: Counter[str] = Counter()

    def add(
        self,
        said: TasksChanged | TasksStopped,
        owner: int | str | None,
        lived_ms: int | None,
        *,
        ran: bool,
    ) -> None:
        """One task ended. `lived_ms` since it was placed; None: it never was. A service's `owner`
        is its name."""
        exited = said.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
        never_up = said.stop_code is StopCode.TASK_FAILED_TO_START
        code = said.exit_code if isinstance(said, TasksChanged) else None
        well = not said.reason.startswith(EXITED) if code is None else code == 0
        self.crashed += exited and not well
        self.finished += exited and well and ran
        self.failed_to_start += never_up
        soon = lived_ms is not None and lived_ms < SOON_MS
        if soon and isinstance(owner, str) and (exited or never_up):
            self._soon[owner] += 1

    def loops(self, places: Mapping[str, int]) -> int:
        """Services whose tasks keep ending, of those that are to have so many tasks."""
        least = {name: max(LOOP_LEAST, LOOP_PER_PLACE * n) for name, n in places.items()}
        return sum(self._soon[name] >= count for name, count in least.items())
