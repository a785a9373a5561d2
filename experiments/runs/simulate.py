"""Runs scenarios in simulation: one run, or all runs of a scenario side by side."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.journal_file import journal_file
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.refused import Refusals, Refused
from stowplan.experiments.record.result import RunResult, about, result_of, scheduler_config, tee
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.runs.restarts import outages, run_killed
from stowplan.experiments.workloads.arrivals import arrivals, definition_name
from stowplan.placement.callers.autoscaling import Autoscaler
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.journal import Header, JournalWriter
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.messages import Round
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import Run, Scenario, instance_specs
from stowplan.placement.scenario.settings import with_settings
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.sim.containers import ContainerModels
from stowplan.sim.driver import SimDriver

Progress = Callable[[int], None]


class Interrupted(Exception):
    """A run was told to stop before its end."""


def simulate(
    loaded: Loaded,
    run: Run,
    journal: Path | IO[bytes] | None = None,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    also: Sequence[Callable[[Round], None]] = (),
) -> RunResult:
    """One run of a scenario, from its first call to the scenario's end.

    Args:
        journal: where to write the journal (gzip): a file, or a stream, which stays open; None:
            nowhere.
        progress: called with the simulated time in ms, about a hundred times.
        stopped: asked every round; once it says so the run ends there, with what was done so far.
        also: shown every round, in order.
    """
    scenario = loaded.scenario
    scheduler, driver = world(loaded, run, scenario.duration)
    recorder, usage, refused, last = Recorder(), Usage(), Refused(scheduler), scheduler
    sinks: list[Callable[[Round], None]] = [_heed(stopped), recorder, usage, refused, *also]
    if progress is not None:
        sinks.append(_Progress(progress, scenario.duration))
    until_ms = scenario.duration
    with ExitStack() as stack:
        stack.enter_context(uncollected())
        if journal is not None:
            raw = stack.enter_context(journal_file(journal))
            stream = stack.enter_context(gzip.GzipFile("", "wb", 1, raw, mtime=0))
            header = Header(scheduler.config, about(loaded, run), tuple(loaded.own_strategies))
            sinks.append(JournalWriter(stream, header))
        record = tee(sinks)
        whole = True
        try:
            last = drive(loaded, run, scheduler, driver, record)
            if recorder.now_ms < until_ms:  # so that readers know how long it went on
                record(Round(until_ms, (), ()))
        except Interrupted:
            until_ms, whole = recorder.now_ms, False
    result = result_of(run, recorder, usage, until_ms, whole)
    return replace(result, refused=Refusals(lambda: refused.refusals(last, until_ms)))


def _heed(stopped: Callable[[], bool]) -> Callable[[Round], None]:
    def heed(_: Round) -> None:
        if stopped():
            raise Interrupted

    return heed


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of cycles: it would look again and again through millions of objects
    that live long and hold no cycle, and take a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _by_revision(scenario: Scenario, name: str) -> str:
    """A task definition of the scenario as commands name it."""
    found = definition_name(scenario, name)
    return found if ":" in found else f"{found}:1"


def _fault(scenario: Scenario, fault: Fault) -> Fault:
    if fault.task_definition is None:
        return fault
    return fault.model_copy(
        update={"task_definition": _by_revision(scenario, fault.task_definition)}
    )


def _containers(scenario: Scenario) -> ContainerModels:
    behaviour = {_by_revision(scenario, name): does for name, does in scenario.behaviour.items()}
    return ContainerModels(behaviour, scenario.images, scenario.pulls, scenario.agent)


def world(
    loaded: Loaded, run: Run, until_ms: int, driver: type[SimDriver] = SimDriver
) -> tuple[Scheduler, Attended]:
    """A scheduler, and a driver with its callers, at the beginning of a run until `until_ms`."""
    scenario = with_settings(loaded.scenario, run.strategy)
    there = driver(
        instance_specs(scenario),
        faults=[
            _fault(scenario, fault)
            for fault in scenario.faults[run.faults]
            if fault.kind != "scheduler-restart"  # the world knows nothing of it
        ],
        models=scenario.models,
        containers=_containers(scenario),
        until_ms=until_ms,
        seed=scenario.seed,
        run_ms=lambda request: callers.run_ms(request),
        capacity_providers=scenario.capacity_provider,
        instance_types=scenario.instance_types,
    )
    callers = Callers(
        arrivals(scenario, run),
        stream(scenario.seed, "client"),
        autoscaler=_autoscaler(scenario),
        admits=there.admits,
    )
    config = replace(scheduler_config(scenario), seed=scenario.seed + run.draw)
    return Scheduler(config, loaded.strategies), Attended(there, callers)


def drive(
    loaded: Loaded,
    run: Run,
    scheduler: Scheduler,
    driver: Attended,
    record: Callable[[Round], None],
) -> Scheduler:
    """Drive a run to its end, through restarts of the scheduler; returns the one at the end."""
    kills = outages(loaded.scenario.faults[run.faults])
    if kills:
        return run_killed(scheduler, driver, record, kills, loaded.strategies)
    run_loop(scheduler, driver, record)
    return scheduler


def _autoscaler(scenario: Scenario) -> Autoscaler | None:
    scaled = {each.name: each.autoscaling for each in scenario.service}
    policies = {name: table.policy() for name, table in scaled.items() if table is not None}
    return Autoscaler(policies) if policies else None


class _Progress:
    """Passes on the time of a run, but only when a further hundredth of it is done."""

    def __init__(self, report: Progress, duration_ms: int) -> None:
        self._report, self._step, self._next = report, max(1, duration_ms // 100), 0

    def __call__(self, entry: Round) -> None:
        if entry.now_ms >= self._next:
            self._report(entry.now_ms)
            self._next = entry.now_ms + self._step
