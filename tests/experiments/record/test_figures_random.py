"""Stories that chance makes up: what the recorder and the audit say of them must be the same."""

from __future__ import annotations

from random import Random

import pytest

from stowplan.placement import messages as m
from stowplan.placement.audit.figures import differing
from stowplan.placement.model import PlacementConstraint, StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from tests.driving import BINPACK, Driven, definition, instance, launched, on, provider, run_task
from tests.experiments.record.test_figures import both

EXITED = "Essential container in task exited"
ENDS = (
    (StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED, 0),
    (StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED, None),
    (StopCode.ESSENTIAL_CONTAINER_EXITED, EXITED, 1),
    (StopCode.ESSENTIAL_CONTAINER_EXITED, f"{EXITED}: OutOfMemoryError", None),
    (StopCode.TASK_FAILED_TO_START, "CannotPullContainerError", None),
)
NEW = PlacementConstraint("memberOf", "attribute:stack == new")
BREAKER = m.CircuitBreaker(rollback=True, threshold_type="COUNT", threshold_value=3)


class Story:
    """What may happen next, drawn by chance; agents report some of it late."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.driven = Driven(SchedulerConfig(seed, 3, 40_000))
        self.there: dict[int, m.InstanceRegistered] = {}
        self.ids = 0
        self.requests = 0
        self.tasks: dict[int, int] = {}  # -> its instance
        self.kinds = (
            *(self.registers, self.reported, self.reported, self.reported, self.judged),
            *(self.lost, self.set_state, self.connection, self.asked, self.updated),
            *(self.stopped_by_user, self.leaves, self.revised, self.back),
        )
        self.round(definition(), definition("logs", 64, 8), provider(), *self.services())

    def services(self) -> list[m.CreateService]:
        """REPLICAs, on instances and on a capacity provider, and DAEMONs."""
        calm = {"minimum_healthy_percent": 50, "circuit_breaker": BREAKER}
        return [
            m.CreateService("web", "app", 3, placement_strategy=BINPACK),
            m.CreateService("calm", "app", 2, **calm),
            m.CreateService("late", "app", 1, capacity_provider_strategy=on(cp=1)),
            m.CreateService("logs", "logs", 7, scheduling_strategy="DAEMON"),
            m.CreateService("new", "logs", scheduling_strategy="DAEMON", circuit_breaker=BREAKER),
        ]

    def round(self, *events: m.Event) -> None:
        """A round some time later; follow what is placed."""
        at_ms = self.driven.now_ms + self.random.choice((1, 500, 3_000, 20_000))
        for command in self.driven.round(*events, at_ms=at_ms):
            if isinstance(command, m.StartTasks):
                self.tasks.update(zip(command.tasks, command.instances, strict=True))
            elif isinstance(command, m.TasksStopped):
                for task in command.tasks:
                    self.tasks.pop(task, None)

    def go(self, rounds: int) -> list[m.Round]:
        """The rounds of the whole story."""
        for _ in range(rounds):
            events = [self.random.choice(self.kinds)() for _ in range(self.random.randint(0, 3))]
            self.round(*(event for event in events if event is not None))
        self.round()
        return self.driven.rounds

    def since(self) -> int | None:
        """Now, or a moment of the last half minute."""
        now_ms = self.driven.now_ms
        return self.random.choice((None, max(0, now_ms - self.random.randint(0, 30_000))))

    def some(self, those):
        """Up to three of them, each once."""
        those = sorted(those)
        return tuple(self.random.sample(those, min(len(those), self.random.randint(0, 3))))

    def registers(self):
        number = self.ids
        self.ids += 1
        stack = self.random.choice(("old", "new"))
        fields = {"zone": self.random.choice("ab"), "attributes": {"stack": stack}}
        owner = self.random.choice((None, "cp"))
        self.there[number] = instance(
            number, price_microusd_hour=number + 1, capacity_provider=owner, **fields
        )
        if owner is not None:
            self.round(launched(number))
            if self.random.random() < 0.2:
                self.round(m.InstancesTerminating((f"i-{number}",), "scale-in"))
        return self.there[number]

    def back(self):
        return self.there[self.random.choice(list(self.there))] if self.there else None

    def reported(self):
        status = self.random.choice((TaskStatus.RUNNING, TaskStatus.RUNNING, TaskStatus.STOPPED))
        if status is TaskStatus.RUNNING:
            return m.TasksChanged(status, self.some(self.tasks), since_ms=self.since())
        tasks, (code, reason, exit_code) = self.some(self.tasks), self.random.choice(ENDS)
        for task in tasks:
            del self.tasks[task]
        return m.TasksChanged(status, tasks, code, reason, exit_code, self.since())

    def judged(self):
        healthy = self.random.choice((True, False))
        return m.TasksHealthChanged(healthy, self.some(self.tasks), self.since())

    def lost(self):
        instances = self.some(self.there)[:1] if self.random.random() < 0.5 else ()
        self.tasks = {t: n for t, n in self.tasks.items() if n not in instances}
        return m.InstancesGone(instances, since_ms=self.since()) if instances else None

    def set_state(self):
        state = self.random.choice(("ACTIVE", "DRAINING"))
        return m.UpdateContainerInstancesState(self.some(self.there), state)

    def connection(self):
        return m.AgentConnectionChanged(self.some(self.there), self.random.random() < 0.7)

    def asked(self):
        self.requests += 1
        where = self.random.choice((None, "cp"))
        count = self.random.randint(1, 3)
        return run_task(self.requests, count, started_by="job", capacity_provider=where)

    def updated(self):
        name = self.random.choice(("web", "calm", "late"))
        return m.UpdateService(name, desired_count=self.random.randint(0, 5))

    def revised(self):
        name, family = self.random.choice((("calm", "app"), ("new", "logs"), ("web", "app")))
        if self.random.random() < 0.3:
            return m.UpdateService(name, force_new_deployment=True)
        constraints = self.random.choice(([], [{"type": NEW.type, "expression": NEW.expression}]))
        self.round(definition(family, 64, 8, placementConstraints=constraints))
        return m.UpdateService(name, task_definition=family)

    def stopped_by_user(self):
        return m.StopTask(self.some(self.tasks)[:1]) if self.tasks else None

    def leaves(self):
        owned = [n for n, x in self.there.items() if x.capacity_provider]
        return m.InstancesTerminating(tuple(f"i-{n}" for n in self.some(owned)[:1]), "scale-in")


@pytest.mark.parametrize("seed", range(20))
def test_recorder_and_audit_agree_on_whatever_happens(seed):
    said, row = both(Story(seed).go(120))
    assert differing(row, said) == []
