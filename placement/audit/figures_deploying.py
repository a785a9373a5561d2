"""What deployments cost, by a journal: a part of `placement.audit.figures`.

Each time that passes is looked at as a whole: which tasks there are, and where the traffic goes.
"""

from __future__ import annotations

from dataclasses import dataclass

from stowplan.placement import messages as m
from stowplan.placement.audit.figures_rollouts import Rollouts
from stowplan.placement.model import TaskStatus

_HOUR_MS = 3_600_000


@dataclass(slots=True)
class _Placed:
    service: str | None
    deployment: str | None
    machine: int
    serves: bool = False


class Deploying:
    """`take` every message, after `rollouts`; call `until` with the time of each round before."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts
        self._tasks: dict[int, _Placed] = {}
        self._prices: dict[int, int] = {}
        self._good: dict[str, str] = {}  # by service, the deployment that it could go back to
        self._weights: dict[str, int] = {}  # by service, thousandths on the new tasks
        self._before: list[int] | None = None
        self._at_ms = self._minutes_ms = self._extra_ms = self._most = 0
        self._risk_ms = self._paid = 0.0

    def until(self, now_ms: int) -> None:
        """Time has passed."""
        took_ms, self._at_ms = now_ms - self._at_ms, now_ms
        going = self._going() if took_ms else []
        if not going or self._before is None:
            return
        self._minutes_ms += took_ms * len(going)
        for name in going:
            call = self._rollouts.call(name)
            mine = [task for task in self._tasks.values() if task.service == name]
            self._extra_ms += took_ms * max(0, len(mine) - call.desired_count)
            self._risk_ms += took_ms * call.desired_count * self._share(name, call, mine)
        used = {task.machine for task in self._tasks.values()}
        self._most = max(self._most, len(used) - len(self._before))
        more = sum(self._prices[each] for each in used)
        more -= sum(self._prices[each] for each in self._before)
        self._paid += took_ms * max(0, more)

    def _share(self, name: str, call: m.CreateService, mine: list[_Placed]) -> float:
        if name in self._weights and not call.headless:
            return self._weights[name] / 1000
        serving = [task for task in mine if task.serves]
        new = [task for task in serving if task.deployment != self._good[name]]
        return len(new) / len(serving) if serving else 0.0

    def _going(self) -> list[str]:
        return [name for name in self._rollouts.going() if name in self._good]

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        if isinstance(message, m.InstanceRegistered):
            self._prices[message.instance] = message.price_microusd_hour
        elif isinstance(message, m.StartTasks):
            if message.service is None or not self._rollouts.is_daemon(message.service):
                for task, machine in zip(message.tasks, message.instances, strict=True):
                    self._tasks[task] = _Placed(message.service, message.deployment, machine)
        elif isinstance(message, m.StopTasks):
            self._serve(message.tasks, False)
        elif isinstance(message, m.TasksChanged):
            if message.status is TaskStatus.RUNNING:
                self._serve(message.tasks, True)
            elif message.status is TaskStatus.STOPPED:
                for task in message.tasks:
                    self._tasks.pop(task, None)
        elif isinstance(message, m.InstancesGone):
            gone = set(message.instances)
            self._tasks = {n: t for n, t in self._tasks.items() if t.machine not in gone}
        else:
            self._take_service(message)

    def _serve(self, tasks: tuple[int, ...], serves: bool) -> None:
        for number in tasks:
            if number in self._tasks:
                self._tasks[number].serves = serves

    def _take_service(self, message: m.Event | m.Command) -> None:
        if isinstance(message, m.DeploymentStage):
            self._weights[message.service] = message.production
        elif isinstance(message, m.UpdateService):
            if message.task_definition is not None or message.force_new_deployment:
                self._weights.pop(message.service, None)
        elif isinstance(message, m.ServiceEvent):
            if message.text.endswith("deployment completed."):
                self._good[message.service] = message.text.split("(deployment ")[1].split(")")[0]
                self._weights.pop(message.service, None)
            elif "rolling back to deployment" in message.text:
                self._good[message.service] = message.text.split()[-1].strip(".")
        if not self._going():
            self._before = None
        elif self._before is None:
            self._before = list({task.machine for task in self._tasks.values()})

    def row(self) -> dict[str, float | None]:
        """The figures by their names in the results."""
        return {
            "deploying_min": self._minutes_ms / 60_000,
            "deploying_extra_task_min": self._extra_ms / 60_000,
            "deploying_at_risk_task_min": self._risk_ms / 60_000,
            "deploying_extra_instances": self._most,
            "deploying_extra_dollars": self._paid / _HOUR_MS / 1e6,
        }
