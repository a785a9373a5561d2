"""The figures of a run, worked out anew from its journal: what its results must say.

Shares no code with what records a run. That keeps running sums of the whole cluster; here every
task, instance and service is a life with a beginning and an end, and the sums are of those.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.audit.constraint_rules import Stated, nothing_stated
from stowplan.placement.audit.figures_costs import Costs
from stowplan.placement.audit.figures_deploying import Deploying
from stowplan.placement.audit.figures_ends import Ends
from stowplan.placement.audit.figures_free import Frames
from stowplan.placement.audit.figures_machines import HOUR_MS, Machines
from stowplan.placement.audit.figures_rollouts import Revisions, Rollouts
from stowplan.placement.audit.figures_services import ServiceLives
from stowplan.placement.audit.figures_waits import Vacancies
from stowplan.placement.messages import Round
from stowplan.placement.model import PORTS, TaskStatus
from stowplan.placement.taskdef.parse import TaskOverride, parse_task_definition, task_resources

# Figures of tables of results, a row each; the others are of a run.
TABLES = ("dollars of ", "idle dollars of ", "dollars for ")
AGAIN = ("/retry", "/resubmit")  # how the client marks a call that asks again


@dataclass(slots=True)
class _Task:
    owner: int | str
    machine: int
    amounts: tuple[tuple[str, int], ...]
    placed_ms: int
    serves: bool  # it is no daemon's
    ran_ms: int | None = None


@dataclass(slots=True)
class _Job:
    """Tasks that somebody asked for at once: when, how many, how many ran, how many are owed."""

    asked_ms: int
    count: int
    name: str
    ran: int = 0


class Figures:
    """Call it with every round, then ask for the `row`.

    Args:
        stated: what constraints ask for whose types the audit does not know.
    """

    def __init__(self, stated: Stated = nothing_stated) -> None:
        self.now_ms = 0
        self._machines = Machines()
        self._tasks: dict[int, _Task] = {}
        self._jobs: dict[int, _Job] = {}
        self._waits: list[int] = []
        self._starts: list[int] = []
        # Of tasks of services, and of the others: how long they were in PROVISIONING.
        self._provisioned: dict[bool, list[int]] = {True: [], False: []}
        self._since: dict[int, int] = {}  # of tasks in PROVISIONING
        self._counts: Counter[str] = Counter()
        self._percents: list[float] = []
        self._extra: dict[int, tuple[tuple[str, int], ...]] = {}
        self._documents: Revisions = {}
        self._daemons: set[str] = set()
        self._services = ServiceLives()
        self._vacancies = Vacancies()
        self._rollouts = Rollouts(self._documents, stated)
        self._deploying = Deploying(self._rollouts)
        self._ends = Ends()
        self._owed: Counter[int | str] = Counter()
        self._died: dict[int, tuple[_Task, int]] = {}  # with when that was
        self._lost_ms: int | None = None
        self._heard_ms: int | None = None
        self._whole_ms: int | None = None
        self._frames = Frames()
        self._costs = Costs()
        self._service_tasks: set[int] = set()

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        self._frames.until(entry.now_ms)
        self._deploying.until(entry.now_ms)
        self.now_ms, self._died = entry.now_ms, {}
        for message in (*entry.accepted(), *entry.commands):
            handler = _HANDLERS.get(type(message))
            if handler is not None:
                handler(self, message)
            for book in (self._services, self._vacancies, self._rollouts, self._deploying):
                book.take(message, entry.now_ms)

    # --- instances ------------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        if self._machines.register(event, self.now_ms):
            self._frames.register(event.resources)
        else:
            self._frames.present(event.instance, True)

    def _launched(self, event: m.InstancesLaunched) -> None:
        self._counts["launches"] += len(event.instances)
        self._machines.launched(event, self.now_ms)

    def _terminated(self, event: m.InstancesTerminated) -> None:
        self._counts["terminations"] += len(event.ec2_instance_ids)
        for name in event.ec2_instance_ids:
            self._machines.unpaid(name, self.now_ms)

    def _gone(self, event: m.InstancesGone) -> None:
        since_ms = self.now_ms if event.since_ms is None else event.since_ms
        for number in event.instances:
            for task in self._machines.tasks(number):
                self._died[task] = self._end(task), since_ms
            self._machines.go(number, self.now_ms)
            self._frames.present(number, False)

    # --- what is asked for ----------------------------------------------------------------------

    def _register(self, call: m.RegisterTaskDefinition) -> None:
        definition = parse_task_definition(call.document)
        self._documents.setdefault(definition.family, []).append(definition)

    def _service(self, call: m.CreateService) -> None:
        if call.scheduling_strategy == "DAEMON":
            self._daemons.add(call.service)

    def _run_task(self, call: m.RunTask) -> None:
        if not call.started_by.endswith(AGAIN):
            self._extra[call.request] = call.resources
            self._ask(call.request, call.count, call.started_by)
        elif call.started_by.endswith(AGAIN[1]):
            self._counts["asked again"] += call.count

    def _start_task(self, call: m.StartTask) -> None:
        self._ask(call.request, len(call.instances), call.started_by)

    def _throttled(self, event: m.CallThrottled) -> None:
        self._counts["throttled"] += 1
        if event.count and event.request is not None and not event.started_by.endswith(AGAIN):
            self._ask(event.request, event.count, event.started_by)

    def _ask(self, request: int, count: int, name: str) -> None:
        self._jobs[request] = _Job(self.now_ms, count, name)
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
        asked = task_resources(
            definition, TaskOverride(command.cpu, command.memory, extra, command.overrides)
        )
        return tuple((name, amount) for name, amount in asked.items() if name != PORTS)

    def _start(self, command: m.StartTasks) -> None:
        amounts = self._amounts(command)
        owner = command.service if command.service is not None else command.request
        assert owner is not None
        if command.service is None:
            self._counts["placed"] += len(command.tasks)
        serves, provisioned = owner not in self._daemons, self._provisioned[isinstance(owner, str)]
        for task, number in zip(command.tasks, command.instances, strict=True):
            self._tasks[task] = _Task(owner, number, amounts, self.now_ms, serves)
            self._machines.hold(number, task, serves, self.now_ms)
            self._frames.book(number, amounts, 1)
            self._costs.book(number, self._whose(owner), amounts, 1, self.now_ms)
            if task in self._since:
                provisioned.append(self.now_ms - self._since.pop(task))

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
                self._note_end(event, task)
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

    def _note_end(self, said: m.TasksChanged | m.TasksStopped, task: _Task) -> None:
        ran = task.ran_ms is not None
        self._ends.add(said, task.owner, self.now_ms - task.placed_ms, ran=ran)

    def _end(self, number: int) -> _Task:
        task = self._tasks.pop(number)
        lived_ms = self.now_ms - task.placed_ms
        self._machines.release(task.machine, number, task.amounts, lived_ms, self.now_ms)
        self._frames.book(task.machine, task.amounts, -1)
        self._costs.book(task.machine, self._whose(task.owner), task.amounts, -1, self.now_ms)
        return task

    def _whose(self, owner: int | str) -> str:
        """An owner as costs name it: two may have the same name."""
        if isinstance(owner, str):
            return f"service {owner}"
        return f"workload {self._jobs[owner].name}"

    def _stopped(self, notice: m.TasksStopped) -> None:
        for number in notice.tasks:
            self._since.pop(number, None)
            if number in self._died:
                self._lost(*self._died[number])
                self._note_end(notice, self._died[number][0])
                continue
            self._counts["given up"] += number not in self._service_tasks
            self._ends.add(notice, None, None, ran=False)

    def _lost(self, task: _Task, since_ms: int) -> None:
        """It died with its instance. A daemon is not to come back elsewhere."""
        self._counts["lost"] += 1
        self._heard_ms = self.now_ms if self._heard_ms is None else self._heard_ms
        self._lost_ms = since_ms if self._lost_ms is None else min(self._lost_ms, since_ms)
        if task.serves:
            self._owed[task.owner] += 1
            self._whole_ms = None if isinstance(task.owner, str) else self._whole_ms

    def _failed_launch(self, event: m.LaunchFailed) -> None:
        self._counts["launch_failures"] += 1

    def _measured(self, notice: m.CapacityProviderReservation) -> None:
        self._percents.append(notice.percent)

    # --- the row --------------------------------------------------------------------------------

    def row(self) -> dict[str, float | None]:
        """Every figure by its name in the results, up to the last round; None: there is none."""
        now, counts = self.now_ms, self._counts
        self._frames.until(now + 1)
        self._deploying.until(now)
        asked = counts["submitted"] + counts["asked again"]
        left = asked - counts["placed"] - counts["given up"] + self._services.lack()
        named = ("submitted", "refusals", "lost", "recovered", "launches")
        return {
            **{name: counts[name] for name in named},
            **{name: counts[name] for name in ("terminations", "launch_failures", "throttled")},
            **self._machines.row(now, self._held),
            **self._costs.row(self._machines.bills(now), now),
            **self._services.row(now),
            **self._frames.row(),
            **self._of_ends(),
            **self._of_daemons(left),
            **self._of_waits(),
            "started": len(self._waits),
            "started_per_hour": len(self._starts) * HOUR_MS / max(1, now),
            "services_back_s": self._back(self._lost_ms),
            "services_back_heard_s": self._back(self._heard_ms),
            "reservation_mean_pct": _mean(self._percents),
            **self._deploying.row(),
            "deployments_unfinished": self._rollouts.unfinished(),
            "simulated_s": now / 1000,
        }

    def _of_waits(self) -> dict[str, float | None]:
        service_waits, found = self._vacancies.waits_ms, {}
        for name, is_service in (("", False), ("service_", True)):
            ms = self._provisioned[is_service]
            found[f"{name}provisioning_mean_s"] = _mean([each / 1000 for each in ms])
            found[f"{name}provisioning_max_s"] = _quantile(ms, 1)
        return {
            **found,
            "wait_p50_s": _quantile(self._waits, 0.5),
            "wait_p99_s": _quantile(self._waits, 0.99),
            "service_wait_p50_s": _quantile(service_waits, 0.5),
            "service_wait_p99_s": _quantile(service_waits, 0.99),
            "service_asked": self._vacancies.asked,
            "start_p50_s": _quantile(self._starts, 0.5),
            "start_p99_s": _quantile(self._starts, 0.99),
        }

    def _of_ends(self) -> dict[str, float | None]:
        ends = self._ends
        return {
            "finished": ends.finished,
            "crashed": ends.crashed,
            "failed_to_start": ends.failed_to_start,
        }

    def _of_daemons(self, left: int) -> dict[str, float | None]:
        """What depends on where DAEMONs are due; nothing where only code of others can tell."""
        daemons = self._rollouts.daemons()
        if daemons is None:
            return {}
        due, lacking = daemons
        loops = self._ends.loops({**self._rollouts.places(), **due})
        return {"waiting": left + lacking, "daemons_lacking": lacking, "crash_loops": loops}

    def _back(self, since_ms: int | None) -> float | None:
        if self._whole_ms is None or since_ms is None:
            return None
        return (self._whole_ms - since_ms) / 1000

    def _held(self, name: str) -> int:
        """Amount times ms of the tasks that are there."""
        tasks = self._tasks.values()
        return sum(dict(x.amounts).get(name, 0) * (self.now_ms - x.placed_ms) for x in tasks)


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
    more = [name for name in said if name.startswith(TABLES) and name not in row]
    return found + [f"{name}: the results have it, the journal has not" for name in more]


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
    m.CreateService: Figures._service,
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
