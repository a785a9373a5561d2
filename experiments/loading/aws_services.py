"""Services and standalone tasks from describe-services and describe-tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stowplan.experiments.loading.aws_balancers import balancer_of
from stowplan.experiments.loading.aws_definitions import revision_of
from stowplan.experiments.loading.aws_draft import Row
from stowplan.experiments.loading.aws_groups import FARGATE
from stowplan.experiments.loading.aws_item import Item, Notes
from stowplan.experiments.loading.aws_output import AwsOutput

_FOR_GOOD = "3650d"
_NOT_MODELLED = {
    "serviceRegistries": "services in service discovery, which is not modelled",
    "volumeConfigurations": "services with volumes of their own, which are not modelled",
}


@dataclass(frozen=True)
class Known:
    """What services refer to: zones by subnet, providers of the scenario, short names.

    `names`: `family:revision` -> the name in the scenario. `has_default`: the cluster has a default
    capacity provider strategy. `target_groups`: by ARN.
    """

    zones: Mapping[str, str]
    providers: Collection[str]
    names: Mapping[str, str]
    awsvpc: Collection[str]
    has_default: bool
    target_groups: Mapping[str, Item]


def on_instances(output: AwsOutput, notes: Notes) -> list[Item]:
    """The services that run on instances and are there to stay; noted is what is left out."""
    kept = []
    for item in output.all("service"):
        name, status = item.text("serviceName", "?"), item.text("status", "ACTIVE")
        launch = item.text("launchType", "EC2")
        used = [each.text("capacityProvider") for each in item.items("capacityProviderStrategy")]
        if status != "ACTIVE":
            notes.add(f"services left out, as they are {status}", name)
        elif (not used and launch != "EC2") or (used and set(used) <= {*FARGATE}):
            notes.add("services left out, as they run on Fargate or elsewhere", name)
        else:
            kept.append(item)
    if not kept:
        notes.add("no services on instances found (aws ecs describe-services)")
    return kept


def definition_of(item: Item) -> str:
    """`family:revision` that a service is to run: that of its PRIMARY deployment."""
    for each in item.items("deployments"):
        if each.text("status") == "PRIMARY" and each.text("taskDefinition"):
            return revision_of(each.text("taskDefinition"))
    return revision_of(item.text("taskDefinition"))


def services_of(services: list[Item], known: Known, notes: Notes) -> list[Row]:
    """The services of the scenario; those whose task definition is not there are left out."""
    rows = []
    for item in services:
        revision = definition_of(item)
        if revision not in known.names:
            what = "services left out, as their task definitions were not found (aws ecs "
            notes.add(
                what + "describe-task-definition)", f"{item.text('serviceName')} ({revision})"
            )
            _service(item, revision, known, Notes())  # what is wrong with it is said all the same
            continue
        rows.append(_service(item, revision, known, notes))
    return rows


def _service(item: Item, revision: str, known: Known, notes: Notes) -> Row:
    name, daemon = item.text("serviceName"), item.text("schedulingStrategy") == "DAEMON"
    values: dict[str, Any] = {"name": name, "task_definition": known.names.get(revision, "")}
    if daemon:
        values["scheduling_strategy"] = "DAEMON"
    else:
        values["desired_count"] = item.whole("desiredCount", 0)
    if constraints := list(_constraints(item)):
        values["constraints"] = constraints
    if not daemon and (chain := list(_chain(item))):
        values["strategy"] = chain
    if zones := _zones(item, known, revision in known.awsvpc, notes):
        values["zones"] = zones
    values |= _deployment(item, daemon, notes)
    # A service that never had a value has it off; one that a scenario does not name has it on.
    if not daemon and item.text("availabilityZoneRebalancing", "DISABLED") != "ENABLED":
        values["availability_zone_rebalancing"] = False
    values |= _providers(item, known, notes)
    _note_state(item, notes)
    return Row(values | balancer_of(item, known.target_groups, notes))


def _note_state(item: Item, notes: Notes) -> None:
    name = item.text("serviceName")
    for key, what in _NOT_MODELLED.items():
        if any(item.items(key)):
            notes.add(what, name)
    if sum(1 for _ in item.items("deployments")) > 1:
        notes.add("services in a deployment: it counts as done", name)
    daemon = item.text("schedulingStrategy") == "DAEMON"
    if not daemon and item.whole("runningCount", 0) < item.whole("desiredCount", 0):
        notes.add("services that run fewer tasks than they should", name)
    controller = item.inner("deploymentController").text("type", "ECS")
    strategy = item.inner("deploymentConfiguration").text("strategy", "ROLLING")
    if controller != "ECS" or strategy != "ROLLING":
        kind = controller if controller != "ECS" else strategy
        notes.add(f"services whose deployments are {kind}; taken for rolling updates", name)


def _constraints(item: Item) -> Iterator[str]:
    for each in item.items("placementConstraints"):
        kind, expression = each.text("type"), each.text("expression")
        if kind == "memberOf" and expression:
            yield f"memberOf: {expression}"
        elif kind == "distinctInstance":
            yield kind
        else:
            each.wrong("type", f"expected memberOf or distinctInstance, found {kind!r}")


def _chain(item: Item) -> Iterator[str]:
    for each in item.items("placementStrategy"):
        kind, name = each.text("type"), each.text("field")
        if kind == "binpack":
            name = name.lower()
        if kind not in ("random", "spread", "binpack"):
            each.wrong("type", f"expected random, spread or binpack, found {kind!r}")
        else:
            yield f"{kind}:{name}" if name and kind != "random" else kind


def _zones(item: Item, known: Known, awsvpc: bool, notes: Notes) -> list[str]:
    """The zones of the service's subnets, where they are known."""
    if not awsvpc:
        return []
    network = item.inner("networkConfiguration").inner("awsvpcConfiguration")
    subnets = network.texts("subnets")
    if missing := [each for each in subnets if each not in known.zones]:
        what = "subnets without an instance, of which no zone is known; services in them go to the "
        what += "zones of their other subnets, or to any"
        notes.add(what, *missing)
    return sorted({known.zones[each] for each in subnets if each in known.zones})


def _deployment(item: Item, daemon: bool, notes: Notes) -> dict[str, Any]:
    settings = item.inner("deploymentConfiguration")
    low = settings.whole("minimumHealthyPercent", 100, 0, 10_000)
    high = settings.whole("maximumPercent", 200, 0, 10_000)
    if daemon:
        return {}
    values: dict[str, Any] = {}
    kept = min(low, 100), min(max(high, 100), 200)
    if kept != (low, high):
        what = "deployment percents beyond 100 and 200: those count"
        notes.add(what, item.text("serviceName"))
    if kept != (100, 200):
        values |= {"minimum_healthy_percent": kept[0], "maximum_percent": kept[1]}
    breaker = settings.inner("deploymentCircuitBreaker")
    if breaker.flag("enable"):
        table: dict[str, Any] = {"rollback": breaker.flag("rollback")}
        if not breaker.flag("resetOnHealthyTask", True):
            table["reset_on_healthy_task"] = False
        threshold = breaker.inner("thresholdConfiguration")
        if kind := threshold.text("type"):
            table |= {"threshold_type": kind, "threshold_value": threshold.whole("value", 50, 1)}
        values["circuit_breaker"] = table
    if settings.inner("alarms").flag("enable"):
        notes.add(
            "services with deployment alarms, which are not modelled", item.text("serviceName")
        )
    return values


def _providers(item: Item, known: Known, notes: Notes) -> dict[str, Any]:
    """The service's capacity provider strategy; launch type EC2 where the cluster has a default."""
    items = strategy_items(item, "capacityProviderStrategy", known.providers, notes)
    if items:
        return {"capacity_provider_strategy": items}
    return {"capacity_provider_strategy": []} if known.has_default else {}


def strategy_items(
    item: Item, key: str, providers: Collection[str], notes: Notes
) -> list[dict[str, Any]]:
    """The items of a strategy whose capacity providers the scenario has."""
    items = []
    for each in item.items(key):
        name = each.text("capacityProvider")
        if name not in providers:
            what = "capacity providers that strategies name and the scenario does not have: those "
            notes.add(what + "items are left out", name)
            continue
        kept = {"weight": each.whole("weight", 0, 0, 1_000), "base": each.whole("base", 0)}
        items.append({"capacity_provider": name, **kept})
    return items


def workloads_of(
    counts: Counter[tuple[str, str]], names: Mapping[str, str], taken: Collection[str], notes: Notes
) -> list[Row]:
    """Standalone tasks as workloads that begin at once and run for good."""
    rows, used = list[Row](), set(taken)
    for (revision, group), count in sorted(counts.items()):
        if revision not in names:
            what = "standalone tasks left out, as their task definitions were not found"
            notes.add(what, f"{revision} ({count})")
            continue
        name = stem = f"{names[revision]}-tasks"
        number = 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        options = {"count": count, "run": {"mean": _FOR_GOOD}}
        values: dict[str, Any] = {"name": name, "task_definition": names[revision]}
        values |= {"kind": "burst", "options": options}
        if group and group != f"family:{revision.partition(':')[0]}":
            values["group"] = group
        rows.append(Row(values, (f"{count} run now; how long they will is not known",)))
        notes.add("standalone tasks count as begun at 0 s and running for good", name)
    return rows


def eni_counts(output: AwsOutput) -> dict[str, int]:
    """Container instance -> how many of its tasks have a network interface of their own."""
    counts: Counter[str] = Counter()
    for item in output.all("task"):
        kinds = [each.text("type") for each in item.items("attachments")]
        if "ElasticNetworkInterface" in kinds:
            counts[item.text("containerInstanceArn")] += 1
    return counts
