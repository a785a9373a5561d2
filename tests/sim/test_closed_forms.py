"""More worlds with known answers, through scenario, scheduler and simulator: M/G/infinity, Erlang's
loss formula, and a packing worked out by hand.

Run with `-s` to see the figures.
"""

from __future__ import annotations

from collections import Counter
from math import exp, factorial, sqrt
from pathlib import Path
from statistics import mean, stdev

import pytest

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.loop import run_loop
from stowplan.placement.model import TaskStatus
from stowplan.placement.scenario.scenario import Run, Scenario
from tests.sim.test_mmc import T99

HOUR_MS = 3_600_000
RUN = Run("first", "shared", "none")
# Whatever the shape, the mean is 20 s: of a lognormal one it is median x exp(sigma^2 / 2).
SHAPES = {
    "lognormal": {"distribution": "lognormal", "median": 20 / exp(0.8**2 / 2), "sigma": 0.8},
    "exponential": {"distribution": "exponential", "mean": 20},
    "constant": {"mean": 20},
}
MEAN_S = 20.0


def rounds_of(rate, shape, servers, hours, seed):
    """Poisson arrivals on one instance with room for `servers` tasks; nobody asks again."""
    run = {**SHAPES[shape]}
    if "median" in run:
        run["median"] = f"{round(run['median'] * 1000)}ms"
    container = {"name": "c", "image": "i", "cpu": 128, "memory": 6}
    scenario = Scenario.model_validate(
        {
            "name": "queue",
            "seed": seed,
            "duration": f"{hours}h",
            "instance_types": {"one": {"cpu": 128 * servers, "memory": 10**6}},
            "fleet": [{"name": "f", "instance_type": "one", "count": 1, "zones": ["a"]}],
            "task_definitions": {"t": {"family": "t", "containerDefinitions": [container]}},
            "workload": [
                {
                    "name": "w",
                    "task_definition": "t",
                    "kind": "poisson",
                    "until": f"{hours}h",
                    "retry": "1000d",
                    "retry_max": "1000d",
                    "options": {"rate_per_s": rate, "run": run},
                }
            ],
            "strategies": {"first": "binpack:cpu"},
            "models": {key: {"mean": 0} for key in ("boot", "start", "stop")},
        }
    )
    scheduler, driver = world(Loaded(scenario, Path("queue"), {}), RUN, scenario.duration)
    rounds: list[m.Round] = []
    run_loop(scheduler, driver, rounds.append)
    return rounds


def occupancy(rounds, from_ms, until_ms, about):
    """Mean over time of the tasks that run, and of the square of their distance from `about`."""
    running = last_ms = 0
    total = squares = 0.0
    for entry in [*rounds, m.Round(until_ms, (), ())]:
        passed = max(0, min(entry.now_ms, until_ms) - max(last_ms, from_ms))
        total += passed * running
        squares += passed * (running - about) ** 2
        last_ms = entry.now_ms
        for event in entry.events:
            if isinstance(event, m.TasksChanged):
                sign = 1 if event.status is TaskStatus.RUNNING else -1
                running += sign * len(event.tasks)
    return total / (until_ms - from_ms), squares / (until_ms - from_ms)


def holds(what, expected, values, width):
    """The 99 % interval over independent seeds holds what is expected, and is narrow enough."""
    centre, half = mean(values), T99[len(values) - 1] * stdev(values) / sqrt(len(values))
    figures = f"{what}: expected {expected:.4f}, measured {centre:.4f} ± {half:.4f}"
    print(figures)
    assert abs(centre - expected) <= half, figures
    assert half <= width * expected, f"{figures}: too wide to tell"


@pytest.mark.parametrize(
    ("shape", "hours", "width"),
    [
        ("lognormal", 0.5, 0.5),
        *(pytest.param(shape, 4, 0.15, marks=pytest.mark.long) for shape in SHAPES),
    ],
)
def test_with_room_for_all_the_occupancy_is_poisson_whatever_the_run_times(shape, hours, width):
    """M/G/infinity: mean and variance are the arrival rate times the mean run time.

    Source: Kleinrock (1975), Queueing Systems I, section 3.4; insensitivity: Takacs (1962).
    """
    rate = 0.6
    offered = rate * MEAN_S
    found = []
    for seed in range(1, 11):
        rounds = rounds_of(rate, shape, 1000, hours, seed)
        # The longest shape has 99.9 % of its tasks over in 200 s.
        found.append(occupancy(rounds, 200_000, round(hours * HOUR_MS), offered))
    holds(f"mean, {shape}", offered, [each for each, _ in found], width / 3)
    holds(f"variance, {shape}", offered, [each for _, each in found], width)


def erlang_b(servers: int, offered: float) -> float:
    """The share that finds all servers busy. Source: Kleinrock (1975), section 3.6."""
    terms = [offered**n / factorial(n) for n in range(servers + 1)]
    return terms[-1] / sum(terms)


def test_erlangs_loss_formula_gives_the_values_of_the_tables():
    assert erlang_b(1, 1.0) == pytest.approx(0.5)
    assert erlang_b(4, 3.0) == pytest.approx(3.375 / 16.375)
    assert erlang_b(10, 5.0) == pytest.approx(0.018385, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "servers", "offered", "hours", "width"),
    [
        ("lognormal", 4, 3.0, 1.5, 0.2),
        ("constant", 2, 1.0, 1.5, 0.3),
        pytest.param("lognormal", 4, 3.0, 10, 0.05, marks=pytest.mark.long),
    ],
)
def test_the_share_of_tasks_that_find_no_room_is_erlangs(shape, servers, offered, hours, width):
    shares = []
    for seed in range(1, 11):
        rounds = rounds_of(offered / MEAN_S, shape, servers, hours, seed)
        asked = sum(isinstance(e, m.RunTask) for r in rounds for e in r.events)
        lost = sum(isinstance(c, m.RunTaskFailed) for r in rounds for c in r.commands)
        shares.append(lost / asked)
    holds(f"loss, {servers} servers", erlang_b(servers, offered), shares, width)


# --- packing ------------------------------------------------------------------------------------

# Hundreds of MiB in the order in which they are asked for; an instance has ten of them.
SIZES = (6, 5, 7, 4, 3, 3, 2)


def packed(copies, strategy):
    """What the instances in use hold after `copies` times the tasks of `SIZES`, a task a second."""
    definitions = {
        f"t{n}": {
            "family": f"t{n}",
            "containerDefinitions": [{"name": "c", "image": "i", "memory": 100 * size}],
        }
        for n, size in enumerate(SIZES)
    }
    scenario = Scenario.model_validate(
        {
            "name": "packing",
            "duration": "1h",
            "instance_types": {"ten": {"cpu": 1024, "memory": 1000}},
            "fleet": [
                {"name": "f", "instance_type": "ten", "count": 7 * copies, "zones": ["a"]},
            ],
            "task_definitions": definitions,
            "workload": [
                {
                    "name": f"w{n}",
                    "task_definition": f"t{n}",
                    "kind": "burst",
                    "group": "all",
                    "options": {
                        "count": 1,
                        "at": [copy * len(SIZES) + n for copy in range(copies)],
                        "run": {"mean": "2h"},
                    },
                }
                for n in range(len(SIZES))
            ],
            "strategies": {"first": strategy},
        }
    )
    scheduler, driver = world(Loaded(scenario, Path("packing"), {}), RUN, scenario.duration)
    held: dict[int, list[int]] = {}

    def record(entry: m.Round) -> None:
        for command in entry.commands:
            if isinstance(command, m.StartTasks):
                size = SIZES[int(command.task_definition[1:].partition(":")[0])]
                for number in command.instances:
                    held.setdefault(number, []).append(size)

    run_loop(scheduler, driver, record)
    return Counter(tuple(sizes) for sizes in held.values())


@pytest.mark.parametrize("copies", [1, 7, 40])
def test_binpack_fills_three_instances_for_each_copy_as_worked_out_by_hand(copies):
    """6 | 5 | 7 open an instance each (4, 5 and 3 left); 4 goes where 4 are left, the first 3 where
    3 are left, the second 3 where 5 are, and 2 on top: three full instances, and no fewer hold 30.
    """
    assert packed(copies, "binpack:memory") == {(6, 4): copies, (5, 3, 2): copies, (7, 3): copies}


def test_spread_opens_an_instance_for_each_while_there_is_one():
    assert packed(1, "spread:instanceId") == Counter(
        {(size,): 1 for size in set(SIZES)} | {(3,): 2}
    )
