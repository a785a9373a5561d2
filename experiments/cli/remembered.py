"""Fleets that `stowplan optimize --goal fleet` found before, in files of the user's cache.

The same tasks asked for again, with more offers or for a longer time, begin with what was found: so
neither gives a dearer plan. A file holds the fleets for one set of calls and rules, by names; a
file that cannot be read or written is as good as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from stowplan.placement.callers.client import Arrival
from stowplan.placement.optimal.known import KnownFleet, known_fleet
from stowplan.placement.optimal.plan import Plan
from stowplan.placement.scenario.scenario import Scenario

FOLDER = "STOWPLAN_CACHE"  # the variable with another place for such files
FLEETS_MOST = 12  # of one file; the oldest go first


class FleetMemory:
    """The fleets that are known for one scenario's calls.

    Args:
        folder: None: the user's cache.
    """

    def __init__(
        self, scenario: Scenario, calls: Sequence[Arrival], folder: Path | None = None
    ) -> None:
        table = scenario.optimize
        rules = scenario.duration, table.tasks, table.spread_zones, table.spot_percent_max
        asked = repr((rules, list(calls))).encode()
        name = hashlib.sha256(asked).hexdigest()[:32]
        self._path = (folder or _cache()) / "fleets" / f"{name}.json"

    def fleets(self) -> list[KnownFleet]:
        """What was found before, oldest first."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[KnownFleet])
        except (OSError, msgspec.DecodeError):
            return []

    def keep(self, plan: Plan) -> None:
        """Remember the fleet of a plan, in place of another of the same offers."""
        found = known_fleet(plan)
        offers = _offers(found)
        fleets = [each for each in self.fleets() if _offers(each) != offers]
        text = msgspec.json.encode([*fleets, found][-FLEETS_MOST:])
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            written = self._path.with_suffix(f".{os.getpid()}")
            written.write_bytes(text)
            written.replace(self._path)
        except OSError:
            return


def _offers(fleet: KnownFleet) -> set[tuple[str, str]]:
    return {(line.instance_type, line.purchase) for line in fleet}


def _cache() -> Path:
    if given := os.environ.get(FOLDER):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stowplan"
