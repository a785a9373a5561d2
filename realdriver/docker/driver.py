"""The Driver protocol on Docker engines: real instances, real containers, real time.

Commands go to the agents of the instances, the agents' actions to the workers of the engines, and
the workers' reports back to the agents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from stowplan.realdriver.docker.config import EnginesTable, EngineTable, Machine
from stowplan.realdriver.docker.engines import EngineFleet
from stowplan.realdriver.real_time import RealDriver, Wake


class DockerDriver(RealDriver):
    """Plays a run on engines.

    Args:
        machines: the instances and which engine plays each.
        settings: engines, and how to treat them.
        cluster, run: the labels of all that is made.
        until_ms, run_ms: see `RealDriver`.
        say: takes a line about each thing that happens, for people.
    """

    fleet: EngineFleet

    def __init__(
        self,
        machines: Sequence[Machine],
        settings: EnginesTable,
        *,
        cluster: str,
        run: str,
        until_ms: int | None = None,
        run_ms: Callable[[int], int | None] = lambda request: None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__(until_ms, run_ms)
        self.fleet = EngineFleet(machines, settings, self.book, self._inbox, (cluster, run), say)

    def add(self, machine: Machine, engine: EngineTable | None = None) -> None:
        """A machine joins while the run lasts, from any thread.

        Args:
            engine: that plays it, where it is a new one; else it is `machine.engine`.
        """

        def act() -> None:
            number = machine.engine if engine is None else self.fleet.open(engine)
            self.fleet.add(replace(machine, engine=number))

        self._inbox.put(Wake(act))

    def retire(self, name: str) -> None:
        """A machine goes for good while the run lasts, and what runs there; from any thread."""
        self._inbox.put(Wake(partial(self.fleet.retire, name)))
