"""A scheduler and an EC2 driver in the test's own process, driven until something holds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.callers.callers import Callers
from stowplan.placement.journal import replay
from stowplan.placement.loop import Attended
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.scenario import FleetGroup, instance_spec
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.ec2.backend import Ec2Backend, remove_all
from stowplan.realdriver.ec2.bill import Limits
from stowplan.realdriver.ec2.config import AwsTable
from stowplan.realdriver.ec2.control import Control
from stowplan.realdriver.ec2.driver import Ec2Driver
from stowplan.realdriver.ec2.fleet import Place
from stowplan.realdriver.ec2.machines import Machines
from stowplan.realdriver.ec2.tags import ecs_cluster
from tests.realdriver.ec2.world import REGION, World

_names = itertools.count()
QUICK = {"look_every": "200ms", "settle": "1s", "lease": "60s", "shutdown": "10s"}
PRICES = {"m5.large on-demand": 96_000, "c5.large on-demand": 85_000, "m5.large spot": 40_000}


def table(world: World, **more) -> AwsTable:
    """Settings that call the world, with short patience."""
    given = {"region": REGION, "endpoints": world.endpoints, **QUICK, **more}
    return AwsTable.model_validate(given)


def slots(count=2, kind="m5.large", zones=("us-east-1a", "us-east-1b")):
    """So many instances, dealt over zones."""
    group = FleetGroup(name="g", instance_type=kind, count=count, zones=zones)
    types = instance_types()
    return [instance_spec(group, kind, types[kind], zones[n % len(zones)], n) for n in range(count)]


@cache
def _account(text: str) -> Account:
    return Account(AwsTable.model_validate_json(text).access)


def account_of(settings: AwsTable) -> Account:
    """The account of these settings: its clients take seconds to make, so they are kept."""
    kept = {"region", "endpoints", "own", "throttled_within", "credentials_within"}
    return _account(settings.model_dump_json(include=kept))


class Notes(dict):
    """What outlasts a crash, in memory."""

    def keep(self, key, body):
        self[key] = body

    def kept(self, prefix):
        return {key: body for key, body in sorted(self.items()) if key.startswith(prefix)}


class Rig:
    """A run. `again` goes on where its rounds and notes end, as after a crash."""

    def __init__(
        self,
        world: World,
        arrivals=(),
        fleet=None,
        settings: AwsTable | None = None,
        limits: Limits | None = None,
        *,
        before: Rig | None = None,
    ) -> None:
        self.world, self.arrivals = world, list(arrivals)
        self.settings = settings or table(world)
        self.slots = slots() if fleet is None else fleet
        self.limits = limits or Limits(time.time(), 10, PRICES, "a test")
        self.cluster = before.cluster if before else f"t{next(_names)}"
        self.run = before.run if before else f"{self.cluster:0>32}"[::-1]
        self.rounds: list[m.Round] = list(before.rounds) if before else []
        self.notes = before.notes if before else Notes()
        self.said: list[str] = before.said if before else []
        account = self.account = account_of(self.settings)
        name = self.settings.ecs_cluster or ecs_cluster(self.cluster)
        control = self.control = Control(account, name, self.cluster, self.run)
        control.ensure(make=self.settings.ecs_cluster is None)
        machines = Machines(
            account, self.settings, self.cluster, self.run, {"ECS_CLUSTER": control.name}
        )
        self.callers = Callers(self.arrivals, np.random.default_rng(0))
        self.scheduler = Scheduler()
        self.driver = Ec2Driver(
            self.slots,
            self.settings,
            Place(self.cluster, self.run, machines, control),
            self.limits,
            self.notes,
            run_ms=self.callers.run_ms,
            say=self.said.append,
        )
        replay(self.scheduler, self.rounds)
        self.callers.restore(self.rounds)
        self.driver.restore(self.rounds)
        self.world_side = Attended(self.driver, self.callers)

    def again(self) -> Rig:
        """Forget everything but what is on disk, as a crash would, and start over."""
        self.driver.close()
        return Rig(self.world, self.arrivals, self.slots, self.settings, self.limits, before=self)

    def turn(self) -> bool:
        """One turn of the loop, of at most 0.1 s; False when nothing can follow."""
        deadline_ms, soon_ms = self.scheduler.deadline_ms, self.driver.now_ms() + 100
        events = self.world_side.wait(soon_ms if deadline_ms is None else min(deadline_ms, soon_ms))
        if events is None:
            return False
        for event in events:
            self.scheduler.receive(event)
        commands = self.scheduler.decide(self.driver.now_ms())
        if events or commands:
            entry = m.Round(self.driver.now_ms(), tuple(events), commands)
            self.rounds.append(entry)
            self.callers.answer(entry)
        for command in commands:
            self.world_side.execute(command)
        return True

    def until(self, holds, seconds=30) -> Rig:
        """Go on until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.story()
            self.turn()
        return self

    def go_on(self, seconds) -> Rig:
        """Go on for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
        return self

    def running(self) -> list[int]:
        """Tasks that run and are to run."""
        tasks = self.scheduler.tasks
        return [t for t in tasks.living() if tasks.status[t] is TaskStatus.RUNNING]

    def runs(self, count):
        """Whether so many tasks run."""
        return lambda: len(self.running()) == count

    def events(self, kind) -> Sequence:
        """All events of a type so far."""
        return [e for entry in self.rounds for e in entry.events if isinstance(e, kind)]

    def story(self) -> str:
        """The whole run, for a failure's message."""
        silent = m.RegisterTaskDefinition | m.InstanceRegistered
        lines = [
            f"{entry.now_ms} {message}"
            for entry in self.rounds
            for message in (*entry.events, *entry.commands)
            if not isinstance(message, silent)
        ]
        return "\n".join([*lines, *self.said])

    def check(self) -> None:
        """The journal replays, and breaks no rule."""
        replay(Scheduler(), self.rounds)
        assert check_rounds(self.rounds) == []

    def down(self) -> str:
        """Let go, and remove everything."""
        self.driver.close()
        said, _ = remove_all(Ec2Backend(self.settings, self.account), self.cluster, self.run, 30)
        return said
