"""Fargate: each task has a machine of its size, which is there for it alone and goes with it."""

import pytest

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Callers
from stowplan.placement.describe import Reader
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.model import InstanceStatus, TaskStatus
from stowplan.placement.scenario.models import Models
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.sim.driver import SimDriver

SMALL, LARGE = "small:1", "large:1"
SPOT, BY_TYPE = "FARGATE_SPOT", "launchType:FARGATE"


def definition(name, cpu, memory):
    container = {"name": "app", "image": "nginx"}
    sizes = {"cpu": str(cpu), "memory": str(memory), "networkMode": "awsvpc"}
    return m.RegisterTaskDefinition(
        {"family": name, "containerDefinitions": [container], **sizes}
        | {"requiresCompatibilities": ["FARGATE"]}
    )


class World:
    """A cluster without instances, to which calls are made at their times."""

    def __init__(self, **boot):
        self.driver = SimDriver((), models=Models(**boot), until_ms=600_000, seed=1)
        self.callers, self.reader = Callers(), Reader()
        self.scheduler = Scheduler(SchedulerConfig())
        self.state, self.rounds = self.reader.state, []

    def run(self, *calls):
        for call in (definition("small", 256, 512), definition("large", 1024, 2048), *calls):
            self.callers.submit(call)
        run_loop(self.scheduler, Attended(self.driver, self.callers), self.record)
        return list(self.state.tasks.values())

    def record(self, entry):
        self.rounds.append(entry)
        self.reader(entry)

    def machines(self):
        found = [e for entry in self.rounds for e in entry.events]
        return [e for e in found if isinstance(e, m.InstanceRegistered)]


def run_task(name, count=1, provider=BY_TYPE, **fields):
    strategy = (m.CapacityProviderStrategyItem(provider, 1),)
    return m.RunTask(0, name, count, capacity_provider_strategy=strategy, **fields)


def test_each_task_has_a_machine_of_its_size():
    world = World()
    tasks = world.run(run_task(LARGE), run_task(SMALL, 2, SPOT))
    assert [task.last_status for task in tasks] == [TaskStatus.RUNNING] * 3
    assert len({task.instance for task in tasks}) == 3
    for task in tasks:
        machine = world.state.instances[task.instance]
        assert machine.registered == task.amounts
        assert machine.capacity_provider == task.capacity_provider
    spot, own = (world.state.instances[t.instance].price_microusd_hour for t in tasks[1::-1])
    assert own == (40_480 + 2 * 4_445)
    assert spot == round(0.3 * (40_480 / 4 + 4_445 / 2))
    assert world.state.list_instances() == []


def test_a_machine_goes_with_its_task_and_takes_no_other():
    world = World()
    world.run(run_task(SMALL))
    world.driver = None  # the run is over: what follows is the scheduler's alone
    scheduler = world.scheduler
    scheduler.receive(m.StopTask((0,)))
    scheduler.receive(run_task(SMALL))
    scheduler.receive(m.RunTask(7, SMALL, 1, capacity_provider_strategy=()))
    commands = scheduler.decide(700_000)
    assert [type(each) for each in commands] == [
        *(m.StopTasks, m.TasksProvisioning, m.RunTaskFailed)
    ], "neither a task of Fargate nor one of EC2 is put where another stops"
    assert commands[1].machines == (("CPU", 256), ("MEMORY", 512), ("ENI", 1))


@pytest.mark.parametrize("after_ms", [1, 40_000])
def test_a_task_that_is_stopped_leaves_no_machine(after_ms):
    world = World(boot={"mean": "40s"})
    stop = m.StopTask((0,))

    def later():
        yield world.driver._env.timeout(after_ms)
        world.driver._events.append(stop)

    world.driver._env.process(later())
    (task,) = world.run(run_task(SMALL))
    assert task.last_status is TaskStatus.STOPPED
    left = [e for e in world.state.instances.values() if e.status is not InstanceStatus.INACTIVE]
    assert left == []


def test_a_service_on_fargate_replaces_what_stops():
    world = World(boot={"mean": "10s"})
    strategy = (m.CapacityProviderStrategyItem(BY_TYPE, 1),)

    def later():
        yield world.driver._env.timeout(60_000)
        world.driver._events.append(m.StopTask((0,)))

    world.driver._env.process(later())
    world.run(m.CreateService("s", SMALL, 2, capacity_provider_strategy=strategy))
    running = [t for t in world.state.tasks.values() if t.last_status is TaskStatus.RUNNING]
    assert [task.number for task in running] == [1, 2]
    assert len(world.machines()) == 3
    assert sum(each.gone_ms is None for each in world.state.instances.values()) == 2
