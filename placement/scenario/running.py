"""The tasks that run when a scenario begins: a cluster that is taken over as it is."""

from __future__ import annotations

from stowplan.placement.scenario.fields import Positive, Table


class RunningTable(Table):
    """What runs on an instance at 0 s, by service or (tasks of no service) by task definition."""

    instance: str
    services: dict[str, Positive] = {}
    standalone: dict[str, Positive] = {}
