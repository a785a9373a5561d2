"""What a dozen greedy rules pay for a market: a peer of the optimizer that shares no code with it.

Each rule fills one instance after the other, for a zone and a market: the type that gives the most
demand for its price, the tasks in one of several orders. Rules of chance repeat with other orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from stowplan.experiments.bench.market_held import offers
from stowplan.experiments.loading.catalogue import listed_types
from stowplan.placement.packing.problem import FloatArray, IntArray

VALUES = ((0.0355, 0.0063), (0.0355, 0.0), (0.0, 0.0063), (0.0251, 0.0063))  # of a vCPU and a GiB
ORDERS = ("cpu", "memory", "chance")


@dataclass(frozen=True)
class Numbers:
    """A market's numbers.

    Args:
        demand: (services, dimensions); counts, spot: (services,) tasks, and most of them on spot.
        rooms: (types, dimensions); prices, limits: (2, types) on demand and on spot.
    """

    demand: IntArray
    counts: IntArray
    spot: IntArray
    rooms: IntArray
    prices: IntArray
    limits: FloatArray
    zones: int


def numbers(document: Mapping[str, Any]) -> Numbers:
    """The numbers of a document; what daemons take is off the rooms."""
    wants, counts, daemons = [], [], []
    services = document["service"]
    ports = sorted({port for s in services for port in _ports(document, s)})
    for index, service in enumerate(services):
        definition = document["task_definitions"][service["task_definition"]]
        (container,) = definition["containerDefinitions"]
        alone = np.zeros(len(services), np.int64)
        alone[index] = "distinctInstance" in service.get("constraints", ())
        mine = _ports(document, service)
        row = np.array(
            [
                container["cpu"],
                container["memory"],
                int(definition.get("networkMode") == "awsvpc"),
                len(container.get("resourceRequirements", ())),
                *(port in mine for port in ports),
                *alone,
            ],
            np.int64,
        )
        if service.get("scheduling_strategy") == "DAEMON":
            daemons.append(row)
        else:
            wants.append(row)
            counts.append(service["desired_count"])
    known = {each.name: each.registers for each in listed_types()}
    rules = [1] * (len(ports) + len(services))
    rooms, prices, limits = [], [], []
    for offer in offers(document):
        of = known[offer["instance_type"]]
        room = np.array([of.cpu, of.memory, of.eni_slots, of.gpus, *rules], np.int64)
        for daemon in daemons:
            room = room - daemon if (daemon <= room).all() else room
        rooms.append(room)
        price, less = of.price_microusd_hour, offer.get("spot_discount_percent")
        prices.append([price, 0 if less is None else -(-price * (100 - less) // 100)])
        limits.append([offer.get("limit", np.inf), 0 if less is None else np.inf])
    percent = document["optimize"]["spot_percent_max"]
    zones = len(offers(document)[0]["zones"])
    return Numbers(
        np.array(wants), np.array(counts), np.array(counts) * percent // 100, np.array(rooms),
        np.array(prices).T, np.array(limits).T, zones,
    )  # fmt: skip


def cheapest_by_rules(document: Mapping[str, Any], repeats: int = 3) -> int | None:
    """What the best of the rules pays, in millionths of a dollar an hour; None if none finds room.

    Args:
        repeats: of each rule of chance.
    """
    market, rng = numbers(document), np.random.default_rng(0)
    paid = [
        _pay(market, value, order, rng)
        for value in VALUES
        for order in ORDERS
        for _ in range(repeats if order == "chance" else 1)
    ]
    return min((cost for cost in paid if cost is not None), default=None)


def _ports(document: Mapping[str, Any], service: Mapping[str, Any]) -> set[int]:
    definition = document["task_definitions"][service["task_definition"]]
    return {
        port["hostPort"]
        for container in definition["containerDefinitions"]
        for port in container.get("portMappings", ())
    }


def _pools(market: Numbers, rng: Generator) -> Iterator[tuple[int, IntArray]]:
    """(0 on demand or 1 on spot, (services,) tasks), a zone and market at a time."""
    pools = np.zeros((market.zones, 2, len(market.counts)), np.int64)
    turn = int(rng.integers(market.zones))
    for service, count in enumerate(market.counts.tolist()):
        zones = (np.arange(count) + turn) % market.zones
        turn = (turn + count) % market.zones
        rng.shuffle(zones)
        spot = np.arange(count) < market.spot[service]
        np.add.at(pools[:, :, service], (zones, spot.astype(np.int64)), 1)
    for zone in pools:
        yield from ((market_of, zone[market_of]) for market_of in (0, 1))


def _pay(market: Numbers, value: tuple[float, float], order: str, rng: Generator) -> int | None:
    size = market.demand[:, :2] / market.rooms[:, :2].max(axis=0)
    key = {"cpu": size[:, 0], "memory": size[:, 1]}.get(order, size.sum(axis=1))
    key = key * rng.uniform(0.9, 1.1, len(key)) if order == "chance" else key
    worth = market.demand[:, :2] @ np.array(value) / 1024 + 1e-9
    left, cost = market.limits.copy(), 0
    for kind, tasks in _pools(market, rng):
        while tasks.any():
            fill = _fill(market, np.argsort(-key, kind="stable"), tasks)
            fill[left[kind] <= 0] = 0
            score = (fill @ worth) / np.maximum(market.prices[kind], 1)
            best = int(np.argmax(score))
            if score[best] <= 0:
                return None
            left[kind, best] -= 1
            tasks = tasks - fill[best]
            cost += int(market.prices[kind, best])
    return cost


def _fill(market: Numbers, order: IntArray, tasks: IntArray) -> IntArray:
    """(types, services) an instance of each type, filled in this order."""
    rooms = market.rooms.copy()
    fill = np.zeros((len(rooms), len(tasks)), np.int64)
    for service in order[tasks[order] > 0].tolist():
        needs = np.flatnonzero(market.demand[service])
        most = (rooms[:, needs] // market.demand[service, needs]).min(axis=1)
        n = np.minimum(most, tasks[service])
        fill[:, service] = n
        rooms[:, needs] -= n[:, None] * market.demand[service, needs]
    return fill
