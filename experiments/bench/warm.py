"""Compiles what is compiled at first use, so that it only loads later: `make setup` runs it.

Without it nothing is missing: small work is done without machine code, and large work compiles.
"""

from __future__ import annotations

import sys

import numpy as np

from stowplan.experiments.bench.worlds import ZONE, chain, fleet
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import CPU, MEMORY, TaskKind

ASKED = 80  # single requests, after which an index stands


def warm() -> None:
    """Load the kernels that place tasks, or compile them; then this process has them."""
    engine = Engine(fleet(10, np.random.default_rng(0)), np.random.default_rng(0), kernels=True)

    def kind(memory: int, *links: str) -> TaskKind:
        return TaskKind(((CPU, 1), (MEMORY, memory)), "warm", strategies=chain(*links))

    small, drawn = kind(1, "binpack:memory"), kind(1, f"spread:{ZONE}", "random")
    too_large = kind(1 << 30, "best_fit")
    for one in (small, drawn):
        engine.place([one] * 10)
    for one in (small, drawn, too_large):
        for _ in range(ASKED):
            engine.place([one])
    rows = engine.place([small] * 10).instances.tolist()
    for each in ([rows[0]], rows[1:]):
        engine.release(small, each)
    engine.place([kind(1, "nilas")] * 300)


def main() -> int:
    """All kernels, and a word on standard error when it takes long."""
    from stowplan.experiments.bench.optimal import compile_kernels
    from stowplan.experiments.runs.compiling import say_when_compiling

    say_when_compiling()
    warm()
    compile_kernels()
    return 0


if __name__ == "__main__":
    sys.exit(main())
