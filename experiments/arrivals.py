"""From a scenario to what its client does: every call, in order of time."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from operator import attrgetter

import msgspec

from experiments.lifetimes import EXPECTED
from experiments.workloads import WORKLOADS
from placement.client import Arrival, RetryPolicy
from placement.messages import CreateService, RegisterTaskDefinition, RunTask, UpdateService
from placement.scenario import Run, Scenario, ServiceTable, WorkloadTable
from sim.models import stream


def arrivals(scenario: Scenario, run: Run) -> Iterator[Arrival]:
    """The calls of a run: task definitions first, then services and workloads by time.

    What arrives depends on the scenario and its seed only, never on the strategy of the run.
    """
    for document in scenario.task_definitions.values():
        yield Arrival(0, RegisterTaskDefinition(dict(document)))
    services = sorted(_service_calls(scenario, run), key=attrgetter("at_ms"))
    sources = [_run_task_calls(scenario, run, table) for table in scenario.workload]
    merged = heapq.merge(iter(services), *sources, key=attrgetter("at_ms"))
    request = 0
    for arrival in merged:
        if isinstance(arrival.call, RunTask):
            call = msgspec.structs.replace(arrival.call, request=request)
            arrival = Arrival(arrival.at_ms, call, arrival.run_ms, arrival.retry)
            request += 1
        yield arrival


def _service_calls(scenario: Scenario, run: Run) -> Iterator[Arrival]:
    for table in scenario.service:
        yield Arrival(
            table.at,
            CreateService(
                table.name,
                _family(scenario, table),
                table.desired_count,
                table.constraints + scenario.layouts[run.layout].get(table.name, ()),
                _chain(scenario, run, table),
                table.zones,
            ),
        )
        for step in table.scale:
            yield Arrival(step.at, UpdateService(table.name, step.desired_count))


def _run_task_calls(scenario: Scenario, run: Run, table: WorkloadTable) -> Iterator[Arrival]:
    constraints = table.constraints + scenario.layouts[run.layout].get(table.name, ())
    strategy = _chain(scenario, run, table)
    family = _family(scenario, table)
    retry = RetryPolicy(
        table.retry, table.retry_max, None if table.resubmit is False else table.resubmit
    )
    rng = stream(scenario.seed, f"workload {table.name}")
    expect = EXPECTED[table.expected]()
    for job in WORKLOADS[table.kind](table).jobs(rng):
        call = RunTask(
            request=-1,
            task_definition=family,
            count=job.count,
            group=job.name if table.group == "job" and job.name else table.group,
            cpu=job.cpu,
            memory=job.memory,
            placement_constraints=constraints,
            placement_strategy=strategy,
            capacity_provider=table.capacity_provider,
            zones=table.zones,
            started_by=table.name,
            expected_ms=expect(job),
        )
        yield Arrival(job.at_ms, call, job.run_ms, retry)


def _family(scenario: Scenario, table: ServiceTable | WorkloadTable) -> str:
    return str(scenario.task_definitions[table.task_definition]["family"])


def _chain(scenario: Scenario, run: Run, table: ServiceTable | WorkloadTable):
    return scenario.strategies[run.strategy] if table.strategy is None else table.strategy
