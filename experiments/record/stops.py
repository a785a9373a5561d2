"""How tasks ended, counted by whose they were, by stop code, reason and exit code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stowplan.experiments.record.records import OwnerRecord, TaskRecord
from stowplan.placement.agent.task import EXITED
from stowplan.placement.messages import TasksChanged, TasksStopped
from stowplan.placement.model import StopCode

SHORT_MS = 600_000  # ours: a task that ended by itself sooner than this did not hold out
LOOP_ENDS, LOOP_ENDS_PER_PLACE = 3, 2  # from so many such ends on a service is in a crash loop
_BY_ITSELF = (StopCode.ESSENTIAL_CONTAINER_EXITED, StopCode.TASK_FAILED_TO_START)
# Which instance or deployment it was makes no other kind of end.
_NAMED = re.compile(r" \(instance [^)]*\)| initiated by \(deployment [^)]*\)")


@dataclass(frozen=True, slots=True)
class Stop:
    """Why tasks ended. `exit_code` None: no exit ended them, or it was not told."""

    owner: str
    is_service: bool
    stop_code: str
    reason: str
    exit_code: int | None

    @property
    def failed(self) -> bool:
        """Whether the tasks came to grief: crashed, failed to start, or lost their instance."""
        if self.stop_code == StopCode.ESSENTIAL_CONTAINER_EXITED:
            return not is_success(self.exit_code, self.reason)
        return self.stop_code not in (
            StopCode.USER_INITIATED,
            StopCode.SERVICE_SCHEDULER_INITIATED,
        )


@dataclass(slots=True)
class StopCount:
    """`never_ran` of `tasks` had not been RUNNING."""

    tasks: int = 0
    never_ran: int = 0


@dataclass
class Stops:
    """Call `add` for each task that ended. `short` counts, by service, tasks that ended by
    themselves soon after they were placed."""

    counts: dict[Stop, StopCount] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=dict)
    _known: dict[tuple[object, ...], StopCount] = field(default_factory=dict)

    def add(
        self,
        owner: OwnerRecord,
        said: TasksChanged | TasksStopped,
        now_ms: int,
        task: TaskRecord | None,
    ) -> None:
        """A task ended; None: it was never placed."""
        name, is_service = owner.name, owner.is_service
        code, reason = said.stop_code, said.reason
        exit_code = said.exit_code if isinstance(said, TasksChanged) else None
        key = name, is_service, code, reason, exit_code
        count = self._known.get(key)
        if count is None:
            plain = _NAMED.sub("", reason)
            stop = Stop(name, is_service, str(code or ""), plain, exit_code)
            count = self._known[key] = self.counts.setdefault(stop, StopCount())
        count.tasks += 1
        count.never_ran += task is None or not task.running
        short = task is not None and now_ms - task.placed_ms < SHORT_MS
        if short and is_service and code in _BY_ITSELF:
            self.short[name] = self.short.get(name, 0) + 1

    def loops(self, places: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """The services whose tasks keep ending: how many did, and for how many places."""
        return {
            name: (ends, places[name])
            for name, ends in self.short.items()
            if ends >= max(LOOP_ENDS, LOOP_ENDS_PER_PLACE * places[name])
        }


def is_success(exit_code: int | None, reason: str) -> bool:
    """Whether a task whose essential container exited ended well; where no code was told, unless
    its reason goes on to say how a container failed."""
    return exit_code == 0 or (exit_code is None and not reason.startswith(f"{EXITED}: "))
