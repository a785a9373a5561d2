"""From a scenario to what its client does: every call, in order of time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from copy import copy
from operator import attrgetter

import msgspec

from stowplan.experiments.workloads import WORKLOADS
from stowplan.experiments.workloads.lifetimes import EXPECTED
from stowplan.experiments.workloads.own import checked_expectation, checked_jobs
from stowplan.placement.callers.client import Arrival, RetryPolicy
from stowplan.placement.chance import stream
from stowplan.placement.messages import (
    CircuitBreaker,
    ContainerOverride,
    CreateService,
    Event,
    LoadBalancer,
    PutClusterCapacityProviders,
    RegisterTaskDefinition,
    RunTask,
    StartTask,
    TasksFound,
    UpdateService,
)
from stowplan.placement.scenario.capacity import creation, strategy_of
from stowplan.placement.scenario.running_checks import numbers_at_0
from stowplan.placement.scenario.scenario import (
    Run,
    Scenario,
    ServiceTable,
    WorkloadTable,
    instance_spec,
)
from stowplan.placement.scenario.ties import chain_of
from stowplan.placement.taskdef.task_overrides import parse_task_override


def arrivals(scenario: Scenario, run: Run) -> Iterator[Arrival]:
    """The calls of a run: task definitions first, then services and workloads by time.

    What arrives depends on the scenario and its seed only, never on the strategy of the run.
    """
    for document in scenario.task_definitions.values():
        yield Arrival(0, RegisterTaskDefinition(dict(document)))
    for call in _capacity_calls(scenario):
        yield Arrival(0, call)
    services = sorted(_service_calls(scenario, run), key=attrgetter("at_ms"))
    found = list(_running(scenario))
    services = sorted([*services, *found], key=attrgetter("at_ms"))
    sources = [_run_task_calls(scenario, run, table) for table in scenario.workload]
    merged = heapq.merge(iter(services), *sources, key=attrgetter("at_ms"))
    request = 0
    for arrival in merged:
        if isinstance(arrival.call, RunTask | StartTask):
            # It was made here, and nobody has seen it yet.
            msgspec.structs.force_setattr(arrival.call, "request", request)
            request += 1
        yield arrival


def _capacity_calls(scenario: Scenario) -> Iterator[Event]:
    for table in scenario.capacity_provider:
        specs = [
            instance_spec(table, name, scenario.instance_types[name], table.zones[0], 0)
            for name in table.instance_types
        ]
        yield creation(table, [(spec.resources, spec.attributes) for spec in specs])
    default = strategy_of(scenario.cluster.default_capacity_provider_strategy)
    if default:
        yield PutClusterCapacityProviders(default)


def _service_calls(scenario: Scenario, run: Run) -> Iterator[Arrival]:
    for table in scenario.service:
        breaker = table.circuit_breaker
        yield Arrival(
            table.at,
            CreateService(
                table.name,
                definition_name(scenario, table.task_definition),
                table.desired_count,
                table.constraints + scenario.layouts[run.layout].get(table.name, ()),
                chain_of(scenario, run, table),
                table.zones,
                table.scheduling_strategy,
                table.minimum_healthy_percent,
                table.maximum_percent,
                CircuitBreaker(**breaker.model_dump()) if breaker else None,
                table.availability_zone_rebalancing is not False,
                strategy_of(table.capacity_provider_strategy),
                _balancer(table),
            ),
        )
        for step in table.scale:
            yield Arrival(step.at, UpdateService(table.name, step.desired_count))
        for change in table.deploy:
            name = change.task_definition
            definition = definition_name(scenario, name) if name else None
            call = UpdateService(table.name, task_definition=definition, force_new_deployment=True)
            yield Arrival(change.at, call)


def _running(scenario: Scenario) -> Iterator[Arrival]:
    """The tasks that run at 0 s: those of services are found there, others are put there."""
    numbers = numbers_at_0(scenario)
    services: dict[str, list[int]] = {}
    for table in scenario.running:
        for name, count in table.services.items():
            services.setdefault(name, []).extend([numbers[table.instance]] * count)
    for name, rows in services.items():
        yield Arrival(0, TasksFound(name, tuple(rows)))
    standalone: dict[str, list[int]] = {}
    for table in scenario.running:
        for name, count in table.standalone.items():
            standalone.setdefault(name, []).extend([numbers[table.instance]] * count)
    for name, rows in standalone.items():
        definition = definition_name(scenario, name)
        yield Arrival(0, StartTask(-1, definition, tuple(rows), started_by=name))


def _balancer(table: ServiceTable) -> LoadBalancer | None:
    if table.load_balancer is None:
        return None
    return table.load_balancer.said(table.health_check_grace_period)


def _run_task_calls(scenario: Scenario, run: Run, table: WorkloadTable) -> Iterator[Arrival]:
    constraints = table.constraints + scenario.layouts[run.layout].get(table.name, ())
    strategy = chain_of(scenario, run, table)
    family = definition_name(scenario, table.task_definition)
    retry = RetryPolicy(
        table.retry, table.retry_max, None if table.resubmit is False else table.resubmit
    )
    rng = stream(scenario.seed, f"workload {table.name}")
    expect = EXPECTED[table.expected]()
    if table.expected in EXPECTED.added:
        expect = checked_expectation(table.expected, expect)
    jobs = WORKLOADS[table.kind](table).jobs(rng)
    if table.kind in WORKLOADS.added:
        jobs = checked_jobs(table.kind, jobs)
    base = parse_task_override(table.overrides)
    chosen = strategy_of(table.capacity_provider_strategy)
    last: tuple[object, ...] = ()
    like: RunTask | None = None
    for job in jobs:
        asked = (job.count, job.cpu, job.memory, job.resources, job.overrides)
        expected_ms = expect(job)
        own = (*asked, job.name, job.constraints, expected_ms)
        if like is None or own != last:
            last = own
            like = RunTask(
                request=-1,
                task_definition=family,
                count=job.count,
                group=job.name if table.group == "job" and job.name else table.group,
                cpu=base.cpu if job.cpu is None else job.cpu,
                memory=base.memory if job.memory is None else job.memory,
                placement_constraints=constraints + job.constraints,
                placement_strategy=strategy,
                capacity_provider=table.capacity_provider,
                zones=table.zones,
                started_by=table.name,
                resources=job.resources,
                expected_ms=expected_ms,
                capacity_provider_strategy=chosen,
                overrides=_over(base.containers, job.overrides),
            )
        yield Arrival(job.at_ms, copy(like), job.run_ms, retry)


def _over(
    base: tuple[ContainerOverride, ...], own: tuple[ContainerOverride, ...]
) -> tuple[ContainerOverride, ...]:
    """The overrides of a job's containers, those of its workload where it has none."""
    if not own:
        return base
    named = {each.name for each in own}
    return tuple(each for each in base if each.name not in named) + own


def definition_name(scenario: Scenario, name: str) -> str:
    """The name of a scenario's task definition in ECS's calls: its family, and its revision where
    the family has several."""
    family = scenario.task_definitions[name]["family"]
    same = [n for n, d in scenario.task_definitions.items() if d["family"] == family]
    return f"{family}:{same.index(name) + 1}" if len(same) > 1 else str(family)
