"""What tells the runs of a comparison apart, in every table."""

from __future__ import annotations

from stowplan.experiments.record.result import RunResult

KEYS = ("strategy", "layout", "faults")


def keys_of(result: RunResult) -> dict[str, str]:
    """What tells a run from the others: strategy, layout and faults, by name."""
    return {
        "strategy": result.run.strategy,
        "layout": result.run.layout,
        "faults": result.run.faults,
    }
