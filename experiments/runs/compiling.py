"""Word that machine code is being compiled: the first call takes long, and should say why."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

SENTENCE = (
    "stowplan: compiling its machine code for this computer, which takes a while the first time; "
    "later calls find it compiled"
)
_told = False
_listens: set[Callable[[], None]] = set()


def to_stderr() -> None:
    """Say it, once a process."""
    global _told
    if not _told:
        _told = True
        print(SENTENCE, file=sys.stderr, flush=True)


def say_when_compiling(say: Callable[[], None] = to_stderr) -> None:
    """Call `say` once, when this process first compiles something; never where all is cached.

    It costs the import of numba, so only what is about to place tasks calls it. To give the same
    `say` again changes nothing.
    """
    if say in _listens:
        return
    _listens.add(say)
    from numba.core import event

    class Once(event.Listener):
        """Hears of every compilation; numba tells of none that it finds in its cache."""

        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                self.said = True
                say()

        def on_end(self, event: Any) -> None:
            """It was said."""

    register: Any = event.register  # numba does not say its types
    register("numba:compile", Once())
