"""The strategy `optimal`: what it plans, where its plan leads, and that a run of it repeats."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.placement import messages as m
from stowplan.placement.journal import replay
from stowplan.placement.model import PlacementStrategy, TaskStatus
from stowplan.placement.optimal.strategy import KEPT, PLANNED, UNUSED, USED, Optimal
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import Planner
from stowplan.placement.testing import make_kind

BINPACK = (PlacementStrategy("binpack", "memory"),)
OPTIMAL = (PlacementStrategy("optimal", "30s"), *BINPACK)


class World:
    """A scheduler on instances of 100 MiB, in which what is started runs at once."""

    def __init__(self, instances, chain, sizes):
        self.scheduler, self.rounds, self.chain = Scheduler(), [], chain
        self.where, self.failed = {}, 0
        definitions = [
            {"family": f"m{n}", "containerDefinitions": [{"name": "c", "image": "i", "memory": n}]}
            for n in sizes
        ]
        self.round(0, *map(m.RegisterTaskDefinition, definitions))
        self.round(0, *(self.registered(row) for row in range(instances)))

    @staticmethod
    def registered(row):
        return m.InstanceRegistered(row, f"i-{row}", {"CPU": 1024, "MEMORY": 100}, {})

    def round(self, now_ms, *events):
        for event in events:
            self.scheduler.receive(event)
        commands = self.scheduler.decide(now_ms)
        self.rounds.append(m.Round(now_ms, events, commands))
        for command in commands:
            if isinstance(command, m.StartTasks):
                self.where |= dict(zip(command.tasks, command.instances, strict=True))
            elif isinstance(command, m.RunTaskFailed):
                self.failed += command.count

    def run(self, now_ms, *asked):
        """One round in which (memory, count) are asked for together."""
        self.round(
            now_ms,
            *(
                m.RunTask(
                    len(self.rounds) * 100 + n, f"m{size}", count, placement_strategy=self.chain
                )
                for n, (size, count) in enumerate(asked)
            ),
        )

    def used(self):
        return len(set(self.where.values()))


@pytest.mark.parametrize(("chain", "used"), [(BINPACK, 8), (OPTIMAL, 6)])
def test_what_is_asked_for_together_is_placed_together(chain, used):
    world = World(8, chain, (30, 70))
    world.run(0, (30, 6), (70, 6))
    assert (world.used(), world.failed) == (used, 0)


@pytest.mark.parametrize(("chain", "failed"), [(BINPACK, 2), (OPTIMAL, 0)])
def test_more_is_placed_where_all_fits_only_together(chain, failed):
    world = World(6, chain, (30, 70))
    world.run(0, (30, 6), (70, 6))
    assert world.failed == failed


@pytest.mark.parametrize(("chain", "placed"), [(BINPACK, 3), (OPTIMAL, 4)])
def test_where_not_all_fits_as_many_as_can_be_are_placed(chain, placed):
    world = World(2, chain, (30, 70, 100))
    world.run(0, (30, 2), (70, 2), (100, 1))
    assert len(world.where) == placed


def test_between_batches_tasks_go_where_the_last_plan_of_all_keeps_instances():
    world = World(4, (PlacementStrategy("spread", "instanceId"),), (20, 30, 60))
    world.run(0, (60, 1), (30, 3))
    assert world.where == {0: 0, 1: 0, 2: 1, 3: 2}
    world.chain = OPTIMAL
    world.run(1_000, (20, 1))
    scheduler = world.scheduler
    planner = scheduler.engine.chain(scheduler.tasks.launch[4].kind)[0]
    probe = make_kind(memory=20, group="none")
    rng = np.random.default_rng(0)
    keys = planner.keys(probe, scheduler.cluster, np.arange(4), rng).tolist()
    # 60 + 30 and 30 + 30 would do with two instances, one of 1 and 2 being emptied.
    assert sorted(keys) == [KEPT, KEPT, USED, UNUSED]
    assert keys[0] == keys[world.where[4]] == KEPT


def test_a_plan_of_all_is_made_again_only_after_its_time():
    planner = Optimal("30s")
    made = []
    planner._plan_all = lambda running, engine: made.append(len(running))
    world = World(2, BINPACK, (20,))
    for now_ms in (0, 29_999, 30_000, 59_000, 60_000):
        world.run(now_ms, (20, 1))
        planner.look_ahead(now_ms, world.scheduler.outlook(), world.scheduler.engine)
    assert made == [1, 3, 5]
    planner.look_ahead(90_000, world.scheduler.outlook(), world.scheduler.engine)
    assert made == [1, 3, 5], "nothing has changed since"


def test_one_planner_serves_all_that_name_it_with_the_same_field():
    world = World(2, OPTIMAL, (20, 30))
    world.run(0, (20, 1), (30, 1))
    chains = [world.scheduler.engine.chain(launch.kind) for launch in world.scheduler.tasks.launch]
    assert chains[0][0] is chains[1][0]
    assert isinstance(chains[0][0], Planner)
    assert not isinstance(chains[0][1], Planner)


def test_a_run_replays_to_the_same_commands():
    world = World(5, OPTIMAL, (20, 30, 50, 70))
    rng = np.random.default_rng(7)
    for now_ms in range(0, 200_000, 9_000):
        world.run(now_ms, *((int(size), 1) for size in rng.choice([20, 30, 50, 70], 3)))
        tasks = world.scheduler.tasks
        living = list(tasks.living())
        gone = tuple(rng.choice(living, len(living) // 3, replace=False).tolist())
        world.round(now_ms + 1, m.TasksChanged(TaskStatus.STOPPED, gone))
    assert replay(Scheduler(), world.rounds) == len(world.rounds)


@pytest.mark.parametrize("field", ["soon", "30s/", "30s/0", "30s/x", "-1s", "/5"])
def test_a_field_that_makes_no_sense_is_refused(field):
    if field == "/5":
        assert STRATEGIES["optimal"](field)._work == 5
        return
    with pytest.raises(ValueError, match="expected"):
        STRATEGIES["optimal"](field)


def test_without_a_plan_instances_in_use_come_first():
    world = World(3, BINPACK, (20,))
    world.run(0, (20, 1))
    keys = Optimal().keys(
        make_kind(memory=20), world.scheduler.cluster, np.arange(3), np.random.default_rng(0)
    )
    assert keys.tolist() == [USED, UNUSED, UNUSED]
    assert PLANNED < KEPT < USED < UNUSED
