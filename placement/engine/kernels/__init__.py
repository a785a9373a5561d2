"""The engine's decisions in machine code: `packed` → `layout` → `fit` → `order` → `scored`
→ `choose` → `batch`, and → `gpus` → `contest`.

Those and `explain` are compiled. `plan`, `forms` and `contests` make their arrays from kinds and
clusters, `failures` turns their counts into Failures, and the engine calls `runner`. The numpy code
of `engine.py`, the strategies and the constraints is the reference:
tests/placement/engine/test_kernels.py and test_contests.py hold the kernels to it in every choice,
Failure, state and draw. Nothing here is imported before the first decision.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

COMPILED = (
    "packed",
    "layout",
    "fit",
    "order",
    "scored",
    "explain",
    "choose",
    "batch",
    "gpus",
    "contest",
)


LAST = "batch.next_row*.nbi"  # in the cache, once single tasks were placed by kernels


def drop_stale_code(folder: Path, compiled: Sequence[str]) -> None:
    """Delete compiled kernels of a folder that are older than any of the files `compiled`.

    numba compares a cached function with its own file only, not with those of what it calls.
    """
    newest = max((folder / f"{name}.py").stat().st_mtime for name in compiled)
    for index in folder.glob("__pycache__/*.nbi"):
        try:
            if index.stat().st_mtime < newest:
                index.unlink()
        except OSError:
            pass  # another process was faster, or the folder is not ours to change


def is_compiled() -> bool:
    """Whether the code that places single tasks lies in numba's cache, so that it only loads."""
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    here = Path(__file__).parent / "__pycache__"
    return bool(list(Path(elsewhere).rglob(LAST) if elsewhere else here.glob(LAST)))


drop_stale_code(Path(__file__).parent, COMPILED)
