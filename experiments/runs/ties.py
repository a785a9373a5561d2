"""Which runs of a scenario are repeated with ties decided the other way, and how often.

AWS does not say which of several instances that tie gets a task. Where an answer depends on that,
who reads it should know; so what takes little time is repeated unasked, and all of it when asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stowplan.experiments.record.result import RunResult
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scenario.ties import has_open_ties

AUTO, BOTH, SET = "auto", "both", "set"
DRAWS = 3
# Of `auto`: tasks to place again, in all; fewer where instances are many. About half a minute of a
# processor.
TASKS_MOST = 400_000


def repeats(scenario: Scenario, results: Sequence[RunResult], how: str) -> list[Run]:
    """The runs to do besides those of `results`.

    Args:
        how: `both`: each run whose chains may tie, with ties at random `DRAWS` times, or where the
            scenario says random, once with the lowest number. `auto`: of the first layout and
            faults alone, as often as is cheap, and not where ties are random anyway. `set`: none.
    """
    whole = [each for each in results if each.whole and has_open_ties(scenario, each.run.strategy)]
    if how == AUTO:
        first = next(iter(results), None)
        whole = [each for each in whole if first and _beside(each.run) == _beside(first.run)]
        cost = sum(map(_cost, whole))
        draws = min(DRAWS, int(TASKS_MOST // max(cost, 1))) if scenario.ties == "lowest" else 0
    else:
        draws = DRAWS if how == BOTH else 0
    if scenario.ties == "random":
        return [replace(each.run, ties="lowest") for each in whole] if draws else []
    return [replace(each.run, ties="random", draw=n) for n in range(draws) for each in whole]


def _beside(run: Run) -> tuple[str, str]:
    return run.layout, run.faults


def _cost(result: RunResult) -> float:
    """How many tasks were placed, on a thousand instances twice as many; and how long it went."""
    started = result.sample_fields.index("started")
    tasks = max((sample[started] for sample in result.samples), default=0)
    return tasks * (1 + len(result.instances) / 1000) + len(result.samples)
