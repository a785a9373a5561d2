"""Simulated worlds behind an endpoint: empty ones, and that of a scenario."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.simulate import world
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.describe import Reader
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import FleetGroup, instance_spec
from stowplan.placement.scenario.words import did_you_mean
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.endpoint.host import World
from stowplan.sim.driver import SimDriver

DEFAULT_CLUSTER = "default"
FOR_EVER_MS = 1 << 52
_LAUNCHED_FROM = 1 << 48  # numbers in EC2 ids that no fleet of a scenario has


class SimulatedWorlds:
    """Makes a simulated world for each cluster.

    Args:
        loaded: of the first cluster, `default`: its first run; None: all clusters begin empty.
    """

    def __init__(self, loaded: Loaded | None = None, seed: int = 0) -> None:
        self._loaded, self._seed = loaded, seed

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
        return World(
            *(scheduler, driver, callers),
            epoch_s=time.time(),
            salt=secrets.token_hex(8),
            reader=Reader(),
            launch=Launcher(driver),
        )

    def _empty(self) -> tuple[Scheduler, SimDriver, Callers]:
        driver = SimDriver((), until_ms=FOR_EVER_MS, seed=self._seed)
        callers = Callers((), stream(self._seed, "client"), admits=driver.admits)
        return Scheduler(SchedulerConfig(seed=self._seed)), driver, callers


class Launcher:
    """Launches instances of a simulated world, by types of the catalogue."""

    def __init__(self, driver: SimDriver) -> None:
        self._driver, self._launched = driver, 0

    def __call__(self, instance_type: str, count: int, zones: Sequence[str]) -> list[str]:
        """The EC2 ids of so many instances of a type, dealt over zones in turn.

        Raises:
            SpecError: an unknown type.
        """
        types = instance_types()
        if instance_type not in types:
            hint = did_you_mean(instance_type, types)
            raise SpecError([("instance_type", f"unknown type {instance_type!r}{hint}")])
        group = FleetGroup(
            name="launched", instance_type=instance_type, count=count, zones=tuple(zones)
        )
        kind, specs = types[instance_type], []
        for number in range(count):
            zone = zones[number % len(zones)]
            at = _LAUNCHED_FROM + self._launched + number
            specs.append(instance_spec(group, instance_type, kind, zone, at))
        self._launched += count
        self._driver.launch(specs)
        return [spec.name for spec in specs]
