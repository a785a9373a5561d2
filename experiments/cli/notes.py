"""What was taken for granted, said beside the results."""

from __future__ import annotations

import sys

from stowplan.experiments.loading.load import Loaded


def say_notes(loaded: Loaded) -> None:
    """Say on standard error what reading a scenario took for granted."""
    for note in loaded.notes:
        print(f"note: {note}", file=sys.stderr)
