"""Experiment: what does each strategy cost or save against ECS's default, on the same luck?

    python -m stowplan.experiments.studies.compare_strategies [SCENARIO] [--jobs N]

Every strategy meets the same tasks with the same run times, so differences to the default within a
layout and fault are paired. Prints one table of differences per layout and fault.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.results import runs_frame
from stowplan.experiments.runs.parallel import check_jobs, run_all
from stowplan.placement.errors import PlacementError, SpecError

BASELINE = "ecs-default"
COMPARED = (
    "instances_busy_mean",
    "dollars_busy",
    "cpu_reserved_pct",
    "memory_reserved_pct",
    "wait_p50_s",
    "wait_p99_s",
    "service_wait_p50_s",
    "service_wait_p99_s",
    "lost",
    "services_back_s",
)


def run(scenario: Path, jobs: int | None = None) -> list[RunResult]:
    """Every run of a scenario, without journals; quiet.

    Raises:
        SpecError: the scenario is wrong, or none of its strategies has the baseline's name.
    """
    check_jobs(jobs)
    loaded = load_scenario(scenario).scenario
    if BASELINE not in loaded.strategies:
        what = f"needs one called {BASELINE}, to compare with; there are "
        raise SpecError([(f"{scenario}: strategies", what + ", ".join(loaded.strategies))])
    runs = list(loaded.runs())
    return run_all(scenario, runs, None, lambda *_: None, jobs=jobs)


def differences(frame: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Each run minus the baseline's run of the same layout and faults.

    Args:
        frame: as `experiments.record.results.runs_frame` makes it.
    Returns:
        a row per run other than the baseline's, indexed by layout, faults and strategy, a column
        per metric of `COMPARED`; NaN where either run lacks the number.
    Raises:
        KeyError: no run of the baseline's name.
    """
    table = frame.set_index(["layout", "faults", "strategy"])[list(COMPARED)]
    base = table.xs(baseline, level="strategy")
    gaps = table - base.reindex(table.index.droplevel("strategy")).set_axis(table.index)
    return gaps.drop(index=baseline, level="strategy")


def small_scenario() -> Path:
    """The scenario that runs in a few seconds."""
    return SCENARIOS / "small.toml"


def main() -> None:
    """Run the experiment and print it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("scenario", type=Path, nargs="?", default=small_scenario())
    parser.add_argument("--jobs", type=int)
    arguments = parser.parse_args()
    try:
        results = run(arguments.scenario, arguments.jobs)
    except PlacementError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    short = [result.run.id for result in results if not result.whole]
    if short:
        print(f"left out, as they were interrupted: {', '.join(short)}")
    frame = runs_frame([result for result in results if result.whole])
    if BASELINE not in set(frame["strategy"]):
        parser.exit(130, f"{parser.prog}: no whole run of {BASELINE}, to compare with\n")
    print(
        f"Difference to {BASELINE}; better is "
        + ", ".join(
            f"{'+' if METRICS[name].better == 'more' else '-'} for {name}" for name in COMPARED
        )
    )
    for (layout, faults), part in differences(frame).groupby(
        level=["layout", "faults"], sort=False
    ):
        print(f"\n{layout}, faults: {faults}")
        print(part.droplevel(["layout", "faults"]).round(2).to_string())


if __name__ == "__main__":
    main()
