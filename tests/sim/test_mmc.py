"""A queue with a closed form, through scenario, scheduler and simulator: M/M/c as Erlang has it.

Run with `-s` to see the figures.
"""

from __future__ import annotations

import heapq
from math import factorial, sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.experiments.record.result import scheduler_config
from stowplan.experiments.runs.simulate import world
from stowplan.experiments.workloads import WORKLOADS
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.chance import stream
from stowplan.placement.loop import run_loop
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig

MMC = SCENARIOS / "mmc.toml"
SERVERS, SERVICE_S = 4, 10.0
# Student's t, two-sided 99 %, by degrees of freedom.
T99 = {9: 3.250, 19: 2.861}


def erlang_wait_s(servers: int, load: float, service_s: float) -> float:
    """Mean time in the queue of M/M/c.

    Args:
        load: arrival rate x service time / servers, below 1.
    Source: Erlang's C formula; Kleinrock (1975), Queueing Systems I, section 3.5.
    """
    offered = servers * load
    full = offered**servers / factorial(servers) / (1 - load)
    busy = full / (sum(offered**n / factorial(n) for n in range(servers)) + full)
    return busy * service_s / (servers * (1 - load))


def scenario_of(load: float, hours: float, seed: int) -> Scenario:
    """The scenario in the file at another load, length and seed."""
    scenario = load_scenario(MMC).scenario
    (workload,) = scenario.workload
    options = {**workload.options, "rate_per_s": SERVERS * load / SERVICE_S}
    until = round(hours * 3_600_000)
    workload = workload.model_copy(update={"options": options, "until": until})
    # Time enough after the last arrival for everybody to be served.
    changes = {"seed": seed, "workload": (workload,), "duration": until + 3_600_000}
    return scenario.model_copy(update=changes)


class Waits:
    """The time from request to RUNNING of every task, in order of arrival."""

    def __init__(self) -> None:
        self._asked: dict[int, int] = {}
        self._request: dict[int, int] = {}
        self.waits: dict[int, float] = {}

    def __call__(self, entry: m.Round) -> None:
        for message in (*entry.events, *entry.commands):
            if isinstance(message, m.RunTask):
                self._asked[message.request] = entry.now_ms
            elif isinstance(message, m.StartTasks):
                self._request.update(dict.fromkeys(message.tasks, message.request))
            elif isinstance(message, m.TasksChanged) and message.status is TaskStatus.RUNNING:
                for task in message.tasks:
                    request = self._request[task]
                    self.waits[request] = (entry.now_ms - self._asked[request]) / 1000

    def in_order(self) -> list[float]:
        assert self.waits.keys() == self._asked.keys(), "somebody was never served"
        return [self.waits[request] for request in sorted(self.waits)]


def waits_s(scenario: Scenario, rounds: list[m.Round] | None = None) -> list[float]:
    """The wait of every task in a run of the whole stack, in order of arrival; keeps `rounds`."""
    _, driver = world(Loaded(scenario, Path(), {}), next(scenario.runs()), scenario.duration)
    waits = Waits()

    def record(entry: m.Round) -> None:
        waits(entry)
        if rounds is not None:
            rounds.append(entry)

    run_loop(Scheduler(scheduler_config(scenario)), driver, record)
    return waits.in_order()


def naive_waits_s(scenario: Scenario) -> list[float]:
    """The same of a queue in six lines: who comes takes the server that is free first."""
    (table,) = scenario.workload
    free, waits = [0] * SERVERS, []
    rng = stream(scenario.seed, f"workload {table.name}")
    for job in WORKLOADS[table.kind](table).jobs(rng):
        start = max(heapq.heappop(free), job.at_ms)
        waits.append((start - job.at_ms) / 1000)
        heapq.heappush(free, start + job.run_ms)
    return waits


def measured_s(load: float, hours: float, seed: int) -> float:
    """Mean wait of one run without its first quarter, in which the queue fills."""
    waits = waits_s(scenario_of(load, hours, seed))
    return mean(waits[len(waits) // 4 :])


def check(load: float, hours: float, runs: int, width: float) -> None:
    """The interval over independent seeds holds Erlang's wait, and is narrow enough to say so."""
    expected = erlang_wait_s(SERVERS, load, SERVICE_S)
    means = [measured_s(load, hours, seed) for seed in range(1, runs + 1)]
    centre, half = mean(means), T99[runs - 1] * stdev(means) / sqrt(runs)
    figures = f"load {load}: Erlang {expected:.3f} s, measured {centre:.3f} ± {half:.3f} s"
    print(figures)
    assert abs(centre - expected) <= half, figures
    assert half <= width * expected, f"{figures}: too wide to tell"


def test_erlangs_formula_gives_the_values_of_the_tables():
    # One server: rho / (1 - rho). Two at 0.75: C = 2 rho^2 / (1 + rho), and C / (2 - 2 rho).
    assert erlang_wait_s(1, 0.5, 1) == pytest.approx(1.0)
    assert erlang_wait_s(2, 0.75, 1) == pytest.approx(2 * 0.75**2 / 1.75 / 0.5)


@pytest.mark.parametrize("load", [0.5, 0.9, 1.1])
def test_every_single_wait_is_that_of_a_naive_queue(load):
    scenario, rounds = scenario_of(load, 0.5, seed=3), []
    assert waits_s(scenario, rounds) == naive_waits_s(scenario)
    assert [str(v) for v in check_rounds(rounds)] == []


def test_nobody_is_turned_away_and_nobody_gives_up():
    config = scheduler_config(scenario_of(0.9, 1.0, seed=5))
    assert config == SchedulerConfig(5, None, None, fields_checked=True)


@pytest.mark.parametrize(("load", "hours", "width"), [(0.7, 2.0, 0.3), (0.9, 3.0, 0.5)])
def test_the_mean_wait_is_erlangs(load, hours, width):
    check(load, hours, 10, width)


@pytest.mark.long
@pytest.mark.parametrize(("load", "width"), [(0.7, 0.1), (0.9, 0.2)])
def test_the_mean_wait_is_erlangs_within_a_narrow_interval(load, width):
    check(load, 12.0, 20, width)
