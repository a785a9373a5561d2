"""What `aws ... describe-*` printed, read member by member: each of the type that AWS gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Problems = list[tuple[str, str]]
_NAMED_IN_A_NOTE = 4


@dataclass(frozen=True)
class Item:
    """An object of AWS's output, and where it stands: `file: services[2].deployments[0]`.

    A member that is missing or null is its default; one of another type is a problem.
    """

    body: Mapping[str, Any]
    place: str
    problems: Problems = field(repr=False)

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        value: str = self._read(key, str, "a text", default)
        return value

    def whole(self, key: str, default: int, low: int = 0, high: int = 2**40) -> int:
        """A whole number of that range."""
        value: int = self._read(key, int, "a whole number", default)
        if value is not default and not low <= value <= high:
            self.wrong(key, f"expected {low} to {high}, found {value}")
            return default
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value: bool = self._read(key, bool, "true or false", default)
        return value

    def inner(self, key: str) -> Item:
        """An object; an empty one where there is none."""
        return Item(self._read(key, Mapping, "an object", {}), self._at(key), self.problems)

    def items(self, key: str) -> Iterator[Item]:
        """The objects of a list."""
        for index, value in enumerate(self._list(key)):
            place = f"{self._at(key)}[{index}]"
            if isinstance(value, Mapping):
                yield Item(value, place, self.problems)
            else:
                self.problems.append((place, f"expected an object, found {value!r}"))

    def texts(self, key: str) -> list[str]:
        """The texts of a list."""
        found = self._list(key)
        for index, value in enumerate(found):
            if not isinstance(value, str):
                self.problems.append((f"{self._at(key)}[{index}]", f"expected a text: {value!r}"))
        return [value for value in found if isinstance(value, str)]

    def wrong(self, key: str, what: str) -> None:
        """Note a problem with a member."""
        self.problems.append((self._at(key), what))

    def _list(self, key: str) -> list[Any]:
        found: list[Any] = self._read(key, list, "a list", [])
        return found

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}"

    def _read(self, key: str, kind: Any, expected: str, default: Any) -> Any:
        value = self.body.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            shown = repr(value) if len(repr(value)) < 60 else f"{type(value).__name__}"
            self.wrong(key, f"expected {expected}, found {shown}")
            return default
        return value


class Notes:
    """What was not found and what was assumed: each sentence once, with what it is about."""

    def __init__(self) -> None:
        self._about: dict[str, dict[str, None]] = {}

    def add(self, what: str, *about: str) -> None:
        """Note a sentence, for these by name; for none where it is about all."""
        self._about.setdefault(what, {}).update(dict.fromkeys(about))

    def said(self) -> list[str]:
        """The sentences in the order in which they were noted, with names and counts."""
        return [self._one(what, list(about)) for what, about in self._about.items()]

    def _one(self, what: str, about: list[str]) -> str:
        if not about:
            return what
        shown = ", ".join(about[:_NAMED_IN_A_NOTE])
        more = len(about) - _NAMED_IN_A_NOTE
        return f"{what} ({len(about)}): {shown}" + (f" and {more} more" if more > 0 else "")
