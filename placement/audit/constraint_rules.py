"""What a placement constraint asks for, as the audit reads it, for `placement.audit.checkers`.

The audit reads the constraints that stowplan comes with by itself, from ecs-semantics 3.3: it may
not ask the classes that it is evidence for. Of a type that it does not know it takes what others
say that the type states (`Stated`): a limit, a query. It judges that from its own book. What is
code of the type's own it cannot judge; `History.not_judged` names such types. A type of which
nothing is known makes the verdict of its checker unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stowplan.placement.model import PlacementConstraint
from stowplan.placement.query import parse_query


@dataclass(frozen=True, slots=True)
class Rule:
    """A constraint of a type: `most` tasks of the group on an instance, and a `query` of it.

    `whole`: these are all that the constraint asks; else it asks more, which cannot be judged.
    `known`: somebody has said what a constraint of this type asks.
    """

    type: str
    most: int | None = None
    query: str | None = None
    whole: bool = True
    known: bool = True

    @property
    def lasting(self) -> bool:
        """Whether the start of a task can only take room from others, and never make any."""
        return self.whole and (self.query is None or not parse_query(self.query).volatile)


# What is said of a constraint whose type the audit does not know; None: nothing.
Stated = Callable[[PlacementConstraint], Rule | None]


def nothing_stated(constraint: PlacementConstraint) -> None:
    """For journals in which there are no types but those that the audit knows."""


def rule_of(constraint: PlacementConstraint, stated: Stated = nothing_stated) -> Rule:
    """How to judge a constraint."""
    name, expression = constraint.type, constraint.expression or ""
    if name == "distinctInstance":
        return Rule(name, most=1)
    if name == "maxPerInstance":
        return Rule(name, most=int(expression))
    if name == "memberOf":
        return Rule(name, query=expression)
    return stated(constraint) or Rule(name, whole=False, known=False)
