"""What every contract needs: a subject with a name, and sentences about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


class Checked:
    """What is under test, by a name for messages."""

    def __init__(self, what: Any, name: str | None = None) -> None:
        self.name = name or getattr(what, "__name__", None) or repr(what)

    def fail(self, what: str) -> NoReturn:
        """Raises AssertionError: what is broken, of whom."""
        raise AssertionError(f"{self.name}: {what}")

    def ask(self, what: str, question: Callable[[], Any]) -> Any:
        """The answer; whatever is raised becomes an AssertionError that says so."""
        try:
            return question()
        except Exception as error:
            raise AssertionError(f"{self.name}: {what} raised {error!r}") from error
