"""What is kept of a run, simulated or real, and how rounds come to be it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.availability import UpTime
from stowplan.experiments.record.costs import CostRow, OwnerCost, costs_over_time
from stowplan.experiments.record.daemon_log import Coverage
from stowplan.experiments.record.deployment_log import DeploymentRecord
from stowplan.experiments.record.leftovers import Leftover
from stowplan.experiments.record.metrics import histogram, metrics_of
from stowplan.experiments.record.money import owners_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import SAMPLE_FIELDS, InstanceRecord
from stowplan.experiments.record.refused import Refusal
from stowplan.experiments.record.stops import Stop, StopCount
from stowplan.experiments.record.usage import Usage
from stowplan.placement.messages import Round
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scheduler.scheduler import SchedulerConfig


@dataclass(frozen=True, slots=True)
class RunResult:
    """What is kept of a run: its row of metrics, its samples over time, and how full each instance
    was (`frames`: (ms, percent per instance), 255 for one that is gone). `waits` (standalone
    tasks), `service_waits` and `starts` count
    tasks by how long they waited and took to start, as `histogram` has it; `leftovers` is what was
    free and of no use; `services` says by (service, zone) how available it was, `migrations` by
    service how many running tasks were replaced, `failed_deployments` how many deployments failed;
    `usage` is what ran when; `points` are those of
    CapacityProviderReservation, with POINT_FIELDS. `deployments` are in the order in which they
    began, `daemons` as they were at the end, `stops` counts how tasks ended, `crash_loops` has the
    services whose tasks kept ending: how many did, and for how many places. `costs` are dollars by
    provider, type and market over time, `owner_costs` by service and workload, `refused` what found
    no room and why. One that is not `whole` was interrupted, so its sums and percentiles are not to
    be compared with others'."""

    run: Run
    metrics: Mapping[str, float | str | None]
    samples: list[tuple[int, ...]]
    frames: list[tuple[int, Sequence[int]]]
    instances: list[InstanceRecord]
    waits: list[tuple[int, int]] = field(default_factory=list)
    usage: OverTimeProblem | None = None
    starts: list[tuple[int, int]] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    services: Mapping[tuple[str, str], UpTime] = field(default_factory=dict)
    migrations: Mapping[str, int] = field(default_factory=dict)
    failed_deployments: Mapping[str, int] = field(default_factory=dict)
    points: list[tuple[Any, ...]] = field(default_factory=list)
    service_waits: list[tuple[int, int]] = field(default_factory=list)
    whole: bool = True
    deployments: list[DeploymentRecord] = field(default_factory=list)
    daemons: list[Coverage] = field(default_factory=list)
    stops: Mapping[Stop, StopCount] = field(default_factory=dict)
    crash_loops: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    costs: list[CostRow] = field(default_factory=list)
    owner_costs: list[OwnerCost] = field(default_factory=list)
    refused: Sequence[Refusal] = field(default_factory=list)

    sample_fields = ("ms", *SAMPLE_FIELDS)


def result_of(
    run: Run, recorder: Recorder, usage: Usage, until_ms: int, whole: bool = True
) -> RunResult:
    """What is kept of a run that ended at `until_ms`, simulated or real."""
    recorder.finish(until_ms)
    return RunResult(
        run,
        metrics_of(recorder),
        recorder.samples,
        recorder.frames,
        recorder.instances,
        histogram(recorder.waits_ms),
        usage.problem(until_ms),
        histogram(recorder.starts_ms),
        recorder.leftovers,
        recorder.services_log.up,
        recorder.services_log.migrations,
        +recorder.services_log.failed_deployments,
        recorder.capacity.points,
        histogram(recorder.service_waits.waits_ms),
        whole,
        recorder.deployments.records,
        recorder.daemons.coverages(),
        recorder.stops.counts,
        recorder.crash_loops(),
        costs_over_time(recorder.capacity.paid.values(), until_ms),
        owners_of(recorder),
    )


def scheduler_config(scenario: Scenario) -> SchedulerConfig:
    """What a scenario fixes for its scheduler; `false` in the file is no limit."""
    quota, timeout_ms = scenario.cluster.provisioning_quota, scenario.cluster.provisioning_timeout
    return SchedulerConfig(
        scenario.seed,
        None if quota is False else quota,
        None if timeout_ms is False else timeout_ms,
        fields_checked=True,  # by the scenario's check
    )


AGENT = "agent"  # in a journal's header: whose waits the agents had


def about(loaded: Loaded, run: Run) -> dict[str, str]:
    """What a journal's header says of its run."""
    said = {
        "scenario": loaded.scenario.name,
        "strategy": run.strategy,
        "layout": run.layout,
        "faults": run.faults,
        AGENT: loaded.scenario.agent,
    }
    return said if run.ties is None else {**said, "ties": run.ties, "draw": str(run.draw)}


def tee(sinks: list[Callable[[Round], None]]) -> Callable[[Round], None]:
    """A sink that passes each round on to all of these, in order."""

    def record(entry: Round) -> None:
        for sink in sinks:
            sink(entry)

    return record
