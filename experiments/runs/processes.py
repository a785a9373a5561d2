"""Processes beside this one: they begin afresh, so a script that asks for them needs a guard."""

from __future__ import annotations

import ast
import multiprocessing
import sys
from multiprocessing.context import SpawnContext
from pathlib import Path

from stowplan.placement.errors import SpecError

UNGUARDED = (
    "several processes were asked for, and each would run this script from its top: put what runs "
    'under `if __name__ == "__main__":`, or ask for one process (jobs=1)'
)


def fresh_processes() -> SpawnContext:
    """How processes are begun: each imports what it needs, no thread or lock is copied into it.

    Raises:
        SpecError: the script that runs would be run again by each of them; said before one begins.
    """
    at = _unguarded_line()
    if at is not None:
        raise SpecError([(at, UNGUARDED)])
    return multiprocessing.get_context("spawn")


def _unguarded_line() -> str | None:
    """`script.py:12`, where this call comes from a line of the script that nothing guards.

    A notebook or `python -c` is no file, which no process would run again.
    """
    file = getattr(sys.modules["__main__"], "__file__", None)
    frame = sys._getframe()
    while frame is not None and file is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename == file:
            name = f"{Path(file).name}:{frame.f_lineno}"
            return None if _guarded(Path(file), frame.f_lineno) else name
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _guarded(file: Path, line: int) -> bool:
    """Whether a line of a script stands under an `if` that asks for `__name__`."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True  # it cannot be told
    for node in tree.body:
        if node.lineno <= line <= (node.end_lineno or node.lineno) and isinstance(node, ast.If):
            return any(getattr(part, "id", "") == "__name__" for part in ast.walk(node.test))
    return False
