"""A host without threads: each cluster's scheduler decides as soon as it is asked. For tests."""

from __future__ import annotations

import json
from functools import partial

from stowplan.placement.callers.callers import Callers
from stowplan.placement.describe import Reader
from stowplan.placement.messages import InstanceRegistered, Round, TasksChanged
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.taskdef.api_model import answers as shapes
from stowplan.placement.taskdef.api_model import conform
from stowplan.placement.wire.arns import Account, Ids
from stowplan.placement.wire.front import Exchange
from stowplan.placement.wire.protocol import TARGET, read_request
from stowplan.placement.wire.world import Cluster

CONTAINER = {"name": "app", "image": "nginx", "cpu": 256, "memory": 512}
EPOCH_S = 1_800_000_000.0


def answer_problems(operation, answer):
    """What of an answer is not as the API model says, as (path, what)."""
    return conform(answer, shapes()[operation])[1]


class Direct:
    """An account with the cluster `default`, whose calls are answered at once."""

    def __init__(self) -> None:
        self.account, self.settings = Account(), {}
        self.clusters, self._run, self.heard = {}, {}, []
        self.now_ms = 0
        self.real = False  # whether instances are agents that register
        self.registry = self._make("")
        self.create("default", {})

    def create(self, name, settings):
        cluster = self.clusters[name] = self._make(name)
        cluster.settings.update(settings)
        return cluster

    def _make(self, name):
        callers, reader = Callers(), Reader()
        cluster = Cluster(
            name, Ids(self.account, name, "a world"), reader.state, callers.submit, EPOCH_S
        )
        self._run[name] = (Scheduler(SchedulerConfig()), callers, reader)
        return cluster

    def join(self, cluster, machine):
        number = len(cluster.state.instances)
        return InstanceRegistered(
            number, machine.ec2_instance_id, machine.resources, machine.attributes
        )

    def agents(self, cluster):
        return _Agents(self, cluster) if self.real else None

    def now_s(self):
        return EPOCH_S + self.now_ms / 1000

    def turn(self, name="default", *facts):
        """A round of a cluster; returns its commands."""
        scheduler, callers, reader = self._run[name]
        events = [*callers.due(self.now_ms), *facts]
        callers.take(events, self.now_ms)
        for event in events:
            scheduler.receive(event)
        commands = scheduler.decide(self.now_ms)
        for command in commands:
            callers.hear(command, self.now_ms)
        entry = Round(self.now_ms, tuple(events), commands)
        reader(entry)
        for listener in self.heard if name == "default" else ():
            listener(entry)
        callers.answer(entry)
        return commands

    def call(self, operation, **params):
        """What a call is answered with: as the API model says, in a form that JSON has."""
        request = read_request(f"{TARGET}.{operation}", json.dumps(params).encode())
        answer = json.loads(json.dumps(self.followed(Exchange(self, request))))
        problems = answer_problems(operation, answer)
        assert problems == [], f"{operation} answers what the API model does not know"
        return answer

    def followed(self, exchange):
        """The answer of an exchange, whose calls are made in rounds of their own."""
        while exchange.answer is None:
            asks, answers = exchange.asks, {}
            for at, ask in enumerate(asks):
                ask.cluster.submit(ask.call, partial(answers.__setitem__, at))
            for name in dict.fromkeys(ask.cluster.name for ask in asks):
                self.turn(name)
            exchange.hear([answers[at] for at in range(len(asks))])
        return exchange.answer

    def launch(self, count=1, name="default", **fields):
        """Instances of two vCPU and 8 GiB register."""
        first = len(self.clusters[name].state.instances)
        facts = [
            InstanceRegistered(
                first + n,
                f"i-{first + n:017x}",
                {"CPU": 2048, "MEMORY": 7680},
                {"ecs.availability-zone": f"us-east-1{'abc'[n % 3]}"},
                **fields,
            )
            for n in range(count)
        ]
        self.turn(name, *facts)

    def settle(self, name="default"):
        """Agents report: what was to start is RUNNING, what was to stop STOPPED; time passes."""
        while True:
            self.now_ms += 60_000
            tasks = self.clusters[name].state.tasks.values()
            left = [t for t in tasks if t.last_status is not TaskStatus.STOPPED]
            starts = [t.number for t in left if t.last_status is TaskStatus.PENDING]
            stops = [t.number for t in left if t.desired_status is TaskStatus.STOPPED]
            facts = [
                *([TasksChanged(TaskStatus.RUNNING, tuple(starts))] if starts else []),
                *([TasksChanged(TaskStatus.STOPPED, tuple(stops))] if stops else []),
            ]
            if not self.turn(name, *facts) and not facts:
                return


class _Agents:
    """Agents of a cluster, none of which is connected."""

    def __init__(self, host, cluster):
        self.host, self.cluster = host, cluster

    def join(self, machine, token=""):
        return self.host.join(self.cluster, machine)

    def joined(self, token):
        return None

    def is_connected(self, number):
        return False
