"""Where the times of a run are from: measured, documented, assumed, or the user's own."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement.scenario.fields import Table
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.times import DEFAULT_TIMES, DefaultTime


def origins(scenario: Scenario) -> list[tuple[str, str]]:
    """(heading, text): the times that the scenario uses, those of each kind together."""
    said = dict(_said(scenario))
    found = [
        (f"Times that are {kind}", "; ".join(_words(time) for time in times))
        for kind in ("measured", "documented", "assumed")
        if (times := [t for n, t in DEFAULT_TIMES.items() if t.kind == kind and _used(n, scenario)])
        and (times := [time for time in times if time.key not in said])
    ]
    if said:
        names = ", ".join(f"{key} ({whose})" for key, whose in said.items())
        found.append(("Times that are yours", names))
    return found


def _said(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The keys of times that a scenario or its calibration says, and which of the two."""
    models, pulls = scenario.models, scenario.pulls
    file = models.calibration
    whose = f"of {file}, or of the scenario where it says them" if file else "of the scenario"
    for name in ("boot", "start", "stop"):
        if name in models.model_fields_set:
            yield f"models.{name}", whose
    for name in ("latency", "ms_per_mib"):
        if name in pulls.model_fields_set and scenario.images:
            yield f"pulls.{name}", whose
    for service in scenario.service:
        if service.load_balancer is not None:
            for name in _keys(service.load_balancer):
                yield f"service.load_balancer.{name}", "of the scenario"
        if service.health_check_grace_period:
            yield "service.health_check_grace_period", "of the scenario"
    for fault in (fault for faults in scenario.faults.values() for fault in faults):
        for name in fault.model_fields_set & {"detect", "notice"}:
            yield f"faults.{name}", "of the scenario"


def _keys(table: Table) -> list[str]:
    known = {time.key.rpartition(".")[2] for time in DEFAULT_TIMES.values()}
    return sorted(table.model_fields_set & known)


def _used(name: str, scenario: Scenario) -> bool:
    """Whether anything in a scenario takes the time of this name."""
    key, real = DEFAULT_TIMES[name].key, scenario.agent == "amazon-ecs-agent"
    kinds = {fault.kind for faults in scenario.faults.values() for fault in faults}
    balanced = any(service.load_balancer is not None for service in scenario.service)
    waits = any(
        container.get("dependsOn")
        for document in scenario.task_definitions.values()
        for container in document.get("containerDefinitions", ())
    )
    late = bool(scenario.capacity_provider) or any(group.at for group in scenario.fleet)
    if name in ("agent poll", "pull retries"):
        return real and (waits if name == "agent poll" else bool(scenario.images))
    return {
        "models.boot": late,
        "pulls.latency": bool(scenario.images),
        "pulls.ms_per_mib": bool(scenario.images),
        "service.health_check_grace_period": balanced,
        "faults.detect": bool(kinds & {"zone-loss", "instance-loss", "partition"}),
        "faults.notice": "spot-reclaim" in kinds,
    }.get(key, balanced or not key.startswith("service.load_balancer."))


def _words(time: DefaultTime) -> str:
    value = f"{time.value / 1000:g} s" if time.unit == "ms" else f"{time.value:g} {time.unit}"
    return f"{time.what} {value}"
