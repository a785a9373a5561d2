"""What is wrong with the names of instances, and with what runs on them when a scenario begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from stowplan.placement.model import TaskDefinition
from stowplan.placement.scenario.scenario import Scenario, named_specs
from stowplan.placement.scenario.words import did_you_mean, unknown
from stowplan.placement.taskdef.parse import host_ports, task_resources

Problem = tuple[str, str]


def numbers_at_0(scenario: Scenario) -> dict[str, int]:
    """EC2 id -> number, of the instances that are named and there at 0 s, as they register."""
    numbers: dict[str, int] = {}
    count = 0
    for group in scenario.fleet:
        if group.at == 0:
            numbers |= {name: count + i for i, name in enumerate(group.ec2_instance_ids)}
            count += group.count
    for provider in scenario.capacity_provider:
        for each in provider.instances:
            numbers[each.ec2_instance_id] = count
            count += 1
    return numbers


def running_problems(
    scenario: Scenario, definitions: Mapping[str, TaskDefinition]
) -> Iterator[Problem]:
    """What is wrong with the names of instances, and with what runs on them.

    Args:
        definitions: by their names in the scenario, without those that do not parse.
    """
    yield from _names(scenario)
    numbers, seen = numbers_at_0(scenario), set[str]()
    amounts = _amounts(scenario)
    services = {each.name: each for each in scenario.service}
    for index, table in enumerate(scenario.running):
        place = f"running[{index}]"
        if table.instance not in numbers:
            what = f"no instance {table.instance!r} is there at 0 s by its ec2_instance_id"
            yield f"{place}.instance", what + did_you_mean(table.instance, numbers)
            continue
        if table.instance in seen:
            yield f"{place}.instance", f"{table.instance!r} is there twice"
        seen.add(table.instance)
        for name in table.services:
            if name not in services:
                yield f"{place}.services", unknown("service", name, services)
            elif services[name].at:
                yield f"{place}.services", f"service {name!r} is created later than at 0 s"
        for name in table.standalone:
            if name not in scenario.task_definitions:
                yield f"{place}.standalone", unknown("definition", name, scenario.task_definitions)
        there = {name: services[name].task_definition for name in table.services.keys() & services}
        counts = Counter({there[name]: 0 for name in there})
        for name, definition in there.items():
            counts[definition] += table.services[name]
        counts.update(table.standalone)
        for what in _too_much(counts, definitions, amounts.get(table.instance)):
            yield place, f"{table.instance} cannot hold its tasks: {what}"


def _names(scenario: Scenario) -> Iterator[Problem]:
    taken: set[str] = set()
    for index, group in enumerate(scenario.fleet):
        place, ids = f"fleet[{index}].ec2_instance_ids", group.ec2_instance_ids
        if ids and len(ids) != group.count:
            yield place, f"{len(ids)} of them for {group.count} instances"
        yield from _taken(place, ids, taken)
    for index, table in enumerate(scenario.capacity_provider):
        place = f"capacity_provider[{index}].instances"
        if len(table.instances) > table.first_size:
            yield place, f"{len(table.instances)} of them, and a desired_size of {table.first_size}"
        yield from _taken(place, [each.ec2_instance_id for each in table.instances], taken)
        for each in table.instances:
            if each.instance_type not in scenario.instance_types:
                what = unknown("instance type", each.instance_type, table.instance_types)
                yield place, f"{each.ec2_instance_id}: {what}"
            if each.zone not in table.zones:
                yield place, f"{each.ec2_instance_id}: {unknown('zone', each.zone, table.zones)}"


def _taken(place: str, names: tuple[str, ...] | list[str], taken: set[str]) -> Iterator[Problem]:
    for name in names:
        if name in taken:
            yield place, f"{name!r} is taken"
        taken.add(name)


def _amounts(scenario: Scenario) -> dict[str, Mapping[str, int]]:
    """EC2 id -> what an instance registers, of those that are named and whose type is known."""
    return {spec.name: spec.resources for spec in named_specs(scenario)}


def _too_much(
    counts: Mapping[str, int],
    definitions: Mapping[str, TaskDefinition],
    amounts: Mapping[str, int] | None,
) -> Iterator[str]:
    asked: Counter[str] = Counter()
    ports: Counter[tuple[str, int]] = Counter()
    for name, count in counts.items():
        if name not in definitions:
            continue
        for resource, amount in task_resources(definitions[name]).items():
            asked[resource] += amount * count
        tcp, udp = host_ports(definitions[name])
        for protocol, of in (("tcp", tcp), ("udp", udp)):
            ports.update({(protocol, port): count for port in of})
    for (protocol, port), count in ports.items():
        if count > 1:
            yield f"{count} of them want {protocol} port {port}"
    for resource, amount in asked.items() if amounts is not None else ():
        there = (amounts or {}).get(resource, 0)
        if amount > there:
            yield f"{amount} {resource} asked for, {there} registered"
