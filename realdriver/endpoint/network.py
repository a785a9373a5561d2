"""Subnets and security groups that a call names, looked up at the others' endpoint."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from stowplan.placement.wire.errors import invalid
from stowplan.realdriver.endpoint.others import Others

_VERSION = "2016-11-15"  # of EC2's API
# Member of awsvpcConfiguration -> EC2's operation, parameter, ECS's word, EC2's, and EC2's error.
_LOOKUPS = {
    "subnets": ("DescribeSubnets", "SubnetId", "subnet", "subnet ID", "InvalidSubnetID.NotFound"),
    "securityGroups": (
        *("DescribeSecurityGroups", "GroupId", "security group", "security group"),
        "InvalidGroup.NotFound",
    ),
}


async def check_network(others: Others, params: dict[str, Any], authorization: str) -> None:
    """Ask EC2 there whether what `networkConfiguration` names exists.

    Raises:
        WireError: it does not, in ECS's sentence. What EC2 does not answer for is believed.
    """
    given = params.get("networkConfiguration", {}).get("awsvpcConfiguration") or {}
    for member, (action, parameter, what, words, code) in _LOOKUPS.items():
        names = given.get(member) or ()
        for name in names:  # one by one: else the answer may not say which there is not
            body = urlencode({"Action": action, "Version": _VERSION, f"{parameter}.1": name})
            said = await others.ask(body.encode(), authorization.replace("/ecs/", "/ec2/"))
            if f"<Code>{code}</Code>" in said:
                why = f"The {words} '{name}' does not exist (ErrorCode: {code})"
                where = ", ".join(names)
                raise invalid(f"Error retrieving {what} information for [{where}]: {why}")
