"""Why a task was not placed: ECS's words where it has them, and the count behind each.

Instances are ruled out in the order of `Engine.explain`; a Failure's reason is the step that left
no candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

DRAINING = "DRAINING"
AGENT = "AGENT"
RESOURCE_PREFIX = "RESOURCE:"
ATTRIBUTE = "ATTRIBUTE"
LOCATION = "LOCATION"
EMPTY_CAPACITY_PROVIDER = "EMPTY CAPACITY PROVIDER"
MISSING = "MISSING"
INACTIVE = "INACTIVE"
NO_ACTIVE_INSTANCES = "NO ACTIVE INSTANCES"
PROVISIONING_QUOTA = "ClientException: the cluster's quota of PROVISIONING tasks is used up"


_UNSATISFIED = " placement constraint unsatisfied."


def constraint_reason(name: str) -> str:
    """The failure reason of a placement constraint by its type, in ECS's words (ecs-semantics 3.6).

    `MemberOf placement constraint unsatisfied.` for memberOf.
    """
    return name[:1].upper() + name[1:] + _UNSATISFIED


def constraint_of(reason: str) -> str | None:
    """The type of the placement constraint that a reason is of; None: it is of something else."""
    name, unsatisfied, _ = reason.partition(_UNSATISFIED)
    return name[:1].lower() + name[1:] if unsatisfied else None


def resource_reason(name: str) -> str:
    """The failure reason for a shortage of resource `name`: RESOURCE:CPU for CPU."""
    return RESOURCE_PREFIX + name


@dataclass(frozen=True, slots=True)
class Failure:
    """One task (or copies of it) fits nowhere.

    `rejected` holds (reason, instances that this step removed), steps in order, zeros left out; the
    counts sum to the registered instances of the cluster.
    """

    reason: str
    rejected: tuple[tuple[str, int], ...] = ()
