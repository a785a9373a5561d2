"""Machine code only where it pays: to load numba takes longer than to pack a hundred items.

A function marked `lazily_compiled` runs as the Python that it is for small work, and as machine
code from the first large work on. Both give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

STEPS_IN_PYTHON = 30_000  # of a loop with a few array look-ups in it, some tens of milliseconds

_P = ParamSpec("_P")
_R = TypeVar("_R")
_before: list[Callable[[], None]] = []
_loaded: list[bool] = []


class Lazy(Generic[_P, _R]):
    """A function with two ways to run; calls among such functions take the same way."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        self._python = function
        self._machine: Callable[_P, _R] | None = None
        self.__doc__ = function.__doc__

    def __call__(self, *args: _P.args, **more: _P.kwargs) -> _R:
        function = self.machine() if _loaded else self._python
        return function(*args, **more)

    def machine(self) -> Callable[_P, _R]:
        """The function as numba compiles it, together with all such functions of its module."""
        if self._machine is None:
            from numba import njit

            scope = self._python.__globals__
            mine = {name: each for name, each in scope.items() if isinstance(each, Lazy)}
            for name, each in mine.items():
                # numba looks a name up when it compiles, and knows nothing of this class.
                each._machine = scope[name] = njit(cache=True)(each._python)
        assert self._machine is not None, f"{self._python.__name__} is no name of its module"
        return self._machine


def lazily_compiled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Mark a function of numbers and arrays; it may call others of its module that are marked."""
    return Lazy(function)


def paying(steps: float) -> None:
    """Say how many steps what follows takes: above `STEPS_IN_PYTHON`, machine code is loaded."""
    if steps > STEPS_IN_PYTHON:
        load()


def load() -> None:
    """Machine code from now on."""
    if not _loaded:
        for call in _before:
            call()
        _loaded.append(True)


def before_loading(call: Callable[[], None]) -> None:
    """Call it when machine code is loaded for the first time, if ever."""
    _before.append(call)
