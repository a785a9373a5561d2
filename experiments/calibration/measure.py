"""How long an engine takes to create, start, stop and pull: measured as the driver does it, through
the same `ActionRunner`, with as many calls at a time as its workers make.

Steps are kept apart (all are created, then all are started, then all are stopped), so that what is
measured at a level is that step beside others of its kind and nothing else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from stowplan.experiments.calibration.calibration import Call, Level, Pulled
from stowplan.placement.agent import runtime as r
from stowplan.placement.driver import DriverError
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.actions import ActionAnswer, ActionOrder, ActionRunner
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.workers import CALLERS

# Runs until it is told to stop, and then obeys: PID 1 ignores what it has no handler for.
_PROGRAM = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]


class Bench:
    """Engines to measure on, with a cluster of their own that `clear` removes."""

    def __init__(self, settings: EnginesTable, image: str) -> None:
        self.cluster = f"calibrate-{uuid.uuid4().hex[:8]}"
        self._settings, self._count = settings, 0
        self._definition = _definition(image)
        self.connections = [Connection(table, settings) for table in settings.engine]
        self._runners = [ActionRunner(connection, {}) for connection in self.connections]

    def prepare(self, image: str, pulled: Sequence[str]) -> None:
        """See that every engine answers and has the image.

        Raises:
            SpecError: an engine has what is to be pulled; it is not ours to remove.
        """
        labels = {names.CLUSTER: self.cluster, names.RUN: self.cluster}
        for connection in self.connections:
            connection.connect()
            connection.prepare(self.cluster, labels)
            if not connection.has_image(image):
                connection.pull(image, None)
        first = self.connections[0]
        there = [name for name in pulled if first.has_image(name)]
        what = f"{first.name} has it already; remove it there, or name another"
        if there:
            raise SpecError([(f"--pull {name}", what) for name in there])

    def clear(self) -> None:
        """Remove all that was made."""
        leftovers(self._settings, self.cluster, None).remove()
        for connection in self.connections:
            connection.close()

    def lives(self, engines: int, at_once: int, count: int) -> list[Level]:
        """`count` lives on each of the first engines, step by step."""
        placed = [self._place(n) for n in range(engines) for _ in range(count)]
        calls = {
            step: self._timed(placed, action, engines, at_once) for step, action in _ACTIONS.items()
        }
        self._timed(placed, lambda task: r.RemoveContainer(task, "c"), engines, at_once)
        return [Level(step, engines, at_once, tuple(made)) for step, made in calls.items()]

    def pulls(self, image: str, count: int) -> Pulled:
        """`count` pulls of an image on the first engine, which must not have it before."""
        connection = self.connections[0]
        took = []
        for _ in range(count):
            began = time.monotonic()
            connection.pull(image, None)
            took.append(time.monotonic() - began)
            mib = connection.image_mib(image)
            connection.remove_image(image)
        return Pulled(image, mib, tuple(took))

    def _place(self, engine: int) -> tuple[int, Placed]:
        self._count += 1
        task = Placed(
            *(self.cluster, self.cluster, self._count, f"e{engine}", self._definition),
            cpus=self.connections[engine].facts.cpus,
        )
        return engine, task

    def _timed(
        self,
        placed: Sequence[tuple[int, Placed]],
        action: Callable[[int], r.Action],
        engines: int,
        at_once: int,
    ) -> list[Call]:
        def one(where: tuple[int, Placed]) -> Call:
            engine, task = where
            began = time.monotonic()
            said = self._runners[engine].carry_out(ActionOrder(0, action(task.number), task))
            ended = time.monotonic()
            _check(said)
            return Call(engine, began, ended)

        pools = [ThreadPoolExecutor(at_once) for _ in range(engines)]
        try:
            return [f.result() for f in [pools[p[0]].submit(one, p) for p in placed]]
        finally:
            for pool in pools:
                pool.shutdown()


_ACTIONS: dict[str, Callable[[int], r.Action]] = {
    "create": lambda task: r.CreateContainer(task, "c"),
    "start": lambda task: r.StartContainer(task, "c"),
    "stop": lambda task: r.StopContainer(task, "c", 10),
}


def _check(said: object) -> None:
    failures = (r.CreateFailed, r.StartFailed)
    if not isinstance(said, ActionAnswer):
        raise DriverError(str(getattr(said, "why", said)))
    if isinstance(said.event, failures):
        raise DriverError(said.event.reason)


def _definition(image: str) -> TaskDefinition:
    container = {"name": "c", "image": image, "command": _PROGRAM, "cpu": 2, "memory": 16}
    return parse_task_definition({"family": "calibrate", "containerDefinitions": [container]})


def levels(engines: int) -> list[tuple[int, int]]:
    """(engines, calls at a time on each) that matter: alone, as many as the driver makes on one
    engine, and as many on all of them."""
    found = [(1, 1), (1, CALLERS)]
    if engines > 1:
        found += [(engines, 1), (engines, CALLERS)]
    return found
