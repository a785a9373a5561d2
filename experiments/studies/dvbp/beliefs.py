"""What may be believed of a lifetime: a prediction, how wrong such ones were, what came before.

Lifetimes are in bins, by powers of the cube root of 2 from a minute on. Of each type of VM it is
remembered how its lifetimes were spread, over all and over the last few, which tell more: VMs that
come together last alike. A VM that has not ended counts by what is believed of it, one that has by
the truth. By Bayes's rule that spread and the prediction give the belief about the next VM.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from stowplan.experiments.studies.dvbp.books import part
from stowplan.experiments.studies.dvbp.trace import Floats, Ints

BINS = 48
_STEP = math.log(2) / 3
_FIRST = math.log(60 / 86400)
FORGET = 0.9  # of the last few of a type, with each that comes
LATELY, EVER, ANY = 1.0, 0.1, 0.01  # weights of the last few, of the type, of all types
_NONE = 1e-9
ERRORS = 200  # about so many of the last errors say how large they are
_ERROR_AT_FIRST, _ERROR_LEAST = 1.0, 1e-4


class Beliefs(NamedTuple):
    """What is remembered. Rows of `chance` and `until` are slots, reused as VMs end.

    Args:
        chance: (slots, BINS) of each bin, as believed when the VM came; until: (slots, BINS + 1)
            their running sum; slot, number: (n,) the row of each VM, and which of its type it was.
        lately, ever: (types, BINS); any: (BINS,); came: (types,) how many.
        error: (2,) the mean squared error of logarithms, and how many ended.
        free: (slots + 1,) slots that are not in use, from 1; first how many.
    """

    chance: Floats
    until: Floats
    slot: Ints
    number: Ints
    lately: Floats
    ever: Floats
    any: Floats
    came: Ints
    error: Floats
    free: Ints


@part
def new_beliefs(n, types, slots):  # type: ignore[no-untyped-def]
    """Beliefs about `n` VMs of which at most `slots` run at a time."""
    free = np.arange(-1, slots)
    free[0] = slots
    return Beliefs(
        np.zeros((slots, BINS)),
        np.zeros((slots, BINS + 1)),
        np.full(n, -1),
        np.zeros(n, np.int64),
        np.zeros((types, BINS)),
        np.zeros((types, BINS)),
        np.full(BINS, 1.0 / BINS),
        np.zeros(types, np.int64),
        np.array([_ERROR_AT_FIRST, 0.0]),
        free,
    )


@part
def spread(beliefs):  # type: ignore[no-untyped-def]
    """The standard deviation of the logarithm of the error, as learned of VMs that ended."""
    return math.sqrt(max(beliefs.error[0], _ERROR_LEAST))


@part
def place_in(days):  # type: ignore[no-untyped-def]
    """Where a time is among the running sums: the index below, as a float."""
    return min(max((math.log(max(days, _NONE)) - _FIRST) / _STEP + 0.5, 0.0), BINS - _NONE)


@part
def arrive(beliefs, vm, kind, lifetime):  # type: ignore[no-untyped-def]
    """Believe something of a VM of a type, by its predicted lifetime in days."""
    slot = beliefs.free[beliefs.free[0]]
    beliefs.free[0] -= 1
    beliefs.slot[vm] = slot
    chance, until = beliefs.chance[slot], beliefs.until[slot]
    logarithm, error = math.log(max(lifetime, _NONE)), max(spread(beliefs), _STEP / 4)
    of_type, of_any = _NONE, 0.0
    for b in range(BINS):
        of_type += beliefs.ever[kind, b]
        of_any += beliefs.any[b]
    total = 0.0
    for b in range(BINS):
        prior = LATELY * beliefs.lately[kind, b] + EVER * beliefs.ever[kind, b] / of_type
        prior += ANY * beliefs.any[b] / of_any + _NONE
        off = (logarithm - _FIRST - b * _STEP) / error
        chance[b] = prior * (math.exp(-0.5 * off * off) + _NONE * _NONE)
        total += chance[b]
    beliefs.came[kind] += 1
    beliefs.number[vm] = beliefs.came[kind]
    for b in range(BINS):
        chance[b] /= total
        until[b + 1] = min(until[b] + chance[b], 1.0)
        beliefs.lately[kind, b] = FORGET * beliefs.lately[kind, b] + chance[b]
        beliefs.ever[kind, b] += chance[b]


@part
def depart(beliefs, vm, kind, lifetime, true):  # type: ignore[no-untyped-def]
    """Put the true lifetime of a VM that ended in the place of what was believed."""
    slot = beliefs.slot[vm]
    beliefs.free[0] += 1
    beliefs.free[beliefs.free[0]] = slot
    chance = beliefs.chance[slot]
    left = FORGET ** (beliefs.came[kind] - beliefs.number[vm])
    logarithm = math.log(max(true, _NONE))
    at = min(max(round((logarithm - _FIRST) / _STEP), 0), BINS - 1)
    for b in range(BINS):
        change = (1.0 if b == at else 0.0) - chance[b]
        beliefs.ever[kind, b] = max(beliefs.ever[kind, b] + change, 0.0)
        beliefs.lately[kind, b] = max(beliefs.lately[kind, b] + left * change, 0.0)
    beliefs.any[at] += 1
    off = math.log(max(lifetime, _NONE)) - logarithm
    beliefs.error[1] += 1
    beliefs.error[0] += (off * off - beliefs.error[0]) / min(beliefs.error[1], ERRORS)
