"""What constraints state of themselves, for the audit, which may not ask their classes."""

from __future__ import annotations

from stowplan.placement.audit.constraint_rules import Rule
from stowplan.placement.constraints import CONSTRAINTS, check_of
from stowplan.placement.model import PlacementConstraint


def stated_by_class(constraint: PlacementConstraint) -> Rule | None:
    """What the class of a constraint says of it; None where there is no such class."""
    if constraint.type not in CONSTRAINTS:
        return None
    check = check_of(constraint)
    query = None if check.query is None else check.query.expression
    return Rule(check.name, check.most, query, whole=check.code is None)
