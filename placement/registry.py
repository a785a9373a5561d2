"""What can be had by name: what ships, and what was added since. One seam for every extension.

The shipped part never changes. What is added lies beside it and lasts as long as the process, so
whoever starts another one adds it there too (`stowplan.experiments.loading.extensions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

from stowplan.placement.errors import PlacementError

Thing = TypeVar("Thing")


class Registry(MutableMapping[str, Thing]):
    """Things of one kind by name; what ships comes first, then what was added, in that order.

    To add is to assign: `STRATEGIES["mine"] = Mine`. A name of one's own may be given again, as a
    cell of a notebook does that is run twice; one that ships may not.

    Args:
        kind: what a thing is ("strategy"), for error messages.
        shipped: name -> thing; copied.
    """

    def __init__(self, kind: str, shipped: Mapping[str, Thing]) -> None:
        self.kind = kind
        self._shipped = dict(shipped)
        self._added: dict[str, Thing] = {}

    @property
    def added(self) -> Mapping[str, Thing]:
        """What does not ship, as it is now: a copy."""
        return dict(self._added)

    def __getitem__(self, name: str) -> Thing:
        return self._shipped[name] if name in self._shipped else self._added[name]

    def __setitem__(self, name: str, thing: Thing) -> None:
        """Raises PlacementError where the name is none, or ships with stowplan."""
        if not isinstance(name, str) or not name.strip():
            raise PlacementError(f"the name of a {self.kind} is a text, found {name!r}")
        if name in self._shipped:
            what = "is the name of one that ships with stowplan: choose another"
            raise PlacementError(f"{self.kind} {name!r} {what}")
        self._added[name] = thing

    def __delitem__(self, name: str) -> None:
        """Raises PlacementError where it ships, KeyError where it was never added."""
        if name in self._shipped:
            raise PlacementError(f"{self.kind} {name!r} ships with stowplan and stays")
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._shipped
        yield from self._added

    def __len__(self) -> int:
        return len(self._shipped) + len(self._added)

    def __or__(self, other: Mapping[str, Thing]) -> dict[str, Thing]:
        """A dict of both, to pass to an engine or scheduler of one's own; this one stays."""
        return {**self, **other}

    def __repr__(self) -> str:
        return f"<{len(self)} of {self.kind}: {', '.join(self)}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Registry[Thing]:
        """Itself: there is one of a kind, and a copy of who reads it reads the same."""
        return self
