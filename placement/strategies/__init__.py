"""Strategies by name. A strategy gives every candidate a key; the smallest wins, a chain narrows.

To add one: a file here with a class that has `keys`, and a line in `_SHIPPED`. From outside, say
`STRATEGIES["mine"] = Mine`, which adds beside what ships, or pass `{**STRATEGIES, "mine": Mine}`.
`placement.testing.check_strategy` is the contract.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from stowplan.placement.registry import Registry
from stowplan.placement.strategies.best_fit import BestFit
from stowplan.placement.strategies.binpack import Binpack
from stowplan.placement.strategies.dot_product import DotProduct
from stowplan.placement.strategies.fgd import Fgd
from stowplan.placement.strategies.fgd_then_stow import FgdThenStow
from stowplan.placement.strategies.first_fit import FirstFit
from stowplan.placement.strategies.gpu_clustering import GpuClustering
from stowplan.placement.strategies.gpu_packing import GpuPacking
from stowplan.placement.strategies.next_fit import NextFit
from stowplan.placement.strategies.nilas import Nilas
from stowplan.placement.strategies.norm_greedy import NormGreedy
from stowplan.placement.strategies.openb import OpenbBestFit, OpenbDotProduct, OpenbRandom
from stowplan.placement.strategies.protocol import Strategy, StrategyFactory
from stowplan.placement.strategies.random import Random
from stowplan.placement.strategies.spread import Spread
from stowplan.placement.strategies.stow_gpu import StowGpu
from stowplan.placement.strategies.worst_fit import WorstFit


def _above(module: str, name: str) -> StrategyFactory:
    """A strategy of a room above this one, imported when a task names it."""

    def make(field: str | None) -> Strategy:
        made: Strategy = getattr(importlib.import_module(module), name)(field)
        return made

    make.__doc__ = f"Prefer the instance that a plan has for the task; see `{module}`."
    return make


# What STRATEGIES ships with.
_SHIPPED: Mapping[str, StrategyFactory] = {
    "random": Random,
    "binpack": Binpack,
    "spread": Spread,
    "first_fit": FirstFit,
    "best_fit": BestFit,
    "worst_fit": WorstFit,
    "next_fit": NextFit,
    "dot_product": DotProduct,
    "norm_greedy": NormGreedy,
    "nilas": Nilas,
    "gpu_packing": GpuPacking,
    "gpu_clustering": GpuClustering,
    "fgd": Fgd,
    "stow_gpu": StowGpu,
    "fgd_then_stow": FgdThenStow,
    "optimal": _above("stowplan.placement.optimal.strategy", "Optimal"),
    "openb_random": OpenbRandom,
    "openb_dot_product": OpenbDotProduct,
    "openb_best_fit": OpenbBestFit,
}
STRATEGIES: Registry[StrategyFactory] = Registry("strategy", _SHIPPED)
