"""A row for each task of a run: who asked for it, when it was placed, ran and ended, and where."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stowplan.placement import messages as m
from stowplan.placement.callers.client import RESUBMIT, RETRY
from stowplan.placement.messages import Round
from stowplan.placement.model import TaskStatus

TASK_COLUMNS = (
    *("task", "of", "group", "instance"),
    *("submitted_s", "placed_s", "running_s", "ended_s", "stop_code", "reason"),
)


@dataclass(slots=True)
class TaskRow:
    """A task so far, times in ms of the run, None for what has not happened.

    `of` is its service, or the workload or whoever else called RunTask.
    """

    task: int | None
    of: str
    group: str
    instance: str | None
    submitted_ms: int | None
    placed_ms: int | None = None
    running_ms: int | None = None
    ended_ms: int | None = None
    stop_code: str | None = None
    reason: str | None = None


class TaskRows:
    """Call it with each round, in order; then `frame` has a row for each task."""

    def __init__(self) -> None:
        self._rows: dict[int, TaskRow] = {}
        self._names: dict[int, str] = {}
        self._on: dict[int, set[int]] = {}
        # By request: who called, and of each task that is asked for and has no number yet, since
        # when (ms), longest first.
        self._calls: dict[int, tuple[str, str]] = {}
        self._open: defaultdict[int, deque[int]] = defaultdict(deque)
        self._handlers: dict[type, Any] = {
            m.InstanceRegistered: self._registered,
            m.InstancesGone: self._gone,
            m.RunTask: self._asked,
            m.StartTask: self._asked,
            m.CallThrottled: self._throttled,
            m.StartTasks: self._placed,
            m.TasksProvisioning: self._provisioning,
            m.TasksChanged: self._changed,
            m.StopTasks: self._stopping,
            m.TasksStopped: self._stopped,
        }

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        for message in (*entry.accepted(), *entry.commands):
            handler = self._handlers.get(type(message))
            if handler is not None:
                handler(message, entry.now_ms)

    def rows(self) -> list[TaskRow]:
        """Every task by number, then those asked for that never found a place."""
        rows = [self._rows[number] for number in sorted(self._rows)]
        for request, since in sorted(self._open.items()):
            rows += [TaskRow(None, *self._calls[request], None, ms) for ms in since]
        return rows

    def frame(self) -> pd.DataFrame:
        """`TASK_COLUMNS`, a row for each of `rows`; times in seconds of the run.

        NaN stands for what did not happen: no `submitted_s` for tasks of services, which nobody
        submits; no `placed_s` for a task that waits; no `ended_s` for one that runs to the end.
        """
        return task_frame(self.rows())

    # --- what it sees ---------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered, now_ms: int) -> None:
        self._names[event.instance] = event.ec2_instance_id

    def _asked(self, call: m.RunTask | m.StartTask, now_ms: int) -> None:
        count = call.count if isinstance(call, m.RunTask) else len(call.instances)
        of = call.started_by
        if of.endswith(RETRY):
            return  # asked for before, and still open
        self._calls[call.request] = of.removesuffix(RESUBMIT), call.group or ""
        self._open[call.request].extend([now_ms] * count)

    def _throttled(self, event: m.CallThrottled, now_ms: int) -> None:
        """What was throttled is submitted all the same; its retry is known by its name."""
        if event.request is not None and not event.started_by.endswith((RETRY, RESUBMIT)):
            self._calls[event.request] = event.started_by, ""
            self._open[event.request].extend([now_ms] * event.count)

    def _provisioning(self, notice: m.TasksProvisioning, now_ms: int) -> None:
        for task in notice.tasks:
            self._row(task, notice.request, notice.service, "")

    def _placed(self, command: m.StartTasks, now_ms: int) -> None:
        for task, number in zip(command.tasks, command.instances, strict=True):
            row = self._row(task, command.request, command.service, command.group)
            if row.placed_ms is None:
                row.group, row.instance, row.placed_ms = command.group, self._names[number], now_ms
            self._on.setdefault(number, set()).add(task)

    def _row(self, task: int, request: int | None, service: str | None, group: str) -> TaskRow:
        if task in self._rows:
            return self._rows[task]
        of, since = service or "", None
        if service is None and request is not None:
            of = self._calls[request][0]
            since = self._open[request].popleft() if self._open[request] else None
        self._rows[task] = row = TaskRow(task, of, group, None, since)
        return row

    def _changed(self, event: m.TasksChanged, now_ms: int) -> None:
        for row in self._known(event.tasks):
            if event.status is TaskStatus.RUNNING and row.running_ms is None:
                row.running_ms = now_ms
            elif event.status is TaskStatus.STOPPED:
                _end(row, now_ms, event.stop_code, event.reason)

    def _stopping(self, command: m.StopTasks, now_ms: int) -> None:
        """Why a task is stopped is said with the order; it ends when it has."""
        for row in self._known(command.tasks):
            if row.stop_code is None:
                row.stop_code, row.reason = str(command.stop_code), command.reason

    def _stopped(self, notice: m.TasksStopped, now_ms: int) -> None:
        for row in self._known(notice.tasks):
            _end(row, now_ms, notice.stop_code, notice.reason)

    def _gone(self, event: m.InstancesGone, now_ms: int) -> None:
        for number in event.instances:
            for row in self._known(self._on.pop(number, ())):
                _end(row, now_ms, event.stop_code, event.reason)

    def _known(self, tasks: Iterable[int]) -> list[TaskRow]:
        return [self._rows[task] for task in tasks if task in self._rows]


def _end(row: TaskRow, now_ms: int, stop_code: object, reason: str) -> None:
    if row.ended_ms is None:
        row.ended_ms = now_ms
        if row.stop_code is None and stop_code is not None:
            row.stop_code, row.reason = str(stop_code), reason


def task_frame(rows: Sequence[TaskRow]) -> pd.DataFrame:
    """Rows as a table with `TASK_COLUMNS`; see `TaskRows.frame`."""
    table = [
        {
            "task": row.task,
            "of": row.of,
            "group": row.group,
            "instance": row.instance,
            "submitted_s": _seconds(row.submitted_ms),
            "placed_s": _seconds(row.placed_ms),
            "running_s": _seconds(row.running_ms),
            "ended_s": _seconds(row.ended_ms),
            "stop_code": row.stop_code,
            "reason": row.reason,
        }
        for row in rows
    ]
    frame = pd.DataFrame(table, columns=list(TASK_COLUMNS))
    times = [name for name in TASK_COLUMNS if name.endswith("_s")]
    return frame.astype({"task": "Int64", **dict.fromkeys(times, "float64")})


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000
