"""What a strategy is: the interfaces that the engine asks for."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Protocol, cast, runtime_checkable

from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray
from stowplan.placement.model import TaskKind
from stowplan.placement.outlook import Outlook


class Strategy(Protocol):
    """Ranks candidates; reads the cluster, changes nothing: what it is handed is read-only.

    One object serves all tasks of a run that name it with the same field, so what it remembers
    lives for the run; what depends on the kind of task it keeps by kind.
    """

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
class ReadsField(Protocol):
    """A strategy whose field names a resource or an attribute."""

    def missing(self, cluster: Cluster) -> str | None:
        """What its field names that no instance of the cluster ever had; None: nothing."""
        ...


class Questions(Protocol):
    """What the engine answers to a planner; `placement.engine.eligibility` has the answers."""

    cluster: Cluster

    def allowed(self, kind: TaskKind) -> BoolArray:
        """(size,) rows on which one more task of `kind` fits and may run."""
        ...

    def fixed_mask(self, kind: TaskKind) -> BoolArray:
        """(size,) rows allowed by everything that depends on attributes alone."""
        ...


@runtime_checkable
class Planner(Protocol):
    """A strategy that looks ahead."""

    def look_ahead(self, now_ms: int, outlook: Outlook, engine: Questions) -> None:
        """Told in every round before anything is placed; what it remembers may change its keys.

        A run must repeat, so nothing but the arguments may count: limit work, not time.

        Args:
            now_ms: the scheduler's time.
            outlook: what runs, and what asks for room in this round.
            engine: the scheduler's `Engine`, for questions; nothing may be booked.
        """
        ...


# A factory takes the strategy's `field` and raises ValueError where it makes no sense; a class that
# knows no field may be called without: see `make_strategy`.
StrategyFactory = Callable[[str | None], Strategy]


def make_strategy(factory: StrategyFactory, field: str | None) -> Strategy:
    """A strategy, made without its field where a task names none and the factory asks for none.

    Raises:
        ValueError: the field makes no sense, or the factory takes none.
    """
    make: Any = factory
    if field is None:
        return cast(Strategy, make() if _takes(make) else make(None))
    if not _takes(make, field):
        raise ValueError(f"takes no field, found {field!r}")
    return cast(Strategy, make(field))


def _takes(make: Callable[..., Any], *arguments: Any) -> bool:
    try:
        signature(make).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # it does not say what it takes
        return bool(arguments)
    return True
