"""Ten tasks on 4, 5 or 6 instances, by deploy order alone: the case of aws/containers-roadmap#105.

    python -m stowplan.experiments.studies.deploy_order

What the user told, and how it is modelled here:
- ECS's default placement: over zones, then over instances. Ties go to the older instance.
- "Default roll over": minimumHealthyPercent 100, maximumPercent 200. The service is scaled to twice
  its count, and when all of that runs the old tasks are stopped. (The scheduler has no deployments
  of its own yet; the new tasks find the old ones in their places, as in ECS.)
- "SchedulableContainers" scales a group of 3 to 20 instances: that is how many of the largest task
  would still fit. One instance more while it is 0, one less while it is above 1, and a "good enough
  small pause" after every step.
- The group terminates by AWS's default policy: in the zone that has most instances, the oldest. It
  drains first. New instances go to the zone that has fewest.

So there is always an instance with room for a big task, and spread is drawn to just that one: a
small task takes its place, the group grows, and nothing ever puts the small ones together again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.placement import messages as m
from stowplan.placement.model import AVAILABILITY_ZONE, MEMORY, TaskStatus
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.repack import RepackPlan, free_instances
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.scenario.scenario import InstanceSpec, Scenario, instance_specs
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.taskdef.parse import parse_task_definition, task_resources

SCENARIO = SCENARIOS / "deploy_order.toml"
INSTANCES_MAX = 20
STEP_MS = 60_000


class Account:
    """The user's services on his group of instances; each call is a step and the pause after it."""

    def __init__(self, scenario: Scenario) -> None:
        self.rounds: list[m.Round] = []
        self.counts = {table.name: table.desired_count for table in scenario.service}
        self._definitions = {table.name: table.task_definition for table in scenario.service}
        self._memory = {
            name: task_resources(parse_task_definition(scenario.task_definitions[task]))[MEMORY]
            for name, task in self._definitions.items()
        }
        self._group = _Group(instance_specs(scenario))
        self._scheduler = Scheduler()
        self._tasks: dict[int, tuple[str, int]] = {}
        self._round(*map(m.RegisterTaskDefinition, scenario.task_definitions.values()))
        for _ in range(self._group.least):
            self._round(self._group.grow())

    def launch(self, service: str) -> None:
        """Create a service."""
        call = m.CreateService(service, self._definitions[service], self.counts[service])
        self._round(call)
        self._pause()

    def deploy(self, service: str) -> None:
        """Replace the tasks of a service by new ones: those first, then the old ones go."""
        old = [task for task, (name, _) in self._tasks.items() if name == service]
        self._round(m.UpdateService(service, 2 * self.counts[service]))
        self._pause()
        old = [task for task in old if task in self._tasks]
        self._round(m.StopTask(tuple(old)), m.UpdateService(service, self.counts[service]))
        self._pause()

    def occupied(self) -> int:
        """Instances that hold a task."""
        return len({instance for _, instance in self._tasks.values()})

    def repacked(self) -> Answer[RepackPlan]:
        """The fewest moves, in order, to the fewest instances that could hold these tasks."""
        running = self._scheduler.outlook().running()
        return free_instances(RepackState(self._scheduler.engine, running))

    def _round(self, *events: m.Event) -> None:
        """Let the scheduler decide; what it starts runs, what it stops is gone."""
        now_ms = STEP_MS * len(self.rounds)
        for event in events:
            self._scheduler.receive(event)
        commands = self._scheduler.decide(now_ms)
        self.rounds.append(m.Round(now_ms, events, commands))
        reports: list[m.Event] = []
        for command in commands:
            if isinstance(command, m.StartTasks) and command.service is not None:
                for task, instance in zip(command.tasks, command.instances, strict=True):
                    self._tasks[task] = (command.service, instance)
                reports.append(m.TasksChanged(TaskStatus.RUNNING, command.tasks))
            elif isinstance(command, m.StopTasks):
                for task in command.tasks:
                    del self._tasks[task]
                reports.append(m.TasksChanged(TaskStatus.STOPPED, command.tasks))
        if reports:
            self._round(*reports)

    def _pause(self) -> None:
        """Long enough for the group to settle: growing first, and never below its least."""
        while self._schedulable() < 1 and len(self._group.zones) < INSTANCES_MAX:
            self._round(self._group.grow())
        while self._schedulable() > 1 and len(self._group.zones) > self._group.least:
            number = self._group.shrink()
            self._round(m.UpdateContainerInstancesState((number,), "DRAINING"))
            self._round(m.InstancesGone((number,)))

    def _schedulable(self) -> int:
        """How many more of the largest task fit: the metric that the group scales by."""
        free = dict.fromkeys(self._group.zones, self._group.memory)
        for service, instance in self._tasks.values():
            free[instance] -= self._memory[service]
        return sum(left // max(self._memory.values()) for left in free.values())


class _Group:
    """An auto scaling group; `zones` has the zone of every instance, oldest first."""

    def __init__(self, specs: list[InstanceSpec]) -> None:
        self.least = len(specs)
        self.zones: dict[int, str] = {}
        self._spec = specs[0]
        self._all_zones = list(dict.fromkeys(s.attributes[AVAILABILITY_ZONE] for s in specs))
        self._launched = 0

    @property
    def memory(self) -> int:
        """What an empty instance offers."""
        return self._spec.resources[MEMORY]

    def grow(self) -> m.InstanceRegistered:
        """One more, where there are fewest."""
        have = Counter(self.zones.values())
        zone = min(self._all_zones, key=lambda zone: have[zone])
        number, self._launched = self._launched, self._launched + 1
        self.zones[number] = zone
        attributes = {**self._spec.attributes, AVAILABILITY_ZONE: zone}
        return m.InstanceRegistered(
            number, f"i-{number:017x}", dict(self._spec.resources), attributes
        )

    def shrink(self) -> int:
        """One less: the oldest in the zone that has most."""
        have = Counter(self.zones.values())
        most = max(have.values())
        number = next(n for n, zone in self.zones.items() if have[zone] == most)
        del self.zones[number]
        return number


def launched(scenario: Scenario, order: Iterable[str]) -> Account:
    """The services launched by hand, one after the other."""
    account = Account(scenario)
    for service in order:
        account.launch(service)
    return account


def random_orders(services: Iterable[str], each: int, orders: int, seed: int) -> Iterator[str]:
    """Orders in which to take every service `each` times; their names are one letter each."""
    rng = np.random.default_rng(seed)
    deployments = list(services) * each
    for _ in range(orders):
        yield "".join(rng.permutation(deployments))


def deployed(scenario: Scenario, order: str) -> Account:
    """The account after all was launched biggest first and then deployed in `order`."""
    account = launched(scenario, [table.name for table in scenario.service])
    for service in order:
        account.deploy(service)
    return account


def main(orders: int = 300) -> int:
    """Print a table: what was done, and how many instances it left occupied."""
    scenario = load_scenario(SCENARIO).scenario
    names = [table.name for table in scenario.service]
    print(f"launched by hand, biggest first: {launched(scenario, names).occupied()} instances")
    by_hand = random_orders(names, 1, orders, seed=0)
    counts = Counter(launched(scenario, order).occupied() for order in by_hand)
    _show(f"launched by hand in {orders} random orders", counts)
    for each in (1, 4):
        sample = list(random_orders(names, each, orders, seed=each))
        left = {order: deployed(scenario, order).occupied() for order in sample}
        what = f"then every service deployed {each}x, in {orders} random orders"
        _show(what, Counter(left.values()))
        for occupied in sorted(set(left.values())):
            first = next(order for order in sample if left[order] == occupied)
            print(f"    {occupied} instances after {first}")
    worst = max(left, key=lambda order: left[order])
    _show_moves(left[worst], deployed(scenario, worst).repacked())
    return 0


def _show_moves(occupied: int, answer: Answer[RepackPlan]) -> None:
    plan = answer.plan
    assert plan is not None, answer.reasons
    least = f"at least {answer.lower_bound} are needed"
    print(f"from {occupied} to {plan.used} instances in {answer.objective} moves, {least}:")
    for number, move in enumerate(plan.moves, 1):
        service = move.kind.group.removeprefix("service:")
        note = ", for a while" if move.parking else ""
        assert move.source is not None, "all tasks run: none waits to be started"
        source, target = plan.names[move.source], plan.names[move.target]
        print(f"    {number}. a task of {service} from {source} to {target}{note}")
    print(f"    and {', '.join(plan.names[row] for row in plan.freed)} are free")


def _show(what: str, counts: Counter[int]) -> None:
    shares = [f"{n}: {100 * counts[n] / counts.total():.0f} %" for n in sorted(counts)]
    print(f"{what}: {', '.join(shares)}")


if __name__ == "__main__":
    sys.exit(main())
