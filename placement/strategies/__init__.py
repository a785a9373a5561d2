"""Strategies by name. A strategy gives every candidate a key; the smallest wins, a chain narrows.

To add one: a file here with a class that has `keys`, and a line in `STRATEGIES`. From outside, pass
`STRATEGIES | {"mine": Mine}`. `placement.testing.check_strategy` is the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.optimal.strategy import Optimal
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
from stowplan.placement.strategies.random import Random
from stowplan.placement.strategies.spread import Spread
from stowplan.placement.strategies.stow_gpu import StowGpu
from stowplan.placement.strategies.worst_fit import WorstFit

if TYPE_CHECKING:
    from stowplan.placement.cluster.cluster import Cluster, IntArray
    from stowplan.placement.engine.engine import Engine
    from stowplan.placement.model import TaskKind
    from stowplan.placement.scheduler.outlook import Outlook


class Strategy(Protocol):
    """Ranks candidates; reads the cluster, changes nothing."""

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> NDArray[Any]:
        """How good each candidate is for `task`: smaller is better, equal is a tie.

        Args:
            task: what the task asks for; `cluster.demand(task)` is its vector.
            cluster: the state before placement.
            candidates: (n,) rows of the cluster on which the task fits, ascending, n >= 1.
            rng: the only source of chance.
        Returns:
            (n,) numbers, aligned with `candidates`.
        """
        ...


@runtime_checkable
class DeviceChooser(Protocol):
    """A strategy that also says which devices of the chosen instance to use."""

    def devices(
        self, task: TaskKind, cluster: Cluster, row: int, rng: Generator
    ) -> tuple[int, ...]:
        """`task.devices` different devices of instance `row`, each with `device_milli` left."""
        ...


@runtime_checkable
class Planner(Protocol):
    """A strategy that looks ahead. One object serves all tasks that name it with the same field."""

    def look_ahead(self, now_ms: int, outlook: Outlook, engine: Engine) -> None:
        """Told in every round before anything is placed; what it remembers may change its keys.

        A run must repeat, so nothing but the arguments may count: limit work, not time.

        Args:
            now_ms: the scheduler's time.
            outlook: what runs, and what asks for room in this round.
            engine: for questions; nothing may be booked.
        """
        ...


# A factory takes the strategy's `field` and raises ValueError where it makes no sense.
StrategyFactory = Callable[[str | None], Strategy]

STRATEGIES: Mapping[str, StrategyFactory] = {
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
    "optimal": Optimal,
    "openb_random": OpenbRandom,
    "openb_dot_product": OpenbDotProduct,
    "openb_best_fit": OpenbBestFit,
}
