"""Worst fit: the instance that would have most left."""

from __future__ import annotations

from stowplan.placement.strategies.best_fit import BestFit


class WorstFit(BestFit):
    """Prefer the candidate with the most left after placement: best fit turned around.

    Source: Johnson (1974), Fast algorithms for bin packing, J. Comput. Syst. Sci. 8:272-314.
    """

    sign = -1
