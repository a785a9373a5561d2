"""EC2 as a run meets it: calls about instances of ours, each known by its tags."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.errors import Refused, Unanswered, WouldSucceed
from stowplan.realdriver.ec2 import tags
from stowplan.realdriver.ec2.config import AwsTable
from stowplan.realdriver.ec2.tags import ec2_tags, read_tags
from stowplan.realdriver.ec2.user_data import user_data

GONE = ("shutting-down", "terminated", "stopping", "stopped")
_IMAGE = "/aws/service/ecs/optimized-ami/{family}{variant}/recommended/image_id"
_TRIES, _AGAIN_S = 5, 1.0
_AT_ONCE = 100  # instances of one call, as AWS advises


class Batch(msgspec.Struct, frozen=True):
    """A RunInstances call: `slots` of the fleet get the instances by their launch index.

    With all that the call says, so that the same call can be made again after a crash; `token` is
    what EC2 knows it by. Fewer than `least` are not launched. `ids` came of it; None: that is not
    known yet.
    """

    token: str
    slots: tuple[int, ...]
    instance_type: str
    zone: str
    subnet: str
    image: str
    market: str
    until_s: int | None
    least: int
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ec2Instance:
    """An instance of ours, as EC2 describes it; times in seconds since 1970."""

    id: str
    state: str
    instance_type: str
    zone: str
    market: str
    batch: str
    index: int
    launched_s: float
    run: str
    until_s: int

    @property
    def ours(self) -> bool:
        """Whether a run launched it: not so one of an Auto Scaling group."""
        return bool(self.run)

    @property
    def gone(self) -> bool:
        """Whether nobody pays for it any more."""
        return self.state in GONE


class Machines:
    """Calls to EC2 for one run of a cluster; from any thread.

    Args:
        settings: lines of ecs.config for agents, their cluster among them.
    """

    def __init__(
        self,
        account: Account,
        table: AwsTable,
        cluster: str,
        run: str,
        settings: Mapping[str, str],
        authority: str = "",
    ) -> None:
        self._account, self._table = account, table
        self._cluster, self._run = cluster, run
        self._settings, self._authority = settings, authority

    def subnets(self) -> dict[str, tuple[str, ...]]:
        """The subnets that instances may be in, by zone: those named, or the default VPC's.

        Raises:
            DriverError: there is none.
        """
        given: dict[str, Any] = {"SubnetIds": list(self._table.subnets)}
        if not self._table.subnets:
            given = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
        found: dict[str, tuple[str, ...]] = {}
        for each in self._account.pages("ec2", "DescribeSubnets", "Subnets", **given):
            zone = each["AvailabilityZone"]
            found[zone] = (*found.get(zone, ()), each["SubnetId"])
        if not found:
            where = self._account.region
            raise DriverError(f"no default VPC in {where}: name `subnets` in the file of --aws")
        return found

    def image(self, architecture: str, gpu: bool) -> str:
        """The AMI for such instances: the one named, or the one that AWS recommends."""
        if self._table.image is not None:
            return self._table.image
        variant = "/gpu" if gpu else "/arm64" if architecture == "arm64" else ""
        name = _IMAGE.format(family=self._table.image_family, variant=variant)
        answer = self._account.call("ssm", "GetParameter", Name=name)
        return str(answer["Parameter"]["Value"])

    def request(self, batch: Batch) -> dict[str, Any]:
        """RunInstances' parameters. The same batch gives the same, else its token is refused."""
        script = user_data(
            self._settings, until_s=batch.until_s, tag=tags.UNTIL, authority=self._authority
        )
        marks = {
            tags.CLUSTER: self._cluster,
            tags.RUN: self._run,
            tags.BATCH: batch.token,
            "Name": f"stowplan {self._cluster}",
        }
        if batch.until_s is not None:
            marks[tags.UNTIL] = str(batch.until_s)
        asked: dict[str, Any] = {
            "ImageId": batch.image,
            "InstanceType": batch.instance_type,
            "MinCount": batch.least,
            "MaxCount": len(batch.slots),
            "SubnetId": batch.subnet,
            "UserData": script,  # botocore encodes it
            "IamInstanceProfile": {"Name": self._table.instance_profile},
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 2,  # of tasks in networks of their own
                "InstanceMetadataTags": "enabled",
            },
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": ec2_tags(marks)} for kind in ("instance", "volume")
            ],
            "ClientToken": batch.token,
        }
        if self._table.security_groups:
            asked["SecurityGroupIds"] = list(self._table.security_groups)
        if self._table.key_name:
            asked["KeyName"] = self._table.key_name
        if batch.market == "spot":
            terminate = {
                "SpotInstanceType": "one-time",
                "InstanceInterruptionBehavior": "terminate",
            }
            asked["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": terminate}
        return asked

    def may_launch(self, batch: Batch) -> None:
        """Prove by EC2's own DryRun that the call would be taken.

        Raises:
            NotAllowed, and whatever else would come of it.
        """
        with suppress(WouldSucceed):
            self._account.call("ec2", "RunInstances", DryRun=True, **self.request(batch))

    def may_tag(self, resource: str) -> None:
        """Prove likewise that tags of `resource` may be set, as the dead man's switch needs it."""
        marks = ec2_tags({tags.UNTIL: "0"})
        with suppress(WouldSucceed):
            self._account.call("ec2", "CreateTags", DryRun=True, Resources=[resource], Tags=marks)

    def launch(self, batch: Batch) -> tuple[str, ...]:
        """Launch as many of a batch as there is room for; made again, it launches nothing more.

        Returns:
            their ids, in the order of the slots.
        Raises:
            InsufficientCapacity: none was launched.
        """
        asked = self.request(batch)
        for left in reversed(range(_TRIES)):
            try:
                answer = self._account.call("ec2", "RunInstances", once=True, **asked)
                break
            except Unanswered:  # the token makes it the same call
                if not left:
                    raise
                time.sleep(_AGAIN_S)
        found = sorted(answer["Instances"], key=lambda each: int(each["AmiLaunchIndex"]))
        return tuple(str(each["InstanceId"]) for each in found)

    def instances(self, *, any_run: bool = False) -> list[Ec2Instance]:
        """The instances of this run, or of any of the cluster, and of its Auto Scaling groups.

        Those that are gone stay in it for an hour.
        """
        wanted = {tags.CLUSTER: self._cluster} | ({} if any_run else {tags.RUN: self._run})
        found = list(described(self._account, wanted))
        for group in self._table.groups.values():
            found += described(self._account, {"aws:autoscaling:groupName": group})
        return found

    def terminate(self, ids: Iterable[str]) -> None:
        """Terminate instances; one that EC2 knows no more is no error."""
        for some in chunks(list(ids), 1000):
            try:
                self._account.call("ec2", "TerminateInstances", InstanceIds=some)
            except NotFound:
                for each in some if len(some) > 1 else ():
                    with suppress(NotFound):
                        self._account.call("ec2", "TerminateInstances", InstanceIds=[each])

    def move_switch(self, ids: Sequence[str], until_s: int) -> None:
        """Set the time after which instances power themselves off."""
        marks = ec2_tags({tags.UNTIL: str(until_s)})
        for some in chunks(list(ids), 500):
            try:
                self._account.call("ec2", "CreateTags", Resources=some, Tags=marks)
            except NotFound:  # one of them is gone since
                for each in some:
                    with suppress(NotFound, Refused):
                        self._account.call("ec2", "CreateTags", Resources=[each], Tags=marks)


def described(account: Account, wanted: Mapping[str, str]) -> Iterator[Ec2Instance]:
    """The instances with all of these tags."""
    filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in wanted.items()]
    pages = account.pages(
        "ec2", "DescribeInstances", "Reservations", Filters=filters, MaxResults=500
    )
    for reservation in pages:
        for each in reservation["Instances"]:
            marks, at = read_tags(each.get("Tags")), each["LaunchTime"]
            launched_s = at.timestamp() if isinstance(at, datetime) else 0.0
            until = marks.get(tags.UNTIL, "")
            yield Ec2Instance(
                each["InstanceId"],
                each["State"]["Name"],
                each["InstanceType"],
                each["Placement"]["AvailabilityZone"],
                each.get("InstanceLifecycle", "on-demand"),
                marks.get(tags.BATCH, ""),
                int(each.get("AmiLaunchIndex", 0)),
                launched_s,
                marks.get(tags.RUN, ""),
                int(until) if until.isdecimal() else 0,
            )


def chunks(all_of_them: Sequence[Any], most: int) -> Iterator[list[Any]]:
    """Lists of at most so many."""
    for first in range(0, len(all_of_them), most):
        yield list(all_of_them[first : first + most])


def batches_of(slots: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Slots of one type and zone in calls of a size that AWS advises."""
    yield from (tuple(some) for some in chunks(slots, _AT_ONCE))
