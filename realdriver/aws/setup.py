"""What a fresh account lacks for instances of a cluster: made by tag, found by tag, removed by tag.

A role with its instance profile for the agents, a security group that admits what tasks declare and
nothing else, a log group. Each step looks first, so all of it can be asked for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.rights import Right

TAG = "stowplan:setup"
_IAM = "arn:{partition}:iam::{account}:"
_LOGS = "arn:{partition}:logs:{region}:{account}:log-group:/stowplan/*"
RIGHTS = (
    Right("iam:GetRole", _IAM + "role/stowplan-*"),
    Right("iam:CreateRole", _IAM + "role/stowplan-*"),
    Right("iam:PutRolePolicy", _IAM + "role/stowplan-*"),
    Right("iam:DeleteRolePolicy", _IAM + "role/stowplan-*"),
    Right("iam:DeleteRole", _IAM + "role/stowplan-*"),
    Right("iam:TagRole", _IAM + "role/stowplan-*", implied=True),
    Right("iam:PassRole", _IAM + "role/stowplan-*", implied=True),
    Right("iam:GetInstanceProfile", _IAM + "instance-profile/stowplan-*"),
    Right("iam:CreateInstanceProfile", _IAM + "instance-profile/stowplan-*"),
    Right("iam:AddRoleToInstanceProfile", _IAM + "instance-profile/stowplan-*"),
    Right("iam:RemoveRoleFromInstanceProfile", _IAM + "instance-profile/stowplan-*"),
    Right("iam:DeleteInstanceProfile", _IAM + "instance-profile/stowplan-*"),
    Right("iam:TagInstanceProfile", _IAM + "instance-profile/stowplan-*", implied=True),
    Right("ec2:DescribeVpcs"),
    Right("ec2:DescribeSecurityGroups"),
    Right("ec2:CreateSecurityGroup"),
    Right("ec2:AuthorizeSecurityGroupIngress"),
    Right("ec2:RevokeSecurityGroupIngress"),
    Right("ec2:DeleteSecurityGroup"),
    Right("ec2:CreateTags", implied=True),
    Right("logs:DescribeLogGroups"),
    Right("logs:ListTagsForResource", _LOGS),
    Right("logs:CreateLogGroup", _LOGS),
    Right("logs:PutRetentionPolicy", _LOGS),
    Right("logs:DeleteLogGroup", _LOGS),
    Right("logs:TagResource", _LOGS, implied=True),
)
# What ECS's agent calls, as AWS's managed policy for instances has it, and tasks' logs.
AGENT_ACTIONS = (
    *("ec2:DescribeTags", "ecs:DeregisterContainerInstance", "ecs:DiscoverPollEndpoint"),
    *("ecs:Poll", "ecs:RegisterContainerInstance", "ecs:StartTelemetrySession"),
    *("ecs:UpdateContainerInstancesState", "ecs:Submit*", "ecs:TagResource"),
    *("ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability"),
    *("ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"),
    *("logs:CreateLogStream", "logs:PutLogEvents"),
)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
_POLICY = "stowplan-agent"


@dataclass(frozen=True)
class Port:
    """A port that the security group admits: tcp or udp."""

    number: int
    protocol: str = "tcp"


@dataclass(frozen=True)
class Piece:
    """One thing: what it is, its name, and whether it is there; `lacks` says what of it is not."""

    kind: str
    name: str
    there: bool
    lacks: str = ""


class Setup:
    """What instances of a name need; "stowplan-NAME" and "/stowplan/NAME" are what it is called.

    Args:
        vpc: "": the default one.
        ports: that are to be admitted, from `admitted`, a CIDR; "": from the VPC's own addresses.
    """

    def __init__(
        self,
        account: Account,
        name: str,
        vpc: str = "",
        ports: Sequence[Port] = (),
        admitted: str = "",
        retention_days: int = 7,
    ) -> None:
        self._account, self._tag = account, name
        self.name, self.logs = f"stowplan-{name}", f"/stowplan/{name}"
        self._vpc, self._ports, self._admitted = vpc, list(ports), admitted
        self._days = retention_days

    def pieces(self) -> list[Piece]:
        """What there is and what is not.

        Raises:
            DriverError: something of that name is there that is not ours, or there is no VPC.
        """
        role, profile, group = self._role(), self._profile(), self._group()
        closed = [] if group is None else self._closed(group)
        lacks = "" if not closed else f"does not admit {_ports(closed)}"
        bare = profile is not None and not profile["Roles"]
        return [
            Piece("role", self.name, role is not None),
            Piece("instance profile", self.name, profile is not None, "no role" if bare else ""),
            Piece("security group", self.name, group is not None, lacks),
            Piece("log group", self.logs, self._log_group() is not None),
        ]

    def make(self, say: Callable[[str], None]) -> None:
        """Make what lacks. Raises DriverError as `pieces`; what was made until then stays."""
        self.pieces()  # so that nothing is made where something is in the way
        self._make_role(say)
        self._make_group(say)
        if self._log_group() is None:
            self._account.call("logs", "CreateLogGroup", logGroupName=self.logs, tags=self._tags())
            given = {"logGroupName": self.logs, "retentionInDays": self._days}
            self._call("logs", "PutRetentionPolicy", given)
            say(f"made log group {self.logs}, kept for {self._days} days")

    def _make_role(self, say: Callable[[str], None]) -> None:
        tags = [{"Key": TAG, "Value": self._tag}]
        if self._role() is None:
            trust = json.dumps(_TRUST)
            given = {"RoleName": self.name, "AssumeRolePolicyDocument": trust, "Tags": tags}
            self._call("iam", "CreateRole", given)
            say(f"made role {self.name}")
        allowed = {"Effect": "Allow", "Action": list(AGENT_ACTIONS), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        given = {"RoleName": self.name, "PolicyName": _POLICY, "PolicyDocument": document}
        self._call("iam", "PutRolePolicy", given)
        profile = self._profile()
        if profile is None:
            given = {"InstanceProfileName": self.name, "Tags": tags}
            made = self._call("iam", "CreateInstanceProfile", given)
            profile = made["InstanceProfile"]
            say(f"made instance profile {self.name}")
        if not profile["Roles"]:
            given = {"InstanceProfileName": self.name, "RoleName": self.name}
            self._call("iam", "AddRoleToInstanceProfile", given)

    def _make_group(self, say: Callable[[str], None]) -> None:
        group = self._group()
        if group is None:
            tags = [{"Key": TAG, "Value": self._tag}, {"Key": "Name", "Value": self.name}]
            made = self._account.call(
                "ec2",
                "CreateSecurityGroup",
                GroupName=self.name,
                Description=f"instances of {self._tag}; made by stowplan setup-ec2",
                VpcId=self._found_vpc()["VpcId"],
                TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
            )
            group = {"GroupId": made["GroupId"], "IpPermissions": []}
            say(f"made security group {self.name} ({made['GroupId']})")
        closed, surplus = self._closed(group), self._surplus(group)
        if closed:
            rules = [_rule(port, self._from()) for port in closed]
            given = {"GroupId": group["GroupId"], "IpPermissions": rules}
            self._call("ec2", "AuthorizeSecurityGroupIngress", given)
            say(f"{self.name} admits {_ports(closed)} from {self._from()}")
        if surplus:
            given = {"GroupId": group["GroupId"], "IpPermissions": surplus}
            self._call("ec2", "RevokeSecurityGroupIngress", given)
            say(f"{self.name} admits {len(surplus)} rules less, which nothing declares")

    def remove(self, say: Callable[[str], None]) -> None:
        """Remove all of it. What is not there is passed over.

        Raises:
            DriverError: something is used still, or is not ours.
        """
        if (group := self._group()) is not None:
            self._account.call("ec2", "DeleteSecurityGroup", GroupId=group["GroupId"])
            say(f"removed security group {self.name}")
        if (profile := self._profile()) is not None:
            for role in profile["Roles"]:
                given = {"InstanceProfileName": self.name, "RoleName": role["RoleName"]}
                self._call("iam", "RemoveRoleFromInstanceProfile", given)
            self._account.call("iam", "DeleteInstanceProfile", InstanceProfileName=self.name)
            say(f"removed instance profile {self.name}")
        if self._role() is not None:
            given = {"RoleName": self.name, "PolicyName": _POLICY}
            self._found("iam", "DeleteRolePolicy", given)
            self._account.call("iam", "DeleteRole", RoleName=self.name)
            say(f"removed role {self.name}")
        if self._log_group() is not None:
            self._account.call("logs", "DeleteLogGroup", logGroupName=self.logs)
            say(f"removed log group {self.logs}")

    # --- what is there --------------------------------------------------------------------------

    def _role(self) -> Any:
        found = self._found("iam", "GetRole", {"RoleName": self.name})
        return self._ours("role", found and found["Role"], "Tags")

    def _profile(self) -> Any:
        found = self._found("iam", "GetInstanceProfile", {"InstanceProfileName": self.name})
        return self._ours("instance profile", found and found["InstanceProfile"], "Tags")

    def _group(self) -> Any:
        vpc = self._found_vpc()["VpcId"]
        filters = [{"Name": "group-name", "Values": [self.name]}]
        filters += [{"Name": "vpc-id", "Values": [vpc]}]
        found = self._account.call("ec2", "DescribeSecurityGroups", Filters=filters)
        each = next(iter(found["SecurityGroups"]), None)
        return self._ours("security group", each, "Tags")

    def _log_group(self) -> Any:
        every = self._account.pages(
            "logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix=self.logs
        )
        found = next((each for each in every if each["logGroupName"] == self.logs), None)
        if found is not None:
            arn = found.get("logGroupArn") or found["arn"].removesuffix(":*")
            tags = self._account.call("logs", "ListTagsForResource", resourceArn=arn)["tags"]
            self._ours("log group", {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]})
        return found

    def _found_vpc(self) -> Any:
        if self._vpc:
            return self._account.call("ec2", "DescribeVpcs", VpcIds=[self._vpc])["Vpcs"][0]
        filters = [{"Name": "is-default", "Values": ["true"]}]
        found = self._account.call("ec2", "DescribeVpcs", Filters=filters)["Vpcs"]
        if not found:
            region = self._account.region
            raise DriverError(f"there is no default VPC in {region}: name one with --vpc")
        return found[0]

    def _ours(self, kind: str, found: Any, key: str = "Tags") -> Any:
        if found is None:
            return None
        tags = {each["Key"]: each["Value"] for each in found.get(key) or ()}
        if tags.get(TAG) != self._tag:
            what = f"{kind} {self.name} is there and does not have the tag {TAG}={self._tag}"
            raise DriverError(f"{what}: it is not ours; use another --name")
        return found

    def _call(self, service: str, action: str, given: Mapping[str, Any]) -> Any:
        return self._account.call(service, action, **given)

    def _found(self, service: str, action: str, given: Mapping[str, Any]) -> Any:
        try:
            return self._call(service, action, given)
        except NotFound:
            return None

    def _tags(self) -> dict[str, str]:
        return {TAG: self._tag}

    def _from(self) -> str:
        return self._admitted or str(self._found_vpc()["CidrBlock"])

    def _closed(self, group: Any) -> list[Port]:
        """The ports that are to be admitted and are not."""
        open_now = {_key(rule, of["CidrIp"]) for rule in group["IpPermissions"]
                    for of in rule.get("IpRanges", ())}  # fmt: skip
        return [
            p for p in self._ports if _key(_rule(p, self._from()), self._from()) not in open_now
        ]

    def _surplus(self, group: Any) -> list[Any]:
        """The rules that admit what nothing declares."""
        wanted = [_key(_rule(port, self._from()), self._from()) for port in self._ports]
        return [
            rule
            for rule in group["IpPermissions"]
            if not rule.get("IpRanges")
            or any(_key(rule, of["CidrIp"]) not in wanted for of in rule["IpRanges"])
        ]


def _rule(port: Port, cidr: str) -> dict[str, Any]:
    ends = {"FromPort": port.number, "ToPort": port.number}
    return {"IpProtocol": port.protocol, **ends, "IpRanges": [{"CidrIp": cidr}]}


def _key(rule: Any, cidr: str) -> tuple[Any, ...]:
    return rule["IpProtocol"], rule.get("FromPort"), rule.get("ToPort"), cidr


def _ports(ports: Iterable[Port]) -> str:
    return ", ".join(f"{port.number}/{port.protocol}" for port in ports)
