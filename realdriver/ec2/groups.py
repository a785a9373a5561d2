"""Auto Scaling groups of others, which capacity providers of a scenario wrap: the scheduler's three
orders go to them, and what they launch and terminate is told.

A group keeps its own launch template: it says to which ECS cluster instances go. A run marks the
group by tags, with the size that it had; at its end the group gets that size again. While it lasts,
a scheduled action stands at the time of the dead man's switch that sets the size to 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.errors import Refused
from stowplan.realdriver.ec2 import tags
from stowplan.realdriver.ec2.machines import chunks
from stowplan.realdriver.ec2.tags import read_tags

SIZE = "stowplan:size"  # of a group: the size that it had before the run
ACTION = "stowplan-switch"  # the scheduled action
_THERE = ("Pending", "InService", "Terminating:Wait")


@dataclass(frozen=True, slots=True)
class Member:
    """An instance of a group, as the group shows it."""

    id: str
    instance_type: str
    zone: str
    state: str
    protected: bool = False


@dataclass(frozen=True, slots=True)
class GroupSeen:
    """A group, as Auto Scaling shows it."""

    name: str
    desired: int
    members: tuple[Member, ...]
    marks: Mapping[str, str]


def groups_of(account: Account, names: Iterable[str] = ()) -> Iterator[GroupSeen]:
    """The groups of these names; without any, all of the region."""
    given: dict[str, Any] = {"AutoScalingGroupNames": list(names)} if names else {}
    pages = account.pages("autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroups", **given)
    for each in pages:
        members = tuple(
            Member(i["InstanceId"], i.get("InstanceType", ""), i["AvailabilityZone"],
                   i["LifecycleState"], bool(i.get("ProtectedFromScaleIn")))
            for i in each.get("Instances", ())
        )  # fmt: skip
        name, marks = each["AutoScalingGroupName"], read_tags(each.get("Tags"))
        yield GroupSeen(name, int(each["DesiredCapacity"]), members, marks)


class Groups:
    """The groups of a run. `see` and `order` are called by the driver's thread, `look` and `move`
    by the one that looks.

    Args:
        names: the group of each capacity provider.
        marks: the tags of what is ours.
        price: millionths of a dollar an hour by type and market.
    """

    def __init__(
        self,
        account: Account,
        names: Mapping[str, str],
        marks: Mapping[str, str],
        market: str,
        price: Callable[[str, str], int],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._account, self._names, self._marks = account, dict(names), dict(marks)
        self._market, self._price, self._pool = market, price, pool
        self.provider_of: dict[str, str] = {}  # EC2 id -> capacity provider; those that were told
        self._terminating: set[str] = set()
        self._wanted: dict[str, int] = {}  # group -> the size that was ordered last

    # --- for the driver ---------------------------------------------------------------------------

    def restore(self, event: m.Event) -> None:
        """Take up what the journal says was told."""
        if isinstance(event, m.InstancesLaunched):
            for each in event.instances:
                self.provider_of[each.ec2_instance_id] = event.capacity_provider
        elif isinstance(event, m.InstancesTerminating):
            self._terminating.update(event.ec2_instance_ids)
        elif isinstance(event, m.InstancesTerminated):
            for identity in event.ec2_instance_ids:
                self.provider_of.pop(identity, None)

    def order(self, order: m.Order) -> None:
        """Carry out an order; the same again changes nothing."""
        if isinstance(order, m.CompleteTermination):
            for identity in order.ec2_instance_ids:
                name = self._names.get(self.provider_of.get(identity, ""))
                if name is not None:
                    self._submit(partial(self._complete, name, identity))
            return
        name = self._names.get(order.capacity_provider)
        if name is None:
            return
        if isinstance(order, m.SetDesiredCapacity):
            self._wanted[name] = order.desired_capacity
            self._submit(partial(self._resize, name, order.desired_capacity))
        else:
            self._submit(partial(self._protect, name, order))

    def see(self, seen: Iterable[GroupSeen]) -> list[m.Event]:
        """What is new of the groups."""
        provider_of = {name: provider for provider, name in self._names.items()}
        events: list[m.Event] = []
        there: set[str] = set()
        for group in seen:
            provider = provider_of[group.name]
            living = [e for e in group.members if e.state.startswith(_THERE)]
            there.update(each.id for each in living)
            new = tuple(self._launched(e) for e in living if e.id not in self.provider_of)
            if new:
                self.provider_of.update(dict.fromkeys((e.ec2_instance_id for e in new), provider))
                events.append(m.InstancesLaunched(provider, new))
            going = tuple(
                e.id
                for e in living
                if e.state == "Terminating:Wait" and e.id not in self._terminating
            )
            if going:
                self._terminating.update(going)
                events.append(m.InstancesTerminating(going, "scale-in"))
            wanted = self._wanted.get(group.name, group.desired)
            if wanted != group.desired:  # the call was lost, or somebody else resized it
                self._submit(partial(self._resize, group.name, wanted))
        gone = tuple(each for each in self.provider_of if each not in there)
        if gone:
            for identity in gone:
                del self.provider_of[identity]
            events.append(m.InstancesTerminated(gone))
        return events

    def _launched(self, each: Member) -> m.LaunchedInstance:
        price = self._price(each.instance_type, self._market)
        return m.LaunchedInstance(each.id, each.instance_type, each.zone, price, self._market)

    # --- calls ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Mark the groups, with the size that each has now; one that is marked stays so.

        Raises:
            DriverError: there is no group of that name.
        """
        seen = {each.name: each for each in self.look()}
        if missing := [name for name in self._names.values() if name not in seen]:
            where = self._account.region
            raise DriverError(f"no Auto Scaling group {', '.join(missing)} in {where}: make it")
        for name, group in seen.items():
            if SIZE not in group.marks:
                marks = {**self._marks, SIZE: str(group.desired)}
                self._account.call("autoscaling", "CreateOrUpdateTags", Tags=_tags(name, marks))

    def look(self) -> list[GroupSeen]:
        """The groups, as they are now."""
        return list(groups_of(self._account, self._names.values())) if self._names else []

    def move(self, until_s: int) -> None:
        """Set the time after which the groups empty themselves."""
        for name in self._names.values():
            self._account.call(
                "autoscaling",
                "PutScheduledUpdateGroupAction",
                AutoScalingGroupName=name,
                ScheduledActionName=ACTION,
                StartTime=datetime.fromtimestamp(until_s, UTC),
                MinSize=0,
                DesiredCapacity=0,
            )

    def _submit(self, call: Callable[[], None]) -> None:
        self._pool.submit(_quietly, call)

    def _resize(self, name: str, size: int) -> None:
        self._account.call(
            "autoscaling", "SetDesiredCapacity", AutoScalingGroupName=name, DesiredCapacity=size
        )

    def _protect(self, name: str, order: m.SetInstanceProtection) -> None:
        for some in chunks(order.ec2_instance_ids, 50):
            self._account.call(
                "autoscaling",
                "SetInstanceProtection",
                AutoScalingGroupName=name,
                InstanceIds=some,
                ProtectedFromScaleIn=order.protected_from_scale_in,
            )

    def _complete(self, name: str, identity: str) -> None:
        answer = self._account.call(
            "autoscaling", "DescribeLifecycleHooks", AutoScalingGroupName=name
        )
        for hook in answer["LifecycleHooks"]:
            if hook["LifecycleTransition"].endswith("TERMINATING"):
                self._account.call(
                    "autoscaling",
                    "CompleteLifecycleAction",
                    AutoScalingGroupName=name,
                    LifecycleHookName=hook["LifecycleHookName"],
                    InstanceId=identity,
                    LifecycleActionResult="CONTINUE",
                )


def _quietly(call: Callable[[], None]) -> None:
    """What fails is asked for again by who looks."""
    with suppress(DriverError):
        call()


def _tags(group: str, marks: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": group,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": False,
        }
        for key, value in marks.items()
    ]


def give_back(account: Account, group: GroupSeen) -> None:
    """Give a group of others the size that it had, and take our marks and our action away."""
    with suppress(NotFound, Refused):
        account.call(
            "autoscaling",
            "DeleteScheduledAction",
            AutoScalingGroupName=group.name,
            ScheduledActionName=ACTION,
        )
    size = int(group.marks.get(SIZE, "0"))
    held = [each.id for each in group.members if each.protected]
    for some in chunks(held if size < group.desired else [], 50):  # else they would stay
        account.call(
            "autoscaling",
            "SetInstanceProtection",
            AutoScalingGroupName=group.name,
            InstanceIds=some,
            ProtectedFromScaleIn=False,
        )
    account.call(
        "autoscaling", "SetDesiredCapacity", AutoScalingGroupName=group.name, DesiredCapacity=size
    )
    marks = {key: group.marks[key] for key in (tags.CLUSTER, tags.RUN, SIZE) if key in group.marks}
    account.call("autoscaling", "DeleteTags", Tags=_tags(group.name, marks))
