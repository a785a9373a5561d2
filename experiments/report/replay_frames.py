"""A run as frames of a map: what every instance holds at sampled times, and what happened between.

Follows rounds as the `Recorder` does, of a finished journal or of a run that goes on: `document`
may be asked for at any time, and is what the page `templates/replay.*` draws. Memory is bounded:
frames begin a second apart, and when there are too many every second one is merged into its
successor, so any run has a few hundred. A frame holds what changed since the one before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stowplan.experiments.record.recorder import Recorder
from stowplan.placement import messages as m
from stowplan.placement.callers.client import RESUBMIT, RETRY
from stowplan.placement.model import StopCode

FRAMES_MAX, EVENTS_MAX = 400, 1500
ABSENT, ACTIVE, DRAINING, CUT_OFF, GONE = range(5)
SERVICE, FAULT, FAILURE, CALL = range(4)
COUNTERS = (
    *("running", "pending", "waiting", "present", "busy"),
    *("cpu", "cpu_used", "memory", "memory_used"),
)


@dataclass
class Frames(Recorder):
    """Call it with every round, then ask for the `document`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._step_ms = 1000
        self._times: list[int] = []
        self._counters: list[list[int]] = []
        self._changes: list[dict[int, tuple[int, ...]]] = []
        self._held: list[dict[int, list[int]]] = []
        self._status: list[int] = []
        self._shown: list[tuple[int, ...]] = []
        self._dirty: set[int] = set()
        self._groups: dict[str, int] = {}
        self._events = _Events()
        self._tellers: dict[type, Any] = {
            m.CreateService: self._tell_created,
            m.UpdateService: self._tell_updated,
            m.UpdateContainerInstancesState: self._tell_state,
            m.AgentConnectionChanged: self._tell_connection,
            m.InstancesGone: self._tell_gone,
            m.InstancesTerminating: self._tell_terminating,
            m.SetDesiredCapacity: self._tell_capacity,
            m.LaunchFailed: self._tell_launch_failed,
            m.TasksChanged: self._tell_stopped,
            m.TasksHealthChanged: self._tell_unhealthy,
            m.ServiceEvent: lambda e: self._tell(SERVICE, e.text),
            m.RunTaskFailed: self._tell_failed,
            m.TasksStopped: self._tell_ended,
            m.CallRejected: lambda e: self._tell(FAILURE, f"call rejected: {e.reason}"),
        }

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        super().__call__(entry)
        registered = Counter[str]()
        for message in (*entry.accepted(), *entry.commands):
            if isinstance(message, m.InstanceRegistered):
                registered[self.instances[message.instance].type or "instance"] += 1
            elif (teller := self._tellers.get(type(message))) is not None:
                teller(message)
        for kind, count in registered.items():
            self._tell(CALL, f"{kind} registered", count)

    # --- frames ---------------------------------------------------------------------------------

    def _sample_until(self, now_ms: int) -> None:
        while len(self._times) * self._step_ms < now_ms:
            self._times.append(len(self._times) * self._step_ms)
            self._counters.append(self._count())
            self._changes.append(self._changed_cells())
            if len(self._times) > FRAMES_MAX:
                self.halve()

    def _count(self) -> list[int]:
        paid = (each for each in self.capacity.paid.values() if each.until_ms is None)
        price = sum(each.price_microusd_hour for each in paid)
        return [*(getattr(self.totals, name) for name in COUNTERS), price]

    def _changed_cells(self) -> dict[int, tuple[int, ...]]:
        cells = {}
        for number in sorted(self._dirty):
            cell = self._cell(number)
            if cell != self._shown[number]:
                cells[number] = self._shown[number] = cell
        self._dirty.clear()
        return cells

    def _cell(self, number: int) -> tuple[int, ...]:
        """Status, tasks, then group and its percent of CPU and of memory for each group there."""
        record, cell = self.instances[number], [self._status[number], self.instances[number].tasks]
        for group, (cpu, memory, _) in sorted(self._held[number].items()):
            cell += (group, _percent(cpu, record.cpu), _percent(memory, record.memory))
        return tuple(cell)

    def halve(self) -> None:
        """Twice the time between frames; what changed is kept, in the frame after."""
        changes = [self._changes[0]]
        for before, after in zip(self._changes[1::2], self._changes[2::2], strict=False):
            changes.append(dict(sorted({**before, **after}.items())))
        if len(self._changes) % 2 == 0:
            # The last frame has no successor yet: what it changed is still to be shown.
            for number in self._changes[-1]:
                self._shown[number] = ()
                self._dirty.add(number)
        self._step_ms *= 2
        self._changes, self._times = changes, self._times[::2]
        self._counters = self._counters[::2]
        self._events.merge(self._step_ms)

    def document(self) -> dict[str, Any]:
        """What there is so far, as plain data; the last frame is the present.

        `frames.changes` has a flat list for each frame: for each instance that changed the distance
        from the one before, how many numbers follow, and its cell (see `_cell`).
        """
        pending = {n: self._cell(n) for n in sorted(self._dirty)}
        changes = [_flat(change) for change in (*self._changes, pending)]
        return {
            "groups": list(self._groups),
            "instances": [[i.name, i.zone, i.type, i.cpu, i.memory] for i in self.instances],
            "counters": [*COUNTERS, "microusd_hour"],
            "frames": {
                "ms": [*self._times, self.now_ms],
                "counters": [*self._counters, self._count()],
                "changes": changes,
            },
            "events": self._events.listed(),
        }

    # --- what instances hold --------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        super()._registered(event)
        if event.instance < len(self._held):
            self._status[event.instance] = ACTIVE
        else:
            self._held.append({})
            self._status.append(ACTIVE)
            self._shown.append(())
        self._dirty.add(event.instance)

    def _gone(self, event: m.InstancesGone) -> None:
        for number in event.instances:
            self._mark(number, GONE)
        super()._gone(event)

    def _mark(self, number: int, status: int) -> None:
        if self._status[number] != GONE:
            self._status[number] = status
            self._dirty.add(number)

    def _start(self, command: m.StartTasks) -> None:
        super()._start(command)
        for task in command.tasks:
            self._book(task, 1)

    def _remove(self, task: int) -> None:
        self._book(task, -1)
        super()._remove(task)

    def _book(self, task: int, sign: int) -> None:
        booked = self._tasks[task]
        name = _owner(self.owners[booked.owner].name)
        group = self._groups.setdefault(name, len(self._groups))
        held = self._held[booked.instance].setdefault(group, [0, 0, 0])
        for at, amount in enumerate((booked.kind[0][1], booked.kind[1][1], 1)):
            held[at] += sign * amount
        if not held[2]:
            del self._held[booked.instance][group]
        self._dirty.add(booked.instance)

    # --- what is said ---------------------------------------------------------------------------

    def _tell(self, kind: int, text: str, count: int = 1) -> None:
        self._events.add(self.now_ms, kind, text, count)

    def _tell_created(self, call: m.CreateService) -> None:
        count = "DAEMON" if call.scheduling_strategy == "DAEMON" else f"{call.desired_count} tasks"
        self._tell(CALL, f"service {call.service} created: {count}")

    def _tell_updated(self, call: m.UpdateService) -> None:
        if call.desired_count is not None:
            self._tell(CALL, f"service {call.service}: desired count {call.desired_count}")
        if call.task_definition is not None or call.force_new_deployment:
            what = call.task_definition or "the same task definition"
            self._tell(CALL, f"service {call.service}: deployment of {what}")

    def _tell_state(self, call: m.UpdateContainerInstancesState) -> None:
        for number in call.instances:
            self._mark(number, DRAINING if call.status == "DRAINING" else ACTIVE)
        self._tell(FAULT, f"instances {call.status}{self._where(call)}", len(call.instances))

    def _tell_connection(self, event: m.AgentConnectionChanged) -> None:
        for number in event.instances:
            self._mark(number, ACTIVE if event.connected else CUT_OFF)
        what = "connected again" if event.connected else "cut off"
        self._tell(FAULT, f"agents {what}{self._where(event)}", len(event.instances))

    def _tell_gone(self, event: m.InstancesGone) -> None:
        self._tell(FAULT, f"instances {event.reason}{self._where(event)}", len(event.instances))

    def _tell_terminating(self, event: m.InstancesTerminating) -> None:
        leaving = set(event.ec2_instance_ids)
        for number, record in enumerate(self.instances):
            if record.name in leaving:
                self._mark(number, DRAINING)
        self._tell(CALL, f"instances to be terminated: {event.reason}", len(leaving))

    def _tell_capacity(self, command: m.SetDesiredCapacity) -> None:
        group = command.capacity_provider
        self._tell(CALL, f"capacity provider {group}: {command.desired_capacity} instances wanted")

    def _tell_launch_failed(self, event: m.LaunchFailed) -> None:
        self._tell(
            FAILURE, f"{event.capacity_provider}: launch failed, {event.reason}", event.count
        )

    def _where(self, message: Any) -> str:
        zones = sorted({self.instances[number].zone for number in message.instances} - {""})
        return f" in {', '.join(zones)}" if zones else ""

    def _tell_stopped(self, event: m.TasksChanged) -> None:
        if event.stop_code is StopCode.TASK_FAILED_TO_START:
            self._tell(FAILURE, f"task failed to start: {event.reason}", len(event.tasks))

    def _tell_ended(self, notice: m.TasksStopped) -> None:
        lost = notice.stop_code in (StopCode.INFRASTRUCTURE_HEALTH, StopCode.SPOT_INTERRUPTION)
        text = "tasks lost with their instance" if lost else f"task given up: {notice.reason}"
        self._tell(FAILURE, text, len(notice.tasks))

    def _tell_unhealthy(self, event: m.TasksHealthChanged) -> None:
        if not event.healthy:
            self._tell(FAILURE, "health check failed", len(event.tasks))

    def _tell_failed(self, notice: m.RunTaskFailed) -> None:
        name = _owner(self.owners[notice.request].name)
        self._tell(FAILURE, f"{name}: no room, {notice.failure.reason}", notice.count)


@dataclass
class _Events:
    """What happened, in order; the same within one step is one line with a count."""

    step_ms: int = 1000
    lines: dict[tuple[int, int, str], list[int]] = field(default_factory=dict)
    left_out: int = 0

    def add(self, ms: int, kind: int, text: str, count: int) -> None:
        line = self.lines.setdefault((ms // self.step_ms, kind, text), [ms, 0])
        line[1] += count
        while len(self.lines) > 2 * EVENTS_MAX and self.step_ms <= ms:
            self.merge(2 * self.step_ms)
        if len(self.lines) > 2 * EVENTS_MAX:
            self.left_out += self.lines.popitem()[1][1]

    def merge(self, step_ms: int) -> None:
        """Make one line of what is the same within a longer step."""
        self.step_ms = max(self.step_ms, step_ms)
        old, self.lines = self.lines, {}
        for (_, kind, text), (ms, count) in old.items():
            self.lines.setdefault((ms // self.step_ms, kind, text), [ms, 0])[1] += count

    def listed(self) -> list[list[Any]]:
        """(ms, kind, text, count), by time; at the end how many did not find room."""
        lines = [[ms, kind, text, n] for (_, kind, text), (ms, n) in self.lines.items()]
        if self.left_out:
            lines.append([lines[-1][0], FAILURE, "more happened than is listed", self.left_out])
        return lines


def _owner(name: str) -> str:
    """Of a workload or service, by the name that its calls carry."""
    return name.removesuffix(RETRY).removesuffix(RESUBMIT) or "tasks"


def _percent(used: int, of: int) -> int:
    return max(1, min(100, round(100 * used / of))) if used and of else 0


def _flat(change: dict[int, tuple[int, ...]]) -> list[int]:
    flat: list[int] = []
    last = 0
    for number, cell in change.items():
        flat += (number - last, len(cell), *cell)
        last = number
    return flat
