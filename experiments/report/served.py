"""The live page of `stowplan serve`: a cluster as its describe layer has it, and what to do to it.

The page acts by ECS's own API, as any client does; beside that API it launches instances, loses
zones and sets the clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jinja2
import msgspec

from stowplan.experiments.files.paths import TEMPLATES
from stowplan.experiments.report.effects import Effects
from stowplan.experiments.report.live_map import task_rows
from stowplan.placement.describe import ContainerInstance, Service, State
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import Round
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, INSTANCE_TYPE, MEMORY, InstanceStatus
from stowplan.realdriver.endpoint.host import LocalHost, World, Worlds

EVENTS_MOST, SERVICES_MOST = 60, 200
_STATUS = {InstanceStatus.ACTIVE: 0, InstanceStatus.DRAINING: 1}


class Watched:
    """Makes worlds, and sums what their rounds come to."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self.effects: dict[str, Effects] = {}

    def __call__(self, name: str, *, anew: bool = False) -> World:
        """See `realdriver.endpoint.host.Worlds`."""
        world = self._worlds(name, anew=anew)
        effects = self.effects[name] = Effects(world.reader.state)
        effects.sums = effects.sums._replace(at_ms=world.reader.state.now_ms)
        record = world.record

        def recorded(entry: Round) -> None:
            record(entry)
            effects(entry)

        return replace(world, record=recorded)


class Pages:
    """What a browser gets.

    Args:
        host: whose clusters they are.
        watched: by host, the worlds that it makes.
    """

    def __init__(self, host: Callable[[], LocalHost], watched: dict[int, Watched]) -> None:
        self._host, self._watched = host, watched

    def html(self) -> bytes:
        """The page."""
        environment: Any = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )
        return str(environment.get_template("served.html.j2").render()).encode()

    def document(self, cluster: str) -> bytes:
        """All that the page shows of a cluster, as JSON.

        Raises:
            PlacementError: no such cluster.
        """
        host = self._host()
        effects = self._effects(host, cluster)
        with host.gate.visit():
            found = host.clusters[cluster]
            times = host.times()
            now_ms = round(1000 * times["clusters"][cluster])
            return msgspec.json.encode(
                {
                    "clusters": sorted(host.clusters),
                    "cluster": cluster,
                    "now": now_ms / 1000,
                    "factor": times["factor"],
                    "simulated": host.agents(found) is None,
                    "region": host.account.region,
                    **described(found.state),
                    **_totals(found.state, effects, now_ms),
                    "effects": effects.rows(now_ms),
                }
            )

    def note(self, cluster: str, what: str) -> None:
        """Somebody does something to a cluster now. Raises as `document`."""
        host = self._host()
        effects = self._effects(host, cluster)
        with host.gate.visit():
            effects.note(what[:200], round(1000 * host.times()["clusters"][cluster]))

    def _effects(self, host: LocalHost, cluster: str) -> Effects:
        watched = self._watched.get(id(host))
        if watched is None or cluster not in host.clusters:
            raise PlacementError(f"no cluster is called {cluster!r}")
        return watched.effects[cluster]


def described(state: State) -> dict[str, Any]:
    """Instances by zone, services, tasks and events of a cluster."""
    zones: dict[str, list[list[Any]]] = {}
    for each in state.list_instances():
        zones.setdefault(each.attributes.get(AVAILABILITY_ZONE, ""), []).append(_instance(each))
    lines = [line for each in state.services.values() for line in each.events]
    events: list[tuple[float, str]] = [(line.at_ms / 1000, line.text) for line in lines]
    events += [(said.at_ms / 1000, said.text) for said in state.said]
    services = state.list_services()
    return {
        "zones": [[zone, zones[zone]] for zone in sorted(zones)],
        "services": [_service(each) for each in services[:SERVICES_MOST]],
        "tasks": task_rows(state),
        "events": sorted(events, key=lambda event: -event[0])[:EVENTS_MOST],
        "definitions": sorted(
            family
            for family, revisions in state.task_definitions.items()
            if any(each.status == "ACTIVE" for each in revisions)
        ),
    }


def _instance(each: ContainerInstance) -> list[Any]:
    """EC2 id, type, CPU and memory that are held in per cent, status, tasks."""
    status = _STATUS.get(each.status, 2) if each.agent_connected else 2
    kind = each.attributes.get(INSTANCE_TYPE, "")
    held = [_held(each, name) for name in (CPU, MEMORY)]
    return [each.ec2_instance_id, kind, *held, status, each.running + each.pending]


def _held(each: ContainerInstance, name: str) -> int:
    there = each.registered.get(name, 0)
    return math.ceil(100 * (there - each.remaining.get(name, 0)) / there) if there else 0


def _service(each: Service) -> list[Any]:
    """Name, desired, running, pending, strategy, and what its rollout does."""
    strategy = ", ".join(
        f"{link.type}:{link.field}" if link.field else link.type
        for link in each.call.placement_strategy
    )
    desired = len(each.tasks) if each.daemon else each.call.desired_count
    rollout = each.deployments[0].rollout_state if each.deployments else ""
    kind = "DAEMON" if each.daemon else strategy or "spread (default)"
    return [each.name, desired, each.running, each.pending, kind, f"{each.status}, {rollout}"]


def _totals(state: State, effects: Effects, now_ms: int) -> dict[str, Any]:
    sums = effects.until(now_ms)
    return {
        "totals": {
            "instances": len(state.list_instances()),
            "running": state.running_tasks,
            "waiting": effects.waiting(),
            "dollarsHour": effects.price() / 1e6,
            "dollars": sums.dollars,
            "availability": sums.up / sums.wanted if sums.wanted else None,
        }
    }
