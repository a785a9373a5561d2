"""The agent of one instance: its tasks, its line of tasks that wait for room, and its timers.

Sans-IO, as the scheduler is: it is told what happens and answers with actions for the container
runtime and state changes for ECS. `deadline_ms` says when to call `due` if nothing happens before.
Late, repeated and unknown calls and events change nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heappop
from typing import NamedTuple

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.account import InstanceAccount, Share, share_of
from stowplan.placement.agent.settings import DEFAULTS, AgentConfig, Shared
from stowplan.placement.agent.task import AgentTask
from stowplan.placement.model import StopCode, TaskDefinition
from stowplan.placement.taskdef.parse import TaskOverride


class Output(NamedTuple):
    """What follows from a call: actions to carry out, then state changes to tell, each in order."""

    actions: list[r.Action]
    changes: list[r.StateChange]


class Agent:
    """One instance's agent.

    Args:
        resources: as the instance registered (CPU units, MiB, counts by name).
        config: see `AgentConfig`.
        account: the instance's account, where others book in it too; default: a new one.
    """

    def __init__(
        self,
        resources: Mapping[str, int],
        config: AgentConfig = DEFAULTS,
        account: InstanceAccount | None = None,
    ) -> None:
        self.account = InstanceAccount(resources) if account is None else account
        self._shared = Shared(config)
        self._tasks: dict[int, AgentTask] = {}
        # Numbers of tasks that have ended, so that a late start finds nothing to start.
        self._ended: set[int] = set()
        self._remains: deque[tuple[int, int, tuple[str, ...]]] = deque()

    def start(
        self,
        task: int,
        definition: TaskDefinition,
        now_ms: int,
        override: TaskOverride | None = None,
    ) -> Output:
        """Start a task, as soon as its share is really free and all before it have theirs.

        Until it is RUNNING nothing is reported: it is PENDING. One that the empty instance could
        not hold stops at once. A task that is known, ended or not, is not started again.
        """
        if task in self._tasks or task in self._ended:
            return self._settle(now_ms)
        share = share_of(definition, override)
        lacking = self.account.lacking(share)
        if lacking:
            self._ended.add(task)
            what = f"the instance has not enough {', '.join(lacking)} for this task"
            reason = f"ResourceInitializationError: {what}"
            self._shared.changes.append(r.TaskStopped(task, StopCode.TASK_FAILED_TO_START, reason))
            return self._settle(now_ms)
        self._tasks[task] = AgentTask(task, definition, self._shared)
        if self.account.ask(task, share):
            self._tasks[task].begin(now_ms)
        return self._settle(now_ms)

    def resume(
        self,
        task: int,
        definition: TaskDefinition,
        since_ms: int,
        now_ms: int,
        override: TaskOverride | None = None,
    ) -> Output:
        """Take up a task that is RUNNING since then: nothing of it is started again.

        Whoever calls this tells next of all its containers that have ended meanwhile.
        """
        if task not in self._tasks and task not in self._ended:
            self._tasks[task] = AgentTask(task, definition, self._shared)
            self.account.keep(task, share_of(definition, override))
            self._tasks[task].resume(since_ms)
        return self._settle(now_ms)

    def stop(
        self,
        task: int,
        now_ms: int,
        stop_code: StopCode = StopCode.USER_INITIATED,
        reason: str = "Task stopped by user",
    ) -> Output:
        """Stop a task: its containers in reversed order of dependsOn, each with its stopTimeout.

        A task that still waits in line is stopped at once. An unknown task is reported as stopped,
        and does not start when its start comes late.
        """
        known = self._tasks.get(task)
        if known is not None:
            known.stop(stop_code, reason, now_ms)
        elif task not in self._ended:
            self._ended.add(task)
            self._shared.changes.append(r.TaskStopped(task, stop_code, reason))
        return self._settle(now_ms)

    def observe(self, event: r.RuntimeEvent, now_ms: int) -> Output:
        """Take in what the container runtime says."""
        known = self._tasks.get(event.task)
        if known is not None:
            known.observe(event, now_ms)
        elif isinstance(event, r.Created):
            # Its creation had been given up; no other call would remove it.
            self._shared.actions.append(r.RemoveContainer(event.task, event.container))
        return self._settle(now_ms)

    @property
    def deadline_ms(self) -> int | None:
        """When `due` must be called at the latest; None: only something else can happen."""
        timers = self._shared.timers
        while timers and self._stale(timers[0]):
            heappop(timers)
        times = [timers[0][0]] if timers else []
        if self._remains:
            times.append(self._remains[0][0])
        return min(times, default=None)

    def due(self, now_ms: int) -> Output:
        """Do what is due: give up actions that take too long, remove containers that are left
        over."""
        timers = self._shared.timers
        while timers and timers[0][0] <= now_ms:
            timer = heappop(timers)
            if not self._stale(timer):
                self._tasks[timer[1]].expire(timer[2], now_ms)
        while self._remains and self._remains[0][0] <= now_ms:
            _, task, names = self._remains.popleft()
            self._shared.actions += [r.RemoveContainer(task, name) for name in names]
        return self._settle(now_ms)

    # --- tasks that others play -------------------------------------------------------------------

    def hold(self, task: int, share: Share) -> bool:
        """A task that the agent does not play takes its share; False: it waits for TaskAdmitted."""
        return self.account.ask(task, share)

    def release(self, task: int, now_ms: int) -> Output:
        """A task that the agent does not play is gone, or waits no longer."""
        self.account.leave(task)
        return self._settle(now_ms)

    @property
    def idle(self) -> bool:
        """No task is played or waits, and no ended one need be remembered."""
        return not (self._tasks or self._ended or self.account.line)

    # --- inside -----------------------------------------------------------------------------------

    def _stale(self, timer: tuple[int, int, str]) -> bool:
        at_ms, task, name = timer
        known = self._tasks.get(task)
        return known is None or known.deadline_ms(name) != at_ms

    def _settle(self, now_ms: int) -> Output:
        """Free what ended tasks held, admit the tasks in line, and return what follows from it."""
        changes, seen = self._shared.changes, 0
        while seen < len(changes) or self.account.line:
            for each in changes[seen:]:
                if isinstance(each, r.TaskStopped) and each.task in self._tasks:
                    self._forget(each.task, now_ms)
            seen = len(changes)
            admitted = self.account.admit()
            if not admitted:
                break
            for task in admitted:
                if task in self._tasks:
                    self._tasks[task].begin(now_ms)
                else:
                    changes.append(r.TaskAdmitted(task))
        output = Output(self._shared.actions, changes)
        self._shared.actions, self._shared.changes = [], []
        return output

    def _forget(self, task: int, now_ms: int) -> None:
        containers = self._tasks.pop(task).containers
        self._ended.add(task)
        self.account.leave(task)
        wait_ms = self._shared.config.cleanup_wait_ms
        names = tuple(name for name, each in containers.items() if each.exists)
        if wait_ms is not None and names:
            self._remains.append((now_ms + wait_ms, task, names))
