"""What a deployment that shifts traffic owes its callers, for `placement.audit.checkers`.

Read from ecs-2026, "Blue/green family": played from the notices of each stage, and from the tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History, ServiceFacts
from stowplan.placement.audit.hosts import TaskFacts
from stowplan.placement.audit.seen import Seen
from stowplan.placement.audit.service_rules import drains, is_proven, is_sick
from stowplan.placement.messages import Round
from stowplan.placement.model import StopCode

ORDER = (
    *("RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP"),
    *("TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT"),
    *("PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"),
)
WITHOUT_TRAFFIC = (*ORDER[:4], *ORDER[9:])
NETWORK_MS, DAY_MS = 10 * 60_000, 24 * 3_600_000


@dataclass(slots=True)
class _Going:
    """A deployment that goes on: how its service was configured when it began, its last notice, and
    since when it is in that stage; `shifted_ms`: when production traffic last moved."""

    call: m.CreateService
    told: m.DeploymentStage
    began_ms: int
    since_ms: int
    shifted_ms: int | None = None
    continued: set[str] = field(default_factory=set)
    ended: bool = False

    @property
    def shift(self) -> m.TrafficShift:
        assert self.call.shift is not None
        return self.call.shift

    @property
    def extra_ms(self) -> int:
        balancer = self.call.load_balancer
        return NETWORK_MS if balancer is not None and balancer.network else 0


class ShiftsGoByTheirStages:
    """Stages come in order and when their work, bakes and hooks are done, traffic moves by its
    steps, no stage lasts longer than it may, and what is replaced keeps its count until CLEAN_UP.
    """

    sees = (
        *(m.DeploymentStage, m.StartTasks, m.StopTasks, m.ServiceEvent, m.UpdateService),
        *(m.ContinueServiceDeployment, m.DeleteService, Round),
    )

    def __init__(self) -> None:
        self._going: dict[str, _Going] = {}

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if isinstance(seen, m.DeploymentStage):
            yield from self._told(history, seen)
        elif isinstance(seen, m.StartTasks):
            yield from self._started(history, seen)
        elif isinstance(seen, m.StopTasks):
            yield from self._stopped(history, seen)
        elif isinstance(seen, m.ContinueServiceDeployment):
            if (going := self._going.get(seen.service)) and seen.action == "CONTINUE":
                going.continued.add(seen.hook)
        elif isinstance(seen, m.ServiceEvent):
            if "deployment failed" in seen.text or "deployment completed" in seen.text:
                self._going.pop(seen.service, None)
        elif isinstance(seen, m.DeleteService):
            self._going.pop(seen.service, None)
        elif isinstance(seen, Round):
            yield from self._late(history)

    def _told(self, history: History, seen: m.DeploymentStage) -> Iterator[str]:
        now_ms, going = history.now_ms, self._going.get(seen.service)
        name = f"deployment {seen.deployment} of service {seen.service}"
        if going is None or going.told.deployment != seen.deployment:
            if seen.stage != ORDER[0] or seen.production or seen.source == seen.deployment:
                yield f"{name} begins with {seen.stage}, source {seen.source}"
            facts = history.services[seen.service]
            self._going[seen.service] = _Going(facts.call, seen, now_ms, now_ms)
            return
        back = going.told.production > 0 and seen.production == 0
        if going.ended:
            yield f"{name} goes on after its traffic was given back"
        elif seen.stage != going.told.stage:
            for what in self._left(history, going, seen):
                yield f"{name} {what}"
            going.since_ms, going.shifted_ms = now_ms, None
        elif seen.production != going.told.production and not back:
            for what in _moved(going, seen, now_ms):
                yield f"{name} {what}"
            going.shifted_ms = now_ms
        going.told, going.ended = seen, going.ended or back

    def _left(self, history: History, going: _Going, seen: m.DeploymentStage) -> Iterator[str]:
        """What was not done of a stage that was left for the next."""
        left, stays_ms = going.told.stage, history.now_ms - going.since_ms
        order = WITHOUT_TRAFFIC if going.call.headless else ORDER
        place = order.index(left) + 1 if left in order else len(order)
        if place >= len(order) or order[place] != seen.stage:
            yield f"goes from {left} to {seen.stage}"
        for number, hook in enumerate(going.shift.hooks):
            if left in hook.stages and not _has_ended(going, hook, f"{left}-{number}", stays_ms):
                yield f"leaves {left} before hook {number} has ended well"
        if left == "SCALE_UP":
            facts = history.services[seen.service]
            own = _of(history, facts, seen.deployment)
            healthy = sum(is_proven(history, t) and t.ran_ms is not None for t in own)
            if healthy < facts.call.desired_count:
                yield f"leaves SCALE_UP with {healthy} healthy tasks of {facts.call.desired_count}"
        if left == "PRODUCTION_TRAFFIC_SHIFT" and seen.production != 1000:
            yield f"leaves {left} with {seen.production} thousandths of the traffic"
        if left == "BAKE_TIME" and stays_ms < going.shift.bake_ms:
            yield f"leaves {left} after {stays_ms} ms"
        if left == "TEST_TRAFFIC_SHIFT" and (stays_ms < going.extra_ms or not seen.test):
            yield f"leaves {left} after {stays_ms} ms with {seen.test} thousandths"

    def _started(self, history: History, seen: m.StartTasks) -> Iterator[str]:
        """No deployment has more than its count, and a new one none before SCALE_UP."""
        facts = history.services.get(seen.service or "")
        if facts is None or not facts.call.shifts or seen.found:
            return
        going = self._going.get(seen.service or "")
        early = going is not None and going.told.deployment == seen.deployment
        if early and going is not None and ORDER.index(going.told.stage) < ORDER.index("SCALE_UP"):
            yield f"{seen.deployment} starts tasks {seen.tasks} in {going.told.stage}"
        stay = [t for t in _of(history, facts, seen.deployment) if _stays(history, t)]
        most = facts.call.desired_count + facts.call.availability_zone_rebalancing
        if len(stay) + len(seen.tasks) > most:
            yield f"{seen.deployment} starts tasks {seen.tasks} beside {len(stay)} of {most}"

    def _stopped(self, history: History, seen: m.StopTasks) -> Iterator[str]:
        """Until CLEAN_UP, what is replaced loses no healthy task that it needs."""
        if seen.stop_code is not StopCode.SERVICE_SCHEDULER_INITIATED:
            return
        for name, going in self._going.items():
            facts = history.services.get(name)
            if facts is None or going.ended or going.told.stage == "CLEAN_UP":
                continue
            tasks = [t for t in facts.tasks if history.tasks[t].deployment == going.told.source]
            stay = [t for t in tasks if _stays(history, history.tasks[t])]
            left = sum(task not in seen.tasks for task in stay)
            if left < min(len(stay), facts.call.desired_count):
                yield f"service {name} keeps {left} tasks of {going.told.source}, which it replaces"

    def _late(self, history: History) -> Iterator[str]:
        for name, going in self._going.items():
            told, lasts_ms = going.told, history.now_ms - going.since_ms
            pauses = [
                hook.timeout_ms
                for hook in going.shift.hooks
                if told.stage in hook.stages and hook.target == "PAUSE"
            ]
            most_ms = max([DAY_MS, *pauses])
            if told.stage == "BAKE_TIME":
                most_ms += going.shift.bake_ms
            elif told.stage == "PRODUCTION_TRAFFIC_SHIFT":
                most_ms += _bakes_ms(going.shift)
            if lasts_ms > most_ms or history.now_ms - going.began_ms > 30 * DAY_MS:
                yield f"service {name} is in {told.stage} for {lasts_ms} ms"


def _bakes_ms(shift: m.TrafficShift) -> int:
    """All that is waited for between steps of production traffic."""
    if shift.strategy == "CANARY":
        return shift.canary_bake_ms
    if shift.strategy == "LINEAR":
        return -(-1000 // shift.step_permille) * shift.step_bake_ms
    return 0


def _moved(going: _Going, seen: m.DeploymentStage, now_ms: int) -> Iterator[str]:
    """What is wrong with a step of production traffic."""
    shift, before = going.shift, going.told.production
    due, bake_ms = 1000, 0
    if shift.strategy == "LINEAR":
        due, bake_ms = min(1000, before + shift.step_permille), shift.step_bake_ms
    elif shift.strategy == "CANARY":
        due, bake_ms = (1000 if before else shift.canary_permille), shift.canary_bake_ms
    if seen.stage != "PRODUCTION_TRAFFIC_SHIFT" or seen.production != due:
        yield f"moves traffic to {seen.production} thousandths in {seen.stage}, {due} is next"
    last_ms = going.since_ms if going.shifted_ms is None else going.shifted_ms + bake_ms
    if now_ms < last_ms + going.extra_ms:
        yield f"moves traffic at {now_ms} ms, before {last_ms + going.extra_ms} ms"


def _has_ended(going: _Going, hook: m.LifecycleHook, name: str, stays_ms: int) -> bool:
    """Whether a hook lets its stage be left after so long."""
    if stays_ms >= hook.timeout_ms and hook.timeout_action == "CONTINUE":
        return True
    if hook.target == "PAUSE":
        return name in going.continued
    return not hook.fails and hook.takes_ms <= stays_ms


def _of(history: History, facts: ServiceFacts, deployment: str | None) -> list[TaskFacts]:
    """The tasks of a service's deployment."""
    tasks = (history.tasks[task] for task in facts.tasks)
    return [task for task in tasks if task.deployment == deployment]


def _stays(history: History, task: TaskFacts) -> bool:
    return not (drains(history, task) or is_sick(history, task))
