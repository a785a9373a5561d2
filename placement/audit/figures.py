"""The figures of a run, worked out anew from its journal: what its results must say.

Shares no code with what records a run. That keeps running sums of the whole cluster; here every
task, instance and service is a life with a beginning and an end, and the sums are of those.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.audit.figures_free import Frames
from stowplan.placement.audit.figures_services import ServiceLives
from stowplan.placement.messages import Round
from stowplan.placement.model import CPU, MEMORY, PORTS, StopCode, TaskStatus
from stowplan.placement.taskdef.parse import TaskOverride, parse_task_definition, task_resources

HOUR_MS = 3_600_000
AGAIN = ("/retry", "/resubmit")  # how the client marks a call that asks again


@dataclass(slots=True)
class _Machine:
    """An instance: the sums of when it was there and when it held a task, in ms."""

    said: m.InstanceRegistered
    there_since: int | None
    there_ms: int = 0
    holds: set[int] = field(default_factory=set)
    held_since: int = 0
    held_ms: int = 0
    used: bool = False


@dataclass(slots=True)
class _Task:
    owner: int | str
    machine: int
    amounts: tuple[tuple[str, int], ...]
    placed_ms: int
    ran_ms: int | None = None


@dataclass(slots=True)
class _Job:
    """Tasks that somebody asked for at once: when, how many, how many ran, how many are owed."""

    asked_ms: int
    count: int
    ran: int = 0


@dataclass(slots=True)
class _Bill:
    price: int
    since_ms: int
    until_ms: int | None = None

    def ms(self, now_ms: int) -> int:
        return (now_ms if self.until_ms is None else self.until_ms) - self.since_ms


class Figures:
    """Call it with every round, then ask for the `row`."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._machines: list[_Machine] = []
        self._tasks: dict[int, _Task] = {}
        self._jobs: dict[int, _Job] = {}
        self._bills: dict[str, _Bill] = {}
        self._waits: list[int] = []
        self._starts: list[int] = []
        self._provisioned: list[int] = []
        self._since: dict[int, int] = {}  # of tasks in PROVISIONING
        self._counts: Counter[str] = Counter()
        self._used_ms: Counter[str] = Counter()  # amount times ms
        self._percents: list[float] = []
        self._extra: dict[int, tuple[tuple[str, int], ...]] = {}
        self._documents: dict[str, list[Any]] = {}
        self._services = ServiceLives()
        self._owed: Counter[int | str] = Counter()
        self._died: dict[int, int | str] = {}
        self._lost_ms: int | None = None
        self._whole_ms: int | None = None
        self._frames = Frames()
        self._service_tasks: set[int] = set()

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        self._frames.until(entry.now_ms)
        self.now_ms, self._died = entry.now_ms, {}
        for message in (*entry.accepted(), *entry.commands):
            handler = _HANDLERS.get(type(message))
            if handler is not None:
                handler(self, message)
            self._services.take(message, entry.now_ms)

    # --- instances ------------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        if event.instance < len(self._machines):
            machine = self._machines[event.instance]
            if machine.there_since is None:
                machine.there_since = self.now_ms
                self._frames.present(event.instance, True)
        else:
            self._machines.append(_Machine(event, self.now_ms))
            self._frames.register(event.resources)
        bill = _Bill(event.price_microusd_hour, self.now_ms)
        self._bills.setdefault(event.ec2_instance_id, bill)

    def _launched(self, event: m.InstancesLaunched) -> None:
        self._counts["launches"] += len(event.instances)
        for each in event.instances:
            bill = _Bill(each.price_microusd_hour, self.now_ms)
            self._bills[each.ec2_instance_id] = bill

    def _terminated(self, event: m.InstancesTerminated) -> None:
        self._counts["terminations"] += len(event.ec2_instance_ids)
        for name in event.ec2_instance_ids:
            self._unpaid(name)

    def _unpaid(self, name: str) -> None:
        bill = self._bills[name]
        bill.until_ms = self.now_ms if bill.until_ms is None else bill.until_ms

    def _gone(self, event: m.InstancesGone) -> None:
        for number in event.instances:
            machine = self._machines[number]
            for task in list(machine.holds):
                self._died[task] = self._tasks[task].owner
                self._end(task)
            self._unpaid(machine.said.ec2_instance_id)
            if machine.there_since is not None:
                machine.there_ms += self.now_ms - machine.there_since
                machine.there_since = None
                self._frames.present(number, False)

    # --- what is asked for ----------------------------------------------------------------------

    def _register(self, call: m.RegisterTaskDefinition) -> None:
        definition = parse_task_definition(call.document)
        self._documents.setdefault(definition.family, []).append(definition)

    def _run_task(self, call: m.RunTask) -> None:
        if not call.started_by.endswith(AGAIN):
            self._extra[call.request] = call.resources
            self._ask(call.request, call.count)
        elif call.started_by.endswith(AGAIN[1]):
            self._counts["asked again"] += call.count

    def _start_task(self, call: m.StartTask) -> None:
        self._ask(call.request, len(call.instances))

    def _throttled(self, event: m.CallThrottled) -> None:
        self._counts["throttled"] += 1
        if event.count and event.request is not None and not event.started_by.endswith(AGAIN):
            self._ask(event.request, event.count)

    def _ask(self, request: int, count: int) -> None:
        self._jobs[request] = _Job(self.now_ms, count)
        self._counts["submitted"] += count

    def _failed(self, notice: m.RunTaskFailed) -> None:
        self._counts["refusals"] += notice.count
        if notice.instance is not None:
            self._counts["given up"] += notice.count

    def _said(self, notice: m.ServiceEvent) -> None:
        self._counts["refusals"] += notice.failure is not None

    # --- tasks ----------------------------------------------------------------------------------

    def _amounts(self, command: m.StartTasks) -> tuple[tuple[str, int], ...]:
        family, _, revision = command.task_definition.partition(":")
        definition = self._documents[family][int(revision or 0) - 1]
        extra = () if command.request is None else self._extra.get(command.request, ())
        asked = task_resources(definition, TaskOverride(command.cpu, command.memory, extra))
        return tuple((name, amount) for name, amount in asked.items() if name != PORTS)

    def _start(self, command: m.StartTasks) -> None:
        amounts = self._amounts(command)
        owner = command.service if command.service is not None else command.request
        assert owner is not None
        if command.service is None:
            self._counts["placed"] += len(command.tasks)
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._tasks[task] = _Task(owner, number, amounts, self.now_ms)
            machine = self._machines[number]
            if not machine.holds:
                machine.held_since = self.now_ms
            machine.holds.add(task)
            machine.used = True
            self._frames.book(number, amounts, 1)
            if task in self._since:
                self._provisioned.append(self.now_ms - self._since.pop(task))

    def _provisioning(self, notice: m.TasksProvisioning) -> None:
        self._since.update((task, self.now_ms) for task in notice.tasks)
        if notice.service is not None:
            self._service_tasks.update(notice.tasks)

    def _changed(self, event: m.TasksChanged) -> None:
        for number in event.tasks:
            task = self._tasks.get(number)
            if task is None:
                continue
            if event.status is TaskStatus.RUNNING and task.ran_ms is None:
                self._ran(task)
            elif event.status is TaskStatus.STOPPED:
                by_itself = event.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
                self._counts["finished"] += by_itself and task.ran_ms is not None
                self._end(number)

    def _ran(self, task: _Task) -> None:
        task.ran_ms = self.now_ms
        self._starts.append(self.now_ms - task.placed_ms)
        job = self._jobs.get(task.owner) if isinstance(task.owner, int) else None
        if job is not None and job.ran < job.count:
            job.ran += 1
            self._waits.append(self.now_ms - job.asked_ms)
        if self._owed[task.owner]:
            self._owed[task.owner] -= 1
            self._counts["recovered"] += 1
            owing = any(n and isinstance(owner, str) for owner, n in self._owed.items())
            if isinstance(task.owner, str) and not owing:
                self._whole_ms = self.now_ms

    def _end(self, number: int) -> None:
        task = self._tasks.pop(number)
        machine = self._machines[task.machine]
        machine.holds.remove(number)
        if not machine.holds:
            machine.held_ms += self.now_ms - machine.held_since
        for name, amount in task.amounts:
            self._used_ms[name] += amount * (self.now_ms - task.placed_ms)
        self._frames.book(task.machine, task.amounts, -1)

    def _stopped(self, notice: m.TasksStopped) -> None:
        for task in notice.tasks:
            self._since.pop(task, None)
            if task in self._died:
                self._counts["lost"] += 1
                self._owed[self._died[task]] += 1
                self._lost_ms = self.now_ms if self._lost_ms is None else self._lost_ms
            elif task not in self._service_tasks:
                self._counts["given up"] += 1

    def _failed_launch(self, event: m.LaunchFailed) -> None:
        self._counts["launch_failures"] += 1

    def _measured(self, notice: m.CapacityProviderReservation) -> None:
        self._percents.append(notice.percent)

    # --- the row --------------------------------------------------------------------------------

    def row(self) -> dict[str, float | None]:
        """Every figure by its name in the results, up to the last round; None: there is none."""
        now, counts = self.now_ms, self._counts
        self._frames.until(now + 1)
        asked = counts["submitted"] + counts["asked again"]
        left = asked - counts["placed"] - counts["given up"] + self._services.lack()
        back = None
        if self._whole_ms is not None and self._lost_ms is not None:
            back = (self._whole_ms - self._lost_ms) / 1000
        named = ("submitted", "finished", "refusals", "lost", "recovered", "launches")
        return {
            **{name: counts[name] for name in named},
            **{name: counts[name] for name in ("terminations", "launch_failures", "throttled")},
            **self._of_machines(),
            **self._services.row(now),
            **self._frames.row(),
            "wait_p50_s": _quantile(self._waits, 0.5),
            "wait_p99_s": _quantile(self._waits, 0.99),
            "start_p50_s": _quantile(self._starts, 0.5),
            "start_p99_s": _quantile(self._starts, 0.99),
            "started_per_hour": len(self._starts) * HOUR_MS / max(1, now),
            "started": len(self._waits),
            "waiting": left,
            "services_back_s": back,
            "reservation_mean_pct": _mean(self._percents),
            "provisioning_mean_s": _mean([ms / 1000 for ms in self._provisioned]),
            "provisioning_max_s": _quantile(self._provisioned, 1),
            "simulated_s": now / 1000,
        }

    def _of_machines(self) -> dict[str, float | None]:
        now, machines, bills = self.now_ms, self._machines, self._bills.values()
        there = [
            each.there_ms + (0 if each.there_since is None else now - each.there_since)
            for each in machines
        ]
        held = [each.held_ms + (now - each.held_since if each.holds else 0) for each in machines]
        prices = [each.said.price_microusd_hour for each in machines]
        return {
            "instances": len(machines),
            "instances_used": sum(each.used for each in machines),
            "instances_busy_mean": sum(held) / max(1, now),
            "dollars": sum(bill.price * bill.ms(now) for bill in bills) / HOUR_MS / 1e6,
            "dollars_busy": sum(p * ms for p, ms in zip(prices, held, strict=True)) / HOUR_MS / 1e6,
            "instance_hours": sum(bill.ms(now) for bill in bills) / HOUR_MS,
            "cpu_reserved_pct": self._reserved(CPU, there),
            "memory_reserved_pct": self._reserved(MEMORY, there),
        }

    def _reserved(self, name: str, there: Sequence[int]) -> float | None:
        pairs = zip(self._machines, there, strict=True)
        offered = sum(machine.said.resources.get(name, 0) * ms for machine, ms in pairs)
        used = self._used_ms[name]
        for task in self._tasks.values():
            used += dict(task.amounts).get(name, 0) * (self.now_ms - task.placed_ms)
        return 100 * used / offered if offered else None


def differing(row: Mapping[str, Any], said: Mapping[str, Any]) -> list[str]:
    """What results say otherwise than a row of figures: a sentence for each.

    Sums that are added up in another order may differ by a billionth.
    """
    found = []
    for name, value in row.items():
        told = said.get(name)
        told = None if told is None or math.isnan(told) else told
        same = value == told
        if value is not None and told is not None:
            same = math.isclose(value, told, rel_tol=1e-9, abs_tol=1e-9)
        if name in said and not same:
            found.append(f"{name} is {value} by the journal, the results say {told}")
    return found


def _quantile(times_ms: list[int], share: float) -> float | None:
    """In seconds, between the two nearest in proportion, as numpy's default has it."""
    if not times_ms:
        return None
    ordered = sorted(times_ms)
    at = share * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return (low + (high - low) * (at - math.floor(at))) / 1000


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


_HANDLERS: dict[type, Callable[[Figures, Any], None]] = {
    m.InstanceRegistered: Figures._registered,
    m.InstancesLaunched: Figures._launched,
    m.InstancesTerminated: Figures._terminated,
    m.InstancesGone: Figures._gone,
    m.RegisterTaskDefinition: Figures._register,
    m.RunTask: Figures._run_task,
    m.StartTask: Figures._start_task,
    m.CallThrottled: Figures._throttled,
    m.RunTaskFailed: Figures._failed,
    m.ServiceEvent: Figures._said,
    m.StartTasks: Figures._start,
    m.TasksProvisioning: Figures._provisioning,
    m.TasksChanged: Figures._changed,
    m.TasksStopped: Figures._stopped,
    m.LaunchFailed: Figures._failed_launch,
    m.CapacityProviderReservation: Figures._measured,
}
