"""A scheduler and a Docker driver in the test's own process, driven until something holds."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import docker
import numpy as np

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.callers.callers import Callers
from stowplan.placement.callers.client import Arrival
from stowplan.placement.journal import replay
from stowplan.placement.loop import Attended
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from tests.realdriver.engines import IMAGE, Engine

_numbers = itertools.count()


def settings(engines: Sequence[Engine], **more: Any) -> EnginesTable:
    """An instance of 2 vCPU and 2 GiB on each engine, in a zone of its own, with short patience."""
    tables = [
        {"url": e.url, "name": f"e{n}", "cpu": 2048, "memory": 2048, "zone": f"z{n}"}
        for n, e in enumerate(engines)
    ]
    quick = {"silence": "500ms", "lost_after": "3s", "stop_timeout": "2s", "call_timeout": "8s"}
    return EnginesTable.model_validate({"engine": tables, **quick, **more})


def container(name: str = "c", command: str | None = "sleep 1000", **fields: Any) -> dict[str, Any]:
    """A container definition; `command` is for a shell, None: the fields say all."""
    shell = {} if command is None else {"command": ["sh", "-c", command]}
    return {"name": name, "image": IMAGE, "cpu": 64, "memory": 32, **shell, **fields}


def registration(family: str, *containers: dict[str, Any], **fields: Any) -> Arrival:
    """A task definition becomes known at the start."""
    document = {"family": family, "containerDefinitions": list(containers), **fields}
    parse_task_definition(document)
    return Arrival(0, m.RegisterTaskDefinition(document))


def run_task(family: str, count: int = 1, request: int = 0, run_ms: int | None = None, at_ms=0):
    """A client asks for tasks."""
    return Arrival(at_ms, m.RunTask(request, family, count), run_ms)


def service(family: str, count: int = 1, **fields: Any) -> Arrival:
    """A client creates a service called as its family."""
    return Arrival(0, m.CreateService(family, family, count, **fields))


class Rig:
    """A run on engines. `rounds`: go on where these end, as after a crash."""

    def __init__(
        self,
        table: EnginesTable,
        arrivals: Iterable[Arrival],
        *,
        cluster: str | None = None,
        rounds: Sequence[m.Round] = (),
        until_ms: int | None = None,
    ) -> None:
        self.table, self.arrivals = table, list(arrivals)
        self.cluster = cluster or f"t{next(_numbers)}"
        self.rounds = list(rounds)
        self.said: list[str] = []
        self.callers = Callers(self.arrivals, np.random.default_rng(0))
        self.scheduler = Scheduler()
        self.driver = DockerDriver(
            machines(table, []),
            table,
            cluster=self.cluster,
            run=self.cluster,
            until_ms=until_ms,
            run_ms=self.callers.run_ms,
            say=self.said.append,
        )
        replay(self.scheduler, self.rounds)
        self.callers.restore(self.rounds)
        self.driver.restore(self.rounds)
        self.world = Attended(self.driver, self.callers)

    def again(self) -> Rig:
        """Forget everything but the journal, as a crash would, and start over."""
        self.driver.close()
        return Rig(self.table, self.arrivals, cluster=self.cluster, rounds=self.rounds)

    def turn(self) -> bool:
        """One turn of the loop, of at most 0.1 s; False when nothing can follow."""
        deadline_ms, soon_ms = self.scheduler.deadline_ms, self.driver.now_ms() + 100
        events = self.world.wait(soon_ms if deadline_ms is None else min(deadline_ms, soon_ms))
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
            self.world.execute(command)
        return True

    def until(self, holds: Callable[[], object], seconds: float = 45) -> Rig:
        """Go on until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.story()
            self.turn()
        return self

    def go_on(self, seconds: float) -> Rig:
        """Go on for some time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
        return self

    # --- what came of it --------------------------------------------------------------------------

    def status(self, task: int) -> TaskStatus | None:
        """The lastStatus that the scheduler knows; None where there is no such task yet."""
        return self.scheduler.tasks.status[task] if task < len(self.scheduler.tasks) else None

    def running(self) -> list[int]:
        """Tasks that run and are to run."""
        tasks = self.scheduler.tasks
        alive = tasks.living()
        return [task for task in alive if tasks.status[task] is TaskStatus.RUNNING]

    def runs(self, count: int) -> Callable[[], bool]:
        """Whether so many tasks run."""
        return lambda: len(self.running()) == count

    def stopped(self, task: int = 0) -> Callable[[], bool]:
        """Whether a task was reported STOPPED."""
        return lambda: self.status(task) is TaskStatus.STOPPED

    def why(self, task: int = 0) -> tuple[StopCode | None, str]:
        """stopCode and stoppedReason of a task."""
        for entry in self.rounds:
            for message in (*entry.events, *entry.commands):
                if isinstance(message, m.TasksChanged) and message.status is TaskStatus.STOPPED:
                    if task in message.tasks:
                        return message.stop_code, message.reason
                elif isinstance(message, m.TasksStopped) and task in message.tasks:
                    return message.stop_code, message.reason
        raise AssertionError(f"task {task} did not stop\n{self.story()}")

    def events(self, kind: type) -> list[Any]:
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

    def close(self) -> None:
        """Let go; what runs goes on."""
        self.driver.close()


def ours(engine: Engine, cluster: str) -> dict[str, dict[str, Any]]:
    """What a cluster has on an engine, seen with other eyes than the driver's: inspect by name."""
    there = {}
    with engine.client() as client:
        label = f"stowplan.cluster={cluster}"
        for each in client.api.containers(all=True, filters={"label": label}):
            name = each["Names"][0].lstrip("/").removeprefix(f"stowplan-{cluster}-")
            with suppress(docker.errors.NotFound):  # gone since
                there[name] = client.api.inspect_container(each["Id"])
    return there
