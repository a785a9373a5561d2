"""Runs scenarios in simulation: one run, or all runs of a scenario side by side."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from experiments.arrivals import arrivals, definition_name
from experiments.load import Loaded
from experiments.metrics import metrics_of, wait_histogram
from experiments.recorder import SAMPLE_FIELDS, InstanceRecord, Recorder
from experiments.usage import Usage
from placement.journal import Header, JournalWriter
from placement.loop import run_loop
from placement.messages import Round
from placement.optimal.over_time_problem import OverTimeProblem
from placement.scenario import Fault, Run, Scenario, instance_specs
from placement.scheduler import Scheduler, SchedulerConfig
from sim.driver import SimDriver

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What is kept of a run: its row of metrics, its samples over time, and how full each instance
    was (`frames`: (ms, percent per instance), 255 for one that is gone). `waits` counts tasks by
    how long they waited, as `wait_histogram` has it; `usage` is what ran when."""

    run: Run
    metrics: Mapping[str, float | str | None]
    samples: list[tuple[int, ...]]
    frames: list[tuple[int, list[int]]]
    instances: list[InstanceRecord]
    waits: list[tuple[int, int]] = field(default_factory=list)
    usage: OverTimeProblem | None = None

    sample_fields = ("ms", *SAMPLE_FIELDS)


def simulate(
    loaded: Loaded, run: Run, journal: Path | None = None, progress: Progress | None = None
) -> RunResult:
    """One run of a scenario, from its first call to the scenario's end.

    Args:
        journal: where to write the journal (gzip); None: nowhere.
        progress: called with the simulated time in ms, about a hundred times.
    """
    scenario = loaded.scenario
    scheduler, driver = world(loaded, run, scenario.duration)
    recorder, usage = Recorder(), Usage()
    sinks: list[Callable[[Round], None]] = [recorder, usage]
    if progress is not None:
        sinks.append(_Progress(progress, scenario.duration))
    if journal is None:
        run_loop(scheduler, driver, tee(sinks))
    else:
        with journal.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
            header = Header(scheduler.config, about(loaded, run), tuple(loaded.own_strategies))
            sinks.append(JournalWriter(stream, header))
            run_loop(scheduler, driver, tee(sinks))
    return result_of(run, recorder, usage, scenario.duration)


def result_of(run: Run, recorder: Recorder, usage: Usage, until_ms: int) -> RunResult:
    """What is kept of a run that ended at `until_ms`, simulated or real."""
    recorder.finish(until_ms)
    return RunResult(
        run,
        metrics_of(recorder),
        recorder.samples,
        recorder.frames,
        recorder.instances,
        wait_histogram(recorder),
        usage.problem(until_ms),
    )


def _by_revision(scenario: Scenario, fault: Fault) -> Fault:
    """A fault that names its task definition as commands do."""
    if fault.task_definition is None:
        return fault
    name = definition_name(scenario, fault.task_definition)
    return fault.model_copy(update={"task_definition": name if ":" in name else f"{name}:1"})


def world(loaded: Loaded, run: Run, until_ms: int) -> tuple[Scheduler, SimDriver]:
    """A scheduler and a driver at the beginning of a run that ends at `until_ms`."""
    scenario = loaded.scenario
    driver = SimDriver(
        instance_specs(scenario),
        arrivals(scenario, run),
        faults=[_by_revision(scenario, fault) for fault in scenario.faults[run.faults]],
        models=scenario.models,
        until_ms=until_ms,
        seed=scenario.seed,
    )
    return Scheduler(scheduler_config(scenario), loaded.strategies), driver


def scheduler_config(scenario: Scenario) -> SchedulerConfig:
    """What a scenario fixes for its scheduler; `false` in the file is no limit."""
    quota, timeout_ms = scenario.cluster.provisioning_quota, scenario.cluster.provisioning_timeout
    return SchedulerConfig(
        scenario.seed,
        None if quota is False else quota,
        None if timeout_ms is False else timeout_ms,
    )


def about(loaded: Loaded, run: Run) -> dict[str, str]:
    """What a journal's header says of its run."""
    return {
        "scenario": loaded.scenario.name,
        "strategy": run.strategy,
        "layout": run.layout,
        "faults": run.faults,
    }


def tee(sinks: list[Callable[[Round], None]]) -> Callable[[Round], None]:
    """A sink that passes each round on to all of these, in order."""

    def record(entry: Round) -> None:
        for sink in sinks:
            sink(entry)

    return record


class _Progress:
    """Passes on the time of a run, but only when a further hundredth of it is done."""

    def __init__(self, report: Progress, duration_ms: int) -> None:
        self._report, self._step, self._next = report, max(1, duration_ms // 100), 0

    def __call__(self, entry: Round) -> None:
        if entry.now_ms >= self._next:
            self._report(entry.now_ms)
            self._next = entry.now_ms + self._step
