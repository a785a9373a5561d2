"""One task on its agent: its containers from image to exit, in the order that dependsOn asks for.

The rules are ECS's (ecs-semantics 1.2, 4.1-4.4); what AWS leaves open is marked *ours*. A container
waits for its dependencies before its image is pulled, one action of it is under way at a time, and
while the task stops a container is stopped once all that depend on it have stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.container import Container, Phase
from stowplan.placement.agent.settings import Shared, pull_delay_ms
from stowplan.placement.model import StopCode, TaskDefinition

EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
GONE = "CannotInspectContainerError: the container is gone, and how it ended is not known"
_KILLED = 137
# An answer of the runtime is under way.
_MOVES = (Phase.PULLING, Phase.CREATING, Phase.STARTING, Phase.STOPPING)


class AgentTask:
    """A task that has its share of the instance. Every method ends with what follows from it."""

    def __init__(self, task: int, definition: TaskDefinition, shared: Shared) -> None:
        self.task, self._shared = task, shared
        self.containers = {each.name: Container(each) for each in definition.containers}
        self._dependents: dict[str, list[Container]] = {name: [] for name in self.containers}
        for container in self.containers.values():
            for name, condition in container.dependencies:
                if condition != "CREATE":  # whose volumes it has need not outlive it
                    self._dependents[name].append(container)
        self._ending: tuple[StopCode, str] | None = None
        self._exit_code: int | None = None  # of the container whose exit is why it ends
        self._reported_running = self.stopped = False
        self._health: bool | None = None
        self._look_ms: int | None = None  # until then nothing is begun, see AgentConfig.kind
        self._answers: dict[type, Callable[[Container, Any, int], None]] = {
            r.ImagePulled: self._pulled,
            r.PullFailed: self._pull_failed,
            r.Created: self._created,
            r.CreateFailed: self._create_failed,
            r.Started: self._started,
            r.StartFailed: self._start_failed,
            r.Exited: self._exited,
            r.HealthChanged: self._judged,
        }

    def begin(self, now_ms: int) -> None:
        """Take up the containers."""
        self._progress(now_ms)

    def resume(self, since_ms: int) -> None:
        """Take up the containers of a task that was RUNNING: each has run since then, until its end
        is told."""
        self._reported_running = True
        for container in self.containers.values():
            container.exists = container.ever_started = True
            container.first_ms = container.started_ms = since_ms
            self._enter(container, Phase.RUNNING)

    def stop(self, stop_code: StopCode, reason: str, now_ms: int) -> None:
        """Stop all containers; the first reason to stop is the one that is told."""
        self._end(stop_code, reason)
        self._progress(now_ms)

    def observe(self, event: r.RuntimeEvent, now_ms: int) -> None:
        """Take in what the runtime says; what does not belong to the container's phase is late."""
        container = self.containers.get(event.container)
        if container is not None and not self.stopped:
            self._answers[type(event)](container, event, now_ms)
            self._progress(now_ms)

    def expire(self, name: str, now_ms: int) -> None:
        """The deadline of a container has come, or of the whole task ("")."""
        if not name:
            self._look_ms = None
            self._progress(now_ms)
            return
        container = self.containers[name]
        container.deadline_ms, phase = None, container.phase
        config = self._shared.config
        if phase is Phase.PULLING and container.failures and container.pull_error:
            self._pull(name, container)  # once more
        elif phase is Phase.PULLING:
            container.pull_error = _timeout("pulled", config.pull_timeout_ms)
            self._without_pull(container)
        elif phase is Phase.CREATING:
            self._failed(container, _timeout("created", config.create_timeout_ms))
        elif phase is Phase.STARTING:
            # It may still start, so it is stopped; it is gone when the runtime says so.
            container.reason = _timeout("running", config.start_timeout_ms)
            self._stop_container(container)
            self._essential_down(container)
        elif phase is Phase.RUNNING and self._awaited(container):
            limit_s = container.definition.start_timeout
            what = f"container {name} did not meet its dependency condition in {limit_s} s"
            self._end(StopCode.TASK_FAILED_TO_START, f"TaskDependencyError: {what}")
        self._progress(now_ms)

    # --- what the runtime says --------------------------------------------------------------------

    def _pulled(self, container: Container, event: r.ImagePulled, now_ms: int) -> None:
        self._shared.pulled.add(container.definition.image)
        if container.phase is Phase.PULLING:
            self._enter(container, Phase.PULLED)

    def _pull_failed(self, container: Container, event: r.PullFailed, now_ms: int) -> None:
        if container.phase is not Phase.PULLING:
            return
        container.pull_error = f"CannotPullContainerError: {event.reason}"
        container.failures += 1
        last_ms = container.asked_ms + self._shared.config.pull_retry_ms
        if now_ms >= last_ms:
            self._without_pull(container)
        else:
            again_ms = min(now_ms + pull_delay_ms(container.failures), last_ms)
            self._enter(container, Phase.PULLING, again_ms)

    def _without_pull(self, container: Container) -> None:
        """No fresh image: where a cached one may do, the creation will tell whether there is."""
        if self._shared.config.pull_behavior in ("always", "once"):
            self._failed(container, container.pull_error)
        else:
            self._enter(container, Phase.PULLED)

    def _created(self, container: Container, event: r.Created, now_ms: int) -> None:
        if container.phase is Phase.CREATING:
            container.exists = True
            if self._ending is None:
                self._start(container, now_ms)
            else:
                self._enter(container, Phase.STOPPED)
        elif container.phase is Phase.STOPPED and not container.exists:
            self._shared.actions.append(r.RemoveContainer(self.task, event.container))

    def _create_failed(self, container: Container, event: r.CreateFailed, now_ms: int) -> None:
        if container.phase is Phase.CREATING:
            reason = f"CannotCreateContainerError: {event.reason}"
            self._failed(container, container.pull_error or reason)

    def _started(self, container: Container, event: r.Started | None, now_ms: int) -> None:
        if container.phase is not Phase.STARTING:
            return
        container.started_ms = now_ms
        if not container.ever_started:
            container.ever_started, container.first_ms = True, now_ms
        limit_s = container.definition.start_timeout
        until = container.first_ms + 1000 * limit_s if limit_s else None
        self._enter(container, Phase.RUNNING, until if self._awaited(container) else None)

    def _start_failed(self, container: Container, event: r.StartFailed, now_ms: int) -> None:
        if container.phase in (Phase.STARTING, Phase.STOPPING):
            reason = f"CannotStartContainerError: {event.reason}"
            self._failed(container, container.reason or reason)

    def _exited(self, container: Container, event: r.Exited, now_ms: int) -> None:
        if container.phase is Phase.STARTING:
            self._started(container, None, now_ms)
            self._report_running()
        if container.phase not in (Phase.RUNNING, Phase.STOPPING):
            return
        goes_on = container.phase is Phase.RUNNING and self._ending is None
        container.exit_code = event.exit_code
        if event.exit_code is None:
            container.reason = container.reason or GONE
        if event.oom_killed and event.exit_code == _KILLED:
            container.reason = OUT_OF_MEMORY
        if goes_on and container.restarts_now(event.exit_code, now_ms):
            container.restarts += 1
            container.healthy = None
            self._start(container, now_ms)
            return
        self._enter(container, Phase.STOPPED)
        if goes_on and container.definition.essential:
            self._exit_code = event.exit_code
            self._end(StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED)

    def _judged(self, container: Container, event: r.HealthChanged, now_ms: int) -> None:
        if container.phase is Phase.RUNNING:
            container.healthy = event.healthy

    # --- what follows -----------------------------------------------------------------------------

    def _progress(self, now_ms: int) -> None:
        """Do all that can be done now, and report what that makes of the task."""
        if self.stopped:
            return
        if self._look_ms is None:
            if self._ending is None:
                for name, container in self.containers.items():
                    if container.phase in (Phase.WAITING, Phase.PULLED):
                        self._advance(name, container, now_ms)
            if self._ending is not None:
                self._wind_down()
            self._wait(now_ms)
        self._report_running()
        self._report_health()
        if all(each.phase is Phase.STOPPED for each in self.containers.values()):
            self._report_stopped()

    def _wait(self, now_ms: int) -> None:
        """Where all that is left to do waits for the order of others, look again later."""
        poll_ms, phases = self._shared.config.poll_ms, [c.phase for c in self.containers.values()]
        waits = any(phase in (Phase.WAITING, Phase.PULLED) for phase in phases)
        if poll_ms and waits and not any(phase in _MOVES for phase in phases):
            self._look_ms = now_ms + poll_ms
            heappush(self._shared.timers, (self._look_ms, self.task, ""))

    def deadline_ms(self, name: str) -> int | None:
        """Until when a container is given time, or the whole task ("")."""
        return self.containers[name].deadline_ms if name else self._look_ms

    def _advance(self, name: str, container: Container, now_ms: int) -> None:
        """Pull or create, where the dependencies allow it."""
        ready = True
        for on, condition in container.dependencies:
            met = self.containers[on].meets(condition)
            if met is None:
                what = f"container {name} needs {on} to be {condition}, and it never will be"
                self._end(StopCode.TASK_FAILED_TO_START, f"TaskDependencyError: {what}")
                return
            ready = ready and met
        config = self._shared.config
        if container.phase is Phase.WAITING and (ready or config.pull_upfront):
            container.asked_ms = now_ms
            self._pull(name, container)
        elif container.phase is Phase.PULLED and ready:
            self._shared.actions.append(r.CreateContainer(self.task, name))
            self._enter(container, Phase.CREATING, now_ms + config.create_timeout_ms)

    def _pull(self, name: str, container: Container) -> None:
        config, image = self._shared.config, container.definition.image
        cached = config.pull_behavior == "prefer-cached"
        cached |= config.pull_behavior == "once" and image in self._shared.pulled
        container.pull_error = ""
        self._shared.actions.append(r.PullImage(self.task, name, image, cached))
        self._enter(container, Phase.PULLING, container.asked_ms + config.pull_timeout_ms)

    def _wind_down(self) -> None:
        """Stop containers on which no other depends any more; those being created are awaited
        first."""
        moved = True
        while moved:
            moved = False
            for name, container in self.containers.items():
                if any(each.phase is not Phase.STOPPED for each in self._dependents[name]):
                    continue
                if container.phase in (Phase.WAITING, Phase.PULLING, Phase.PULLED):
                    self._enter(container, Phase.STOPPED)
                    moved = True
                elif container.phase is Phase.RUNNING:
                    self._stop_container(container)

    def _start(self, container: Container, now_ms: int) -> None:
        self._shared.actions.append(r.StartContainer(self.task, container.definition.name))
        self._enter(container, Phase.STARTING, now_ms + self._shared.config.start_timeout_ms)

    def _stop_container(self, container: Container) -> None:
        own = container.definition.stop_timeout
        timeout_s = self._shared.config.stop_timeout_s if own is None else own
        name = container.definition.name
        self._shared.actions.append(r.StopContainer(self.task, name, timeout_s))
        self._enter(container, Phase.STOPPING)

    def _enter(self, container: Container, phase: Phase, deadline_ms: int | None = None) -> None:
        container.phase, container.deadline_ms = phase, deadline_ms
        if deadline_ms is not None:
            heappush(self._shared.timers, (deadline_ms, self.task, container.definition.name))

    def _awaited(self, container: Container) -> bool:
        """Whether another container waits for it to be more than started."""
        name = container.definition.name
        return self._ending is None and any(
            on == name and condition != "START" and not container.meets(condition)
            for each in self._dependents[name]
            if each.phase in (Phase.WAITING, Phase.PULLING, Phase.PULLED)
            for on, condition in each.dependencies
        )

    def _failed(self, container: Container, reason: str) -> None:
        """A container did not come up, and will not."""
        container.reason = reason
        self._enter(container, Phase.STOPPED)
        self._essential_down(container)

    def _essential_down(self, container: Container) -> None:
        if container.definition.essential:
            if self._reported_running:
                self._end(StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED)
            else:
                self._end(StopCode.TASK_FAILED_TO_START, container.reason)

    def _end(self, stop_code: StopCode, reason: str) -> None:
        if self._ending is None:
            self._ending = (stop_code, reason)

    # --- reports ----------------------------------------------------------------------------------

    def _report_running(self) -> None:
        """RUNNING: the least that any container has reached; a finished one holds nothing back."""
        if self._reported_running or self._ending is not None:
            return
        if all(e.ever_started or e.phase is Phase.STOPPED for e in self.containers.values()):
            self._reported_running = True
            self._shared.changes.append(r.TaskRunning(self.task))

    def _report_health(self) -> None:
        """The worst of the essential containers that have a check; unknown is not told."""
        if not self._reported_running or self._ending is not None:
            return
        checked = [
            each.healthy
            for each in self.containers.values()
            if each.definition.essential and each.definition.health_check
        ]
        health = False if False in checked else None if None in checked else bool(checked) or None
        if health is not None and health is not self._health:
            self._health = health
            self._shared.changes.append(r.TaskHealth(self.task, health))

    def _report_stopped(self) -> None:
        assert self._ending is not None, "a task has an essential container, which has stopped"
        self.stopped = True
        ends = tuple(
            r.ContainerEnd(name, each.exit_code, each.reason, each.restarts)
            for name, each in self.containers.items()
        )
        self._shared.changes.append(r.TaskStopped(self.task, *self._ending, ends, self._exit_code))


def _timeout(state: str, limit_ms: int) -> str:
    """ECS's words, with Go's way to write a duration."""
    minutes, seconds = divmod(limit_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    took = f"{hours}h{minutes}m{seconds}s" if hours else f"{minutes}m{seconds}s"
    return (
        f"ContainerRuntimeTimeoutError: Could not transition to {state}; "
        f"timed out after waiting {took}"
    )
