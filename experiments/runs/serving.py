"""Simulated worlds behind an endpoint: empty ones, and that of a scenario."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.simulate import world
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.describe import Reader
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.endpoint.host import World
from stowplan.sim.driver import SimDriver

DEFAULT_CLUSTER = "default"
FOR_EVER_MS = 1 << 52


class SimulatedWorlds:
    """Makes a simulated world for each cluster.

    Args:
        loaded: of the first cluster, `default`: its first run; None: all clusters begin empty.
    """

    def __init__(self, loaded: Loaded | None = None, seed: int = 0) -> None:
        self._loaded, self._seed = loaded, seed
        self.drivers: dict[str, SimDriver] = {}

    def __call__(self, name: str) -> World:
        """See `realdriver.endpoint.host.Worlds`."""
        loaded = self._loaded if name == DEFAULT_CLUSTER else None
        if loaded is None:
            scheduler, driver, callers = self._empty()
        else:
            self._loaded = None  # made again, it begins empty like any other
            run = next(iter(loaded.scenario.runs()))
            scheduler, attended = world(loaded, run, FOR_EVER_MS)
            assert isinstance(attended.driver, SimDriver)
            driver, callers = attended.driver, attended.callers
        self.drivers[name] = driver
        return World(scheduler, driver, callers, time.time(), secrets.token_hex(8), Reader())

    def _empty(self) -> tuple[Scheduler, SimDriver, Callers]:
        driver = SimDriver((), until_ms=FOR_EVER_MS, seed=self._seed)
        callers = Callers((), stream(self._seed, "client"), admits=driver.admits)
        return Scheduler(SchedulerConfig(seed=self._seed)), driver, callers

    def launch(self, cluster: str, specs: Iterable[InstanceSpec]) -> None:
        """Launch instances for a cluster; the gate of the host is held."""
        self.drivers[cluster].launch(list(specs))
