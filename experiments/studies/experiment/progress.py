"""How far an experiment is: a bar on a terminal, lines elsewhere; what was known is no work."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from stowplan.experiments.report.progress_lines import ProgressLines


class RunsProgress:
    """Call it with how many runs are done, and how many there are as far as is known now."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} of {task.total} runs"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None
        self._known = self._total = -1
        self._lines: ProgressLines | None = None

    def __enter__(self) -> RunsProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Take in how far it is."""
        if total != self._total:  # more were found to be needed
            self._known, self._total = done, total
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task("experiment", total=total - done)
            self._lines = ProgressLines("experiment", total - done)
        assert self._task is not None
        assert self._lines is not None
        self._bar.update(self._task, completed=done - self._known)
        if self._bar.disable:
            self._lines(done - self._known, f"{done:,} of {total:,} runs")
