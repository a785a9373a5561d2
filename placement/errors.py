"""The exceptions of the toolkit. A task that fits nowhere is not one: that is a `Failure`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

_ENTRY = re.compile(r"\b\w+\[\d+\]")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


class PlacementError(Exception):
    """Base of every error that a user can cause or cure."""


class SpecError(PlacementError):
    """An input is wrong. Names every problem at once, each by its place in the input.

    `problems` holds (place, what) pairs; a place is a path such as
    `web.json: containerDefinitions[0].memory` or `demo.toml: fleet[2].instance_type`. The message
    says `fleet pool` instead of `fleet[2]` where `names` has a name for that.
    """

    def __init__(self, problems: Sequence[tuple[str, str]], names: Mapping[str, str] = _NO_NAMES):
        assert problems, "a SpecError needs at least one problem"
        self.problems, self._names = tuple(problems), dict(names)
        lines = (f"{self._named(place)}: {what}" for place, what in self.problems)
        super().__init__("\n".join(lines))

    def _named(self, place: str) -> str:
        return _ENTRY.sub(lambda found: self._names.get(found[0], found[0]), place)

    def __reduce__(self) -> tuple[type[SpecError], tuple[object, ...]]:
        # Errors travel between processes, and Exception would call us with the message alone.
        return type(self), (self.problems, self._names)


class CallError(PlacementError):
    """A call makes no sense; `code` is the exception that ECS's API has for it."""

    def __init__(self, code: str, what: str):
        self.code, self.what = code, what
        super().__init__(what)

    def __reduce__(self) -> tuple[type[CallError], tuple[object, ...]]:
        return type(self), (self.code, self.what)


class QueryError(PlacementError):
    """A cluster query does not parse. `position` is the 0-based offset in `expression`."""

    def __init__(self, expression: str, position: int, what: str):
        self.expression, self.position, self.what = expression, position, what
        super().__init__(f"{what} at position {position} of {expression!r}")

    def __reduce__(self) -> tuple[type[QueryError], tuple[object, ...]]:
        return type(self), (self.expression, self.position, self.what)


def check_format(place: str, what: str, found: object, read: range) -> None:
    """Refuse a file whose format version is not among those that we read.

    Args:
        what: what the file is, in the plural ("journals").
        found: its version as the file has it; anything but a whole number is refused, too.
    Raises:
        SpecError: naming the file, its version and ours.
    """
    if type(found) is int and found in read:
        return
    ours = f"version {read[0]}" if len(read) == 1 else f"versions {read[0]} to {read[-1]}"
    too = ""
    if type(found) is int:
        too = ", which is too old" if found < read[0] else ", which is too new"
    what = f"of format version {found}{too}: this stowplan reads {what} of {ours}"
    raise SpecError([(place, what)])
