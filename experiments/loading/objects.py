"""Strategies that are objects of the process, and where those in files lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stowplan.experiments.loading.own_strategies import as_factory
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory


class Objects(dict[str, StrategyFactory]):
    """Strategies of the notebook's own by the names that chains call them.

    `given` are the classes and objects behind them, `folders` where files were looked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, Any] = {}
        self.folders: dict[str, Path] = {}

    def absorb(self, others: Mapping[str, StrategyFactory]) -> None:
        """Take in others, which keep their names."""
        self.update(others)
        if isinstance(others, Objects):
            self.given |= others.given
            self.folders |= others.folders

    def add(self, strategy: Any) -> str:
        """The name of a class or an object: its class's, with a number where that is taken.

        Raises:
            PlacementError: it is neither a class nor an object with `keys`.
        """
        base = getattr(strategy, "__name__", type(strategy).__name__)
        name, number = base, 1
        while name in STRATEGIES or self.given.get(name, strategy) is not strategy:
            number += 1
            name = f"{base}-{number}"
        if name not in self:
            self[name], self.given[name] = as_factory(name, strategy), strategy
        return name
