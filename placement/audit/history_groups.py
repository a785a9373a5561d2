"""What a journal says of Auto Scaling groups: a part of the checkers' own book (see `history`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stowplan.placement import messages as m


@dataclass(slots=True)
class GroupFacts:
    """A capacity provider's group. `running`: EC2 ids that are not being terminated.

    `launched_ms`: when an instance was last launched. `points`: the metric, the latest last.
    `before`: what was desired when the last point was measured; `grown_ms`: when it last grew.
    `deleted`: its provider; the group itself goes on.
    """

    call: m.CreateCapacityProvider
    desired: int
    running: set[str] = field(default_factory=set)
    unprotected: set[str] = field(default_factory=set)
    launched_ms: int | None = None
    before: int = 0
    grown_ms: int | None = None
    deleted: bool = False
    points: list[m.CapacityProviderReservation] = field(default_factory=list)


class Groups:
    """All groups. `paid`: EC2 ids up, with their group; `ended`: those that are up no longer."""

    def __init__(self) -> None:
        self.by_name: dict[str, GroupFacts] = {}
        self.paid: dict[str, str] = {}
        self.ended: set[str] = set()
        self.numbers: dict[str, int] = {}

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, message, now_ms)

    def group_of(self, name: str) -> GroupFacts | None:
        """The group of an EC2 instance that is up."""
        return self.by_name.get(self.paid.get(name, ""))

    def is_terminating(self, name: str) -> bool:
        """Whether an EC2 instance is up, and its group is getting rid of it."""
        group = self.group_of(name)
        return group is not None and name not in group.running

    def _create(self, call: m.CreateCapacityProvider, now_ms: int) -> None:
        self.by_name[call.capacity_provider] = GroupFacts(
            call, call.desired_capacity, before=call.desired_capacity
        )

    def _update(self, call: m.UpdateCapacityProvider, now_ms: int) -> None:
        group = self.by_name[call.capacity_provider]
        if group.call.managed_scaling != call.applied_to(group.call).managed_scaling:
            group.points.clear()
        group.call = call.applied_to(group.call)

    def _delete(self, call: m.DeleteCapacityProvider, now_ms: int) -> None:
        self.by_name[call.capacity_provider].deleted = True

    def _launched(self, event: m.InstancesLaunched, now_ms: int) -> None:
        group = self.by_name[event.capacity_provider]
        for each in event.instances:
            self.paid[each.ec2_instance_id] = event.capacity_provider
            group.running.add(each.ec2_instance_id)
            group.launched_ms = now_ms

    def _registered(self, event: m.InstanceRegistered, now_ms: int) -> None:
        self.numbers[event.ec2_instance_id] = event.instance

    def _terminating(self, event: m.InstancesTerminating, now_ms: int) -> None:
        for name in event.ec2_instance_ids:
            group = self.group_of(name)
            if group is not None:
                group.running.discard(name)

    def _terminated(self, event: m.InstancesTerminated, now_ms: int) -> None:
        for name in event.ec2_instance_ids:
            group = self.group_of(name)
            if group is not None:
                group.running.discard(name)
                group.unprotected.discard(name)
                del self.paid[name]
            self.ended.add(name)

    def _resized(self, command: m.SetDesiredCapacity, now_ms: int) -> None:
        group = self.by_name[command.capacity_provider]
        if command.desired_capacity > group.desired:
            group.grown_ms = now_ms
        group.desired = command.desired_capacity

    def _protected(self, command: m.SetInstanceProtection, now_ms: int) -> None:
        unprotected = self.by_name[command.capacity_provider].unprotected
        if command.protected_from_scale_in:
            unprotected.difference_update(command.ec2_instance_ids)
        else:
            unprotected.update(command.ec2_instance_ids)

    def _measured(self, notice: m.CapacityProviderReservation, now_ms: int) -> None:
        group = self.by_name[notice.capacity_provider]
        group.points.append(notice)
        group.before = group.desired
        if group.call.managed_scaling is not None:
            del group.points[: -group.call.managed_scaling.scale_in_minutes]


_HANDLERS: dict[type, Any] = {
    m.CreateCapacityProvider: Groups._create,
    m.UpdateCapacityProvider: Groups._update,
    m.DeleteCapacityProvider: Groups._delete,
    m.InstancesLaunched: Groups._launched,
    m.InstanceRegistered: Groups._registered,
    m.InstancesTerminating: Groups._terminating,
    m.InstancesTerminated: Groups._terminated,
    m.SetDesiredCapacity: Groups._resized,
    m.SetInstanceProtection: Groups._protected,
    m.CapacityProviderReservation: Groups._measured,
}
