"""What a scenario says of containers and images: names that exist, layers of one size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stowplan.placement.model import TaskDefinition
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scenario.words import unknown

Problem = tuple[str, str]


def container_problems(
    scenario: Scenario, definitions: Mapping[str, TaskDefinition]
) -> Iterator[Problem]:
    """Every (place, what) that is wrong with `behaviour`, `images` and the images of the fleet.

    Args:
        definitions: as for `scenario_checks.scenario_problems`.
    """
    for name, containers in scenario.behaviour.items():
        if name not in scenario.task_definitions:
            what = unknown("task definition", name, scenario.task_definitions)
            yield f"behaviour.{name}", what
        elif name in definitions:
            known = [each.name for each in definitions[name].containers]
            for container in containers:
                if container not in known:
                    what = unknown("container", container, known)
                    yield f"behaviour.{name}.{container}", what
    yield from _layers(scenario)
    groups = [(f"fleet[{i}]", each.cached_images) for i, each in enumerate(scenario.fleet)]
    providers = enumerate(scenario.capacity_provider)
    groups += [(f"capacity_provider[{i}]", each.cached_images) for i, each in providers]
    for place, images in groups:
        for image in images:
            if image not in scenario.images:
                yield f"{place}.cached_images", unknown("image", image, scenario.images)
    if scenario.images:
        yield from _missing_images(scenario, definitions)


def _missing_images(
    scenario: Scenario, definitions: Mapping[str, TaskDefinition]
) -> Iterator[Problem]:
    """Where some images are known, those of all tasks must be."""
    used = {table.task_definition for table in scenario.service}
    used |= {table.task_definition for table in scenario.workload}
    used |= {step.task_definition or "" for table in scenario.service for step in table.deploy}
    users: dict[str, list[str]] = {}
    for name in sorted(used & definitions.keys()):
        for container in definitions[name].containers:
            users.setdefault(container.image, []).append(name)
    for image, names in users.items():
        if image not in scenario.images:
            what = unknown("image", image, scenario.images)
            yield "images", f"{what}; used by task definition {', '.join(dict.fromkeys(names))}"


def _layers(scenario: Scenario) -> Iterator[Problem]:
    sizes: dict[str, tuple[int, str]] = {}
    for name, image in scenario.images.items():
        for layer, mib in image.layers.items():
            first_mib, first = sizes.setdefault(layer, (mib, name))
            if first_mib != mib:
                what = f"{mib} MiB here, {first_mib} in {first}; a layer has one size"
                yield f"images.{name}.layers.{layer}", what
