"""Fleets to buy as people ask for them, from a seed: services, offers, zones, spot, daemons, rules.

A market is a scenario's document. `held` checks a plan for it by the document's own numbers, and
`cheapest_by_rules` in `market_rules` says what a dozen greedy rules pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from stowplan.experiments.loading.catalogue import Listed, listed_types
from stowplan.experiments.loading.load import check_scenario
from stowplan.placement.scenario.scenario import Scenario

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
OFFERS = (8, 11, 26, 60, 200)
SPOT_PERCENT = (0, 30, 50, 70, 100)
SPOT_DISCOUNT = 65
CPU_MOST = 65_536  # of a type on offer
SMALL, LIMITED = 0.7, 0.1  # share of services of web's size, and of offers with a limit
WEB = (256, 512, 1024), (512, 1024, 2048)
LARGE = (512, 1024, 2048, 4096), (1024, 4096, 6144, 8192, 16384)
DAEMON = {"cpu": 128, "memory": 256}


@dataclass(frozen=True)
class Shape:
    """What a market is made of; `draw` draws one.

    Args:
        wide: ENIs and GPUs count beside CPU and memory; rules: host ports and distinctInstance.
    """

    services: int
    offers: int
    zones: int
    spot_percent: int
    wide: bool = False
    rules: bool = False
    daemon: bool = False
    limits: bool = False

    @classmethod
    def draw(cls, rng: Generator) -> Shape:
        """Any of the shapes that `bench optimal` knows."""
        return cls(
            int(rng.integers(20, 61)),
            int(rng.choice(OFFERS)),
            int(rng.integers(1, 4)),
            int(rng.choice(SPOT_PERCENT)),
            *(bool(rng.random() < 0.4) for _ in range(4)),
        )

    @property
    def name(self) -> str:
        """`40 services, 26 offers, 3 zones, 50 % spot, daemon`."""
        more = [key for key in ("wide", "rules", "daemon", "limits") if getattr(self, key)]
        sizes = f"{self.services} services, {self.offers} offers, {self.zones} zones"
        return ", ".join([sizes, f"{self.spot_percent} % spot", *more])


def market(seed: int, shape: Shape) -> dict[str, Any]:
    """The document of a market; the same for the same seed and shape."""
    rng = np.random.default_rng([seed, shape.services, shape.offers])
    services, definitions = [], {}
    for number in range(shape.services):
        name = f"s{number:02d}"
        service, definitions[name] = _service(rng, name, shape)
        services.append(service)
    if shape.daemon:
        definitions["agent"] = _definition("agent", DAEMON)
        daemon = {"name": "agent", "task_definition": "agent", "scheduling_strategy": "DAEMON"}
        services.append(daemon)
    buy = {
        "tasks": "services",
        "spread_zones": shape.zones > 1,
        "spot_percent_max": shape.spot_percent,
        "offer": _offers(rng, shape),
    }
    return {
        "name": f"market-{seed}",
        "duration": "10m",
        "task_definitions": definitions,
        "service": services,
        "optimize": buy,
    }


def scenario(document: Mapping[str, Any]) -> Scenario:
    """The scenario of a market's document, which stays as it is."""
    copied = {key: value for key, value in document.items() if key != "optimize"}
    copied["optimize"] = dict(document["optimize"])
    return check_scenario(copied, buys=True).scenario


def types_on_offer(*, gpus: bool) -> list[Listed]:
    """Types of a current generation with a price, of the sizes that such services are put on."""
    return [
        each
        for each in listed_types()
        if each.current
        and each.priced
        and each.registers.cpu <= CPU_MOST
        and (gpus or not each.registers.gpus)
        and "metal" not in each.name
    ]


def _service(rng: Generator, name: str, shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    cpu, memory = WEB if rng.random() < SMALL else LARGE
    container: dict[str, Any] = {"cpu": int(rng.choice(cpu)), "memory": int(rng.choice(memory))}
    service = {
        "name": name,
        "task_definition": name,
        "desired_count": int(rng.integers(1, 41)),
    }
    mode = "bridge"
    if shape.wide and rng.random() < 0.4:
        mode = "awsvpc"
    if shape.wide and rng.random() < 0.05:
        container["resourceRequirements"] = [{"type": "GPU", "value": "1"}]
        service["desired_count"] = int(rng.integers(1, 5))
    rule = rng.random() if shape.rules else 1.0
    if rule < 0.1 and mode == "bridge":
        container["portMappings"] = [{"containerPort": 80, "hostPort": int(rng.choice((80, 443)))}]
        service["desired_count"] = int(rng.integers(1, 7))
    elif rule < 0.3:
        service["constraints"] = ["distinctInstance"]
        service["desired_count"] = int(rng.integers(1, 13))
    return service, _definition(name, container) | {"networkMode": mode}


def _definition(family: str, container: Mapping[str, Any]) -> dict[str, Any]:
    main = {"name": "main", "image": f"example/{family}:1", **container}
    return {"family": family, "containerDefinitions": [main]}


def _offers(rng: Generator, shape: Shape) -> list[dict[str, Any]]:
    """Real types at their prices; the first hold any task, whatever else is drawn."""
    types = types_on_offer(gpus=shape.wide)
    roomy = [t for t in types if t.registers.cpu >= 8192 and t.registers.memory >= 30_000]
    chosen = [roomy[int(rng.integers(len(roomy)))]]
    if shape.wide:
        with_gpu = [t for t in roomy if t.registers.gpus]
        chosen.append(with_gpu[int(rng.integers(len(with_gpu)))])
    names = {each.name for each in chosen}
    others = [t for t in types if t.name not in names]
    more = rng.choice(len(others), shape.offers - len(chosen), replace=False)
    chosen += [others[int(i)] for i in more]
    offers: list[dict[str, Any]] = []
    for number, each in enumerate(chosen):
        offer: dict[str, Any] = {"instance_type": each.name, "zones": list(ZONES[: shape.zones])}
        if shape.spot_percent:
            offer["spot_discount_percent"] = SPOT_DISCOUNT
        if shape.limits and number > 1 and rng.random() < 5 * LIMITED:
            offer["limit"] = int(rng.integers(1, 5))
        offers.append(offer)
    return offers
