"""Predicted lifetimes: the true one times a lognormal error, as published.

The draws are those of a 32-bit Mersenne Twister and Marsaglia's polar method, in the order of the
file, which is what the published program draws on Linux: a seed here is the same seed there.
"""

from __future__ import annotations

import numpy as np

from stowplan.experiments.studies.dvbp.trace import Floats, Trace

_SEED_A_MACHINE = 31  # a seed of one machine type is not that of another
_WORD = 2.0**32


def predicted_lifetimes(trace: Trace, sigma: float, seed: int) -> Floats:
    """(n,) days that each VM of `trace` is said to run.

    Args:
        sigma: of the logarithm of the error; its median is 1. 0: the truth.
    """
    true = trace.end - trace.start
    if sigma == 0:
        return true
    drawn = normals((trace.machine * _SEED_A_MACHINE + seed) % 2**32, len(true))
    predicted: Floats = true * np.exp(drawn * sigma)[trace.file_order]
    return predicted


def normals(seed: int, count: int) -> Floats:
    """(count,) standard normal numbers by the polar method, two of each accepted point."""
    twister = np.random.MT19937()
    twister._legacy_seeding(seed)  # the seeding of the original, which numpy's own is not
    found: list[Floats] = []
    have = 0
    while have < count:
        words = twister.random_raw(4 * (count - have) + 64).astype(np.float64)
        uniform = np.minimum((words[0::2] + words[1::2] * _WORD) / _WORD**2, np.nextafter(1, 0))
        x, y = 2 * uniform[0::2] - 1, 2 * uniform[1::2] - 1
        square = x * x + y * y
        inside = (square <= 1) & (square != 0)
        x, y, square = x[inside], y[inside], square[inside]
        scale = np.sqrt(-2 * np.log(square) / square)
        found.append(np.column_stack((y * scale, x * scale)).ravel())
        have += found[-1].size
    return np.concatenate(found)[:count]
