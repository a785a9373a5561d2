"""Clusters of real agents behind an endpoint: their scheduler, their journal, their clock.

A world of agents lives in real time, from the moment in which it was begun. With a folder for its
state it goes on after a kill: its journal is read, and what agents were still to be told is told to
them when they come again.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from stowplan.experiments.runs.serving import REGISTRY, Kept, Writing, known_clusters
from stowplan.placement.agentwire.credentials import Keys
from stowplan.placement.agentwire.driver import AgentsDriver, AgentsSettings
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.describe import Reader
from stowplan.placement.journal import Header, replay
from stowplan.placement.messages import Round
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.wire.arns import Account, Ids
from stowplan.realdriver.endpoint.host import World
from stowplan.realdriver.endpoint.pace import Clock

AGENTS_DEFAULTS = AgentsSettings()
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def made_keys(role: str) -> Keys:
    """Credentials in AWS's form for a role. Nobody but an emulator takes them."""
    key = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    return Keys(f"ASIA{key}", secrets.token_urlsafe(30), secrets.token_urlsafe(60))


class AgentWorlds:
    """Makes the world of a cluster whose instances are agents that register.

    Args:
        account: in whose ARNs agents and tasks are named.
        state: the folder that holds a folder for each cluster; None: nothing lasts.
    """

    def __init__(
        self,
        account: Account,
        state: Path | None = None,
        settings: AgentsSettings = AGENTS_DEFAULTS,
    ) -> None:
        self._account, self._state, self._settings = account, state, settings

    def known(self) -> list[str]:
        """The clusters in the state's folder that were begun, by name."""
        return known_clusters(self._state)

    def __call__(self, name: str, *, anew: bool = False) -> World:
        """See `realdriver.endpoint.host.Worlds`.

        Raises:
            PlacementError: its state cannot be read.
        """
        scheduler, callers = Scheduler(SchedulerConfig()), Callers((), stream(0, "client"))
        reader, salt, epoch_s = Reader(), secrets.token_hex(8), time.time()
        kept = None if self._state is None else Kept(self._state / (name or REGISTRY))
        rounds: list[Round] = []
        if kept is not None and anew and kept.folder.exists():
            kept.retire()
        if kept is not None and kept.about.exists():
            about, _, rounds = kept.read()
            salt, epoch_s = about["salt"], about["epoch_s"]
            replay(scheduler, rounds)
            callers.restore(rounds)
            for entry in rounds:
                reader(entry)
        elif kept is not None:
            kept.begin(epoch_s, salt, Header(scheduler.config, {"driver": "agents"}))
        ids = Ids(self._account, name, salt)
        driver = AgentsDriver(
            reader.state, ids, epoch_s=epoch_s, keys=made_keys, settings=self._settings
        )
        clock = Clock()
        clock.advance(max(reader.state.now_ms, int((time.time() - epoch_s) * 1000)), 0)
        driver.wait(int(clock.now_ms()))
        driver.restore(rounds)
        world = World(scheduler, driver, callers, epoch_s, salt, reader)
        if kept is not None:
            world.record = Writing(kept, reader).round
        world.agents, world.clock = driver, clock
        return world
