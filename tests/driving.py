"""For tests of the scheduler: messages in few words, and a scheduler whose rounds are kept."""

from __future__ import annotations

from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import Violation, check_rounds
from stowplan.placement.model import (
    AVAILABILITY_ZONE,
    PlacementConstraint,
    PlacementStrategy,
    StopCode,
    TaskStatus,
)
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig

BINPACK = (PlacementStrategy("binpack", "cpu"),)
DISTINCT = (PlacementConstraint("distinctInstance"),)


def member_of(expression: str) -> tuple[PlacementConstraint, ...]:
    """A memberOf constraint."""
    return (PlacementConstraint("memberOf", expression),)


def definition(
    family: str = "app", cpu: int = 256, memory: int = 128, host_port: int = 0, **fields: Any
) -> m.RegisterTaskDefinition:
    """A task definition with one container."""
    container: dict[str, Any] = {"name": "c", "image": "i", "cpu": cpu, "memory": memory}
    if host_port:
        container["portMappings"] = [{"containerPort": 80, "hostPort": host_port}]
    return m.RegisterTaskDefinition(
        {"family": family, "containerDefinitions": [container], **fields}
    )


def instance(
    number: int, cpu: int = 1024, memory: int = 1024, zone: str = "a", **fields: Any
) -> m.InstanceRegistered:
    """An instance registers; `attributes` among `fields` come on top of its zone."""
    attributes = {AVAILABILITY_ZONE: zone, **fields.pop("attributes", {})}
    resources = {"CPU": cpu, "MEMORY": memory, **fields.pop("resources", {})}
    return m.InstanceRegistered(number, f"i-{number}", resources, attributes, **fields)


def run_task(request: int = 0, count: int = 1, family: str = "app", **fields: Any) -> m.RunTask:
    """RunTask, by binpack unless `fields` say otherwise, so that nothing is left to chance."""
    fields.setdefault("placement_strategy", BINPACK)
    return m.RunTask(request, family, count, **fields)


def provider(name: str = "cp", cpu: int = 1024, memory: int = 1024, **fields: Any) -> Any:
    """CreateCapacityProvider of a group of one type in zones a and b; `scaling` its fields."""
    scaling = m.ManagedScaling(**fields.pop("scaling", {}))
    fields = {"max_size": 10, "managed_scaling": scaling, "managed_draining": False, **fields}
    template = m.LaunchTemplate({"CPU": cpu, "MEMORY": memory}, {})
    return m.CreateCapacityProvider(name, (template,), ("a", "b"), **fields)


def on(**weights: int) -> m.CapacityProviderStrategy:
    """A capacity provider strategy by weights."""
    return tuple(m.CapacityProviderStrategyItem(name, weight) for name, weight in weights.items())


def launched(*instances: int, name: str = "cp") -> m.InstancesLaunched:
    """EC2 instances of a group run; `instance(n, capacity_provider=name)` registers one."""
    those = tuple(m.LaunchedInstance(f"i-{n}", "m5.large", "a", 10) for n in instances)
    return m.InstancesLaunched(name, those)


def terminated(*instances: int) -> m.InstancesTerminated:
    """EC2 instances of a group are gone."""
    return m.InstancesTerminated(tuple(f"i-{n}" for n in instances))


def running(*tasks: int) -> m.TasksChanged:
    """The agents report RUNNING."""
    return m.TasksChanged(TaskStatus.RUNNING, tasks)


def stopped(*tasks: int) -> m.TasksChanged:
    """The agents report that tasks ended by themselves."""
    return m.TasksChanged(TaskStatus.STOPPED, tasks, StopCode.ESSENTIAL_CONTAINER_EXITED, "done")


def draining(*instances: int) -> m.UpdateContainerInstancesState:
    """Instances are set DRAINING."""
    return m.UpdateContainerInstancesState(instances, "DRAINING")


def gone(*instances: int) -> m.InstancesGone:
    """Instances are terminated."""
    return m.InstancesGone(instances)


ROUNDS_MOST = 5_000  # a test that drives on for as long as something happens has an end, too


class Driven:
    """A scheduler, driven by hand; every round is a second later than the last, and kept."""

    def __init__(self, config: SchedulerConfig | None = None, **registries: Any) -> None:
        self.scheduler = Scheduler(config or SchedulerConfig(), **registries)
        self.rounds: list[m.Round] = []
        self.now_ms = 0

    def round(self, *events: m.Event, at_ms: int | None = None) -> tuple[m.Command, ...]:
        """Give it the events and let it decide; the books must balance after."""
        assert len(self.rounds) < ROUNDS_MOST, f"no end after {ROUNDS_MOST} rounds: a livelock"
        self.now_ms = self.now_ms + 1000 if at_ms is None else at_ms
        for event in events:
            self.scheduler.receive(event)
        commands = self.scheduler.decide(self.now_ms)
        self.rounds.append(m.Round(self.now_ms, events, commands))
        self.scheduler.cluster.check()
        return commands

    def violations(self) -> list[Violation]:
        """What the checkers have to say on all rounds so far."""
        return check_rounds(self.rounds)

    def places(self, commands: tuple[m.Command, ...]) -> list[int]:
        """The instance of every task that `commands` start, in order."""
        return [i for c in commands if isinstance(c, m.StartTasks) for i in c.instances]


def of(kind: type, commands: tuple[m.Command, ...]) -> list[Any]:
    """The commands of one type."""
    return [command for command in commands if isinstance(command, kind)]
