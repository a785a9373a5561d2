"""Simulated worlds behind an endpoint: empty clusters whose instances are launched later."""

from __future__ import annotations

import secrets
import time

from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.describe import Reader
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.endpoint.host import World
from stowplan.sim.driver import SimDriver

FOR_EVER_MS = 1 << 52


def simulated_world(name: str, seed: int = 0) -> World:
    """An empty simulated cluster that goes on until it is closed."""
    driver = SimDriver((), until_ms=FOR_EVER_MS, seed=seed)
    return World(
        Scheduler(SchedulerConfig(seed=seed)),
        driver,
        Callers((), stream(seed, "client"), admits=driver.admits),
        epoch_s=time.time(),
        salt=secrets.token_hex(8),
        reader=Reader(),
    )
