"""What goal `placement` stands on: tasks, the given instances, and what is preferred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import AVAILABILITY_ZONE
from stowplan.placement.optimal.asked import Asked, TaskSet
from stowplan.placement.optimal.demand import Encoded, empty_cluster, encode, start_daemons
from stowplan.placement.packing.problem import (
    IntArray,
)
from stowplan.placement.scenario.scenario import InstanceSpec, Scenario, instance_specs

Content = IntArray  # (instances, task sets): tasks of each set on each instance


@dataclass(frozen=True)
class Ground:
    """Tasks, the given instances, and what is preferred.

    Args:
        owners: (task sets,) index of the service or workload; `owner_names` by that index.
        zones: (instances,) index of the zone of each instance.
        classes: (instances,) index of those that are alike but for their zone.
        prices: (instances,) what using one costs, in points.
        penalty: (task sets,) what leaving one task out costs; None: all must be placed.
        spread: what one task too many in a zone costs.
    """

    asked: Asked
    specs: list[InstanceSpec]
    encoded: Encoded
    owners: IntArray
    owner_names: tuple[str, ...]
    zones: IntArray
    classes: IntArray
    prices: IntArray
    penalty: IntArray | None
    spread: int

    @property
    def tasks(self) -> tuple[TaskSet, ...]:
        """The task sets."""
        return self.asked.tasks

    def open_zones(self, owner: int) -> list[int]:
        """Zones in which some instance is open to the owner's tasks."""
        rows = self.encoded.allowed[self.owners == owner].any(axis=0)
        return np.unique(self.zones[rows]).tolist()  # type: ignore[no-any-return]

    def points(self, content: Content) -> int:
        """What a placement costs, in the terms of the objective."""
        used = content.any(axis=1)
        cost = int(self.prices[used].sum())
        left = self.encoded.counts - content.sum(axis=0)
        if self.penalty is not None:
            cost += int(left @ self.penalty)
        for owner in range(len(self.owner_names) if self.spread else 0):
            mine = content[:, self.owners == owner].sum(axis=1)
            by_zone = [int(mine[self.zones == z].sum()) for z in self.open_zones(owner)]
            cost += self.spread * (max(by_zone, default=0) - min(by_zone, default=0))
        return cost

    def forced_spread(self) -> int:
        """Tasks too many in some zone in every placement of all tasks."""
        counts = np.bincount(self.owners, self.encoded.counts).astype(np.int64)
        zones = [len(self.open_zones(owner)) for owner in range(len(counts))]
        return sum(int(n) % z > 0 for n, z in zip(counts, zones, strict=True) if z)


def staffed(ground: Ground) -> Engine:
    """The fleet with the tasks of daemons, and nothing else."""
    engine = Engine(empty_cluster(ground.specs), np.random.default_rng(0))
    start_daemons(engine, ground.asked.daemons)
    return engine


def ground_of(scenario: Scenario, wanted: Asked) -> Ground:
    """What a scenario asks for and prefers, on its fleet."""
    options = scenario.optimize
    objective = options.objective
    specs = instance_specs(scenario)
    tasks = wanted.tasks
    encoded = encode(tasks, empty_cluster(specs), wanted.daemons, given=True)
    names = tuple(dict.fromkeys(each.owner for each in tasks))
    prices = np.array([spec.price_microusd_hour for spec in specs], np.int64)
    prices = prices * objective.get("cost", 0) + objective.get("instances", 0)
    table = np.column_stack([encoded.capacity, prices])
    classes = np.unique(table, axis=0, return_inverse=True)[1].reshape(-1)
    zones = np.unique([spec.attributes[AVAILABILITY_ZONE] for spec in specs], return_inverse=True)
    penalty = None
    if "placed" in objective:
        values = [objective["placed"] * options.weights.get(each.owner, 1) for each in tasks]
        penalty = np.array(values, np.int64)
    return Ground(
        wanted, specs, encoded,
        np.array([names.index(each.owner) for each in tasks], np.int64), names,
        zones[1].reshape(-1), classes, prices, penalty, objective.get("spread", 0),
    )  # fmt: skip
