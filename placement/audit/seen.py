"""What a rule is shown, and how it says which of that it wants to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from stowplan.placement import messages as m
from stowplan.placement.messages import Round

Seen = m.Event | m.Command | Round
Rule = TypeVar("Rule", bound=Callable[..., Any])


def sees(*kinds: type) -> Callable[[Rule], Rule]:
    """Mark a rule as one that has something to say on these types only.

    A journal is mostly messages on which a given rule is silent; it is not asked about them.
    """

    def mark(rule: Rule) -> Rule:
        rule.sees = kinds  # type: ignore[attr-defined]
        return rule

    return mark
