"""Named streams of chance: every purpose of a run draws from a generator of its own."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.random import Generator


def stream(seed: int, name: str) -> Generator:
    """The generator of one purpose: the same seed and name give the same draws, whatever else is
    drawn elsewhere."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
