"""Whether a plan keeps all that a market's document says: plain sums over the document's numbers.

No code of the optimizer, of the engine or of the scenario takes part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.experiments.loading.catalogue import listed_types
from stowplan.placement.optimal.plan import Plan, PlannedInstances


def broken(document: Mapping[str, Any], plan: Plan) -> list[str]:
    """What the plan does not keep, a sentence each."""
    services = {each["name"]: each for each in document["service"]}
    lines = [(line, {plan.tasks[i].owner: n for i, n in line.tasks}) for line in plan.instances]
    found: list[str] = []
    for name, service in services.items():
        if service.get("scheduling_strategy") != "DAEMON":
            found += _service(document, name, service, lines)
    for line, tasks in lines:
        found += _instance(document, services, plan, line, tasks)
    found += _limits(document, plan)
    return found


def cost(document: Mapping[str, Any], plan: Plan) -> int:
    """Millionths of a dollar an hour, by the catalogue's prices and the document's discounts."""
    prices = {each.name: each.registers.price_microusd_hour for each in listed_types()}
    less = {o["instance_type"]: o.get("spot_discount_percent", 0) for o in offers(document)}
    total = 0
    for line in plan.instances:
        price = prices[line.instance_type]
        if line.purchase == "spot":
            price = -(-price * (100 - less[line.instance_type]) // 100)
        total += price * line.copies
    return total


def offers(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is on offer."""
    return list(document["optimize"]["offer"])


def _service(
    document: Mapping[str, Any],
    name: str,
    service: Mapping[str, Any],
    lines: list[tuple[PlannedInstances, dict[str, int]]],
) -> Iterator[str]:
    wanted, buy = service["desired_count"], document["optimize"]
    placed, spot = 0, 0
    zones = dict.fromkeys(buy["offer"][0]["zones"], 0)
    for line, tasks in lines:
        n = tasks.get(name, 0) * line.copies
        placed += n
        if line.purchase == "spot":
            spot += n
        if n and len(zones) > 1:
            zones[line.zone] += n
    if placed != wanted:
        yield f"{name}: {placed} of {wanted} tasks"
    if spot * 100 > wanted * buy["spot_percent_max"]:
        yield f"{name}: {spot} of {wanted} tasks on spot"
    if buy["spread_zones"] and max(zones.values()) - min(zones.values()) > 1:
        yield f"{name}: {zones}"


def _instance(
    document: Mapping[str, Any],
    services: Mapping[str, Mapping[str, Any]],
    plan: Plan,
    line: PlannedInstances,
    tasks: Mapping[str, int],
) -> Iterator[str]:
    room = _registers(line.instance_type)
    # ECS starts a daemon on every instance that has room for it
    daemons = [s["name"] for s in services.values() if s.get("scheduling_strategy") == "DAEMON"]
    held = dict(tasks)
    for name in daemons:
        wants = _wants(document, services[name], 1)
        if all(wants[key] <= room[key] - _used(document, services, daemons, held, key)
               for key in wants):  # fmt: skip
            held[name] = 1
    there = {plan.daemons[i].owner for i in line.daemons}
    if there != {name for name in daemons if name in held}:
        yield f"{line.instance_type}: daemons {sorted(there)}"
    used: Counter[str] = Counter()
    for name, n in held.items():
        used += _wants(document, services[name], n)
        if n > 1 and "distinctInstance" in services[name].get("constraints", ()):
            yield f"{name}: {n} tasks on one instance"
    for key, n in used.items():
        if n > (1 if key.startswith("port") else room[key]):
            yield f"{line.instance_type}: {n} of {room[key]} {key}"


def _used(
    document: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]], daemons: list[str],
    held: Mapping[str, int], key: str,
) -> int:  # fmt: skip
    """What daemons already there take: they come before all tasks."""
    mine = (_wants(document, services[name], 1)[key] for name in daemons if name in held)
    return sum(mine)


def _wants(document: Mapping[str, Any], service: Mapping[str, Any], n: int) -> Counter[str]:
    definition = document["task_definitions"][service["task_definition"]]
    wants: Counter[str] = Counter()
    for container in definition["containerDefinitions"]:
        wants["CPU"] += n * container["cpu"]
        wants["MEMORY"] += n * container["memory"]
        for each in container.get("resourceRequirements", ()):
            wants[each["type"]] += n * int(each["value"])
        for port in container.get("portMappings", ()):
            wants[f"port {port['hostPort']}"] += n
    if definition.get("networkMode") == "awsvpc":
        wants["ENI"] += n
    return wants


def _registers(name: str) -> Counter[str]:
    of = next(each.registers for each in listed_types() if each.name == name)
    return Counter(CPU=of.cpu, MEMORY=of.memory, GPU=of.gpus, ENI=of.eni_slots)


def _limits(document: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    bought: Counter[tuple[str, str]] = Counter()
    for line in plan.instances:
        bought[line.instance_type, line.purchase] += line.copies
    for offer in document["optimize"]["offer"]:
        for key, purchase in (("limit", "on-demand"), ("spot_limit", "spot")):
            n = bought[offer["instance_type"], purchase]
            if n > offer.get(key, n):
                yield f"{n} of {offer['instance_type']}, {offer[key]} on offer"
