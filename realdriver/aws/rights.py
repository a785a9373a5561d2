"""The rights that a command needs of IAM, as data: each room lists those of its calls beside them.

What IAM calls an action is not always the name of the call, and some calls need the right to
something that is no call at all (`iam:PassRole`). So these lists are written by hand, and a test
holds them against the calls that commands make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

ECS = "arn:{partition}:ecs:{region}:{account}:"
OF_CLUSTER = {"ArnEquals": {"ecs:cluster": ECS + "cluster/{cluster}"}}
ANY = "*"


@dataclass(frozen=True)
class Right:
    """One action, on which resources, and when.

    Args:
        action: as a policy names it, `ecs:DescribeTasks`.
        resource: an ARN, where {partition}, {region}, {account} and {cluster} are filled in; `*`
            where IAM knows no resource for the action.
        conditions: of the policy's statement, filled in alike.
        implied: no call has this name: another one asks for it.
    """

    action: str
    resource: str = ANY
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    implied: bool = False


def policy(rights: Iterable[Right], names: Mapping[str, str]) -> dict[str, Any]:
    """An IAM policy that allows these, and nothing else; actions of one resource are together.

    Args:
        names: what stands for `partition`, `region`, `account` and `cluster`; `*` for any.
    """
    together: dict[tuple[str, str], tuple[set[str], Any]] = {}
    for right in rights:
        resource = right.resource.format_map(names)
        conditions = {
            _operator(test, each): {key: value.format_map(names) for key, value in each.items()}
            for test, each in right.conditions.items()
            if not _any(each, names)
        }
        actions, _ = together.setdefault((resource, repr(conditions)), (set(), conditions))
        actions.add(right.action)
    statements = [
        {"Effect": "Allow", "Action": sorted(actions), "Resource": resource}
        | ({"Condition": conditions} if conditions else {})
        for (resource, _), (actions, conditions) in sorted(together.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _any(condition: Mapping[str, str], names: Mapping[str, str]) -> bool:
    """Whether a condition about the cluster would be true of every cluster."""
    return names["cluster"] == ANY and any("{cluster}" in value for value in condition.values())


def _operator(test: str, condition: Mapping[str, str]) -> str:
    """ArnEquals takes wildcards for what was not named; other tests do not, and stay."""
    return "ArnLike" if test == "ArnEquals" and any(condition.values()) else test
