"""What services are still to get done: a part of `placement.audit.figures`.

Deployments that go on, and the instances that are to have a DAEMON's task and have none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec.structs import replace as replace_struct

from stowplan.placement import messages as m
from stowplan.placement.audit.constraint_rules import Stated, rule_of
from stowplan.placement.audit.host_rules import barred, is_static_member
from stowplan.placement.audit.hosts import Host, Needs
from stowplan.placement.model import TaskDefinition, TaskStatus

Revisions = dict[str, list[TaskDefinition]]  # by family, the first revision first


@dataclass(slots=True)
class _Rollout:
    """A service: its last call, the revision that it is to run, and the last that came through."""

    call: m.CreateService
    revision: str
    going: bool = True
    good: str = ""


class Rollouts:
    """`take` every message; `revisions` are those registered so far."""

    def __init__(self, revisions: Revisions, stated: Stated) -> None:
        self._revisions, self._stated = revisions, stated
        self._services: dict[str, _Rollout] = {}
        self._hosts: dict[int, Host] = {}
        self._leaving: set[str] = set()  # EC2 ids that their group is getting rid of
        self._daemons: dict[int, tuple[str, int]] = {}  # task -> service, instance

    def take(self, message: m.Event | m.Command, now_ms: int) -> None:
        """Take one message in."""
        if isinstance(message, m.CreateService):
            revision = self._revision(message.task_definition)
            call = replace_struct(message, task_definition=revision)
            self._services[message.service] = _Rollout(call, revision)
        elif isinstance(message, m.UpdateService):
            self._update(message)
        elif isinstance(message, m.ServiceEvent):
            self._said(message)
        elif isinstance(message, m.StartTasks):
            name = message.service
            if name is not None and self.is_daemon(name):
                for task, number in zip(message.tasks, message.instances, strict=True):
                    self._daemons[task] = name, number
        elif isinstance(message, m.TasksChanged):
            if message.status is TaskStatus.STOPPED:
                self._end(message.tasks)
        elif isinstance(message, m.StopTasks | m.TasksStopped):
            self._end(message.tasks)
        else:
            self._take_host(message, now_ms)

    def _take_host(self, message: m.Event | m.Command, now_ms: int) -> None:
        if isinstance(message, m.InstanceRegistered):
            host = self._hosts[message.instance] = Host(message, now_ms)
            if message.ec2_instance_id in self._leaving:
                host.status = "DRAINING"
        elif isinstance(message, m.UpdateContainerInstancesState):
            for number in message.instances:
                self._hosts[number].status = message.status
        elif isinstance(message, m.AgentConnectionChanged):
            for number in message.instances:
                self._hosts[number].connected = message.connected
        elif isinstance(message, m.InstancesTerminating):
            self._leaving.update(message.ec2_instance_ids)
            for host in self._hosts.values():
                named = host.said.ec2_instance_id in message.ec2_instance_ids
                if named and host.status == "ACTIVE":
                    host.status = "DRAINING"
        elif isinstance(message, m.InstancesTerminated):
            self._leaving.difference_update(message.ec2_instance_ids)
        elif isinstance(message, m.InstancesGone):
            for number in message.instances:
                self._hosts[number].status = "INACTIVE"
            gone = set(message.instances)
            self._end(tuple(task for task, (_, n) in self._daemons.items() if n in gone))

    # --- deployments ----------------------------------------------------------------------------

    def _revision(self, name: str) -> str:
        family, _, number = name.partition(":")
        return f"{family}:{number or len(self._revisions[family])}"

    def _update(self, call: m.UpdateService) -> None:
        service = self._services[call.service]
        service.call = call.applied_to(service.call)
        revision = self._revision(service.call.task_definition)
        service.call = replace_struct(
            service.call, task_definition=revision
        )  # no later one by itself
        service.going |= revision != service.revision or call.force_new_deployment
        service.revision = revision

    def _said(self, notice: m.ServiceEvent) -> None:
        service = self._services[notice.service]
        if notice.text.endswith("deployment completed."):
            service.going, service.good = False, service.revision
        elif ") deployment failed:" in notice.text:
            service.going = False
        elif "rolling back to deployment" in notice.text:
            # From here on the service is configured as it was when that last came through.
            service.going, service.revision = True, service.good
            back = m.UpdateService(notice.service, task_definition=service.good)
            service.call = back.applied_to(service.call)

    def going(self) -> list[str]:
        """The services, no DAEMONs, with a deployment that is IN_PROGRESS."""
        return [n for n, each in self._services.items() if each.going and not self.is_daemon(n)]

    def call(self, service: str) -> m.CreateService:
        """How a service is configured."""
        return self._services[service].call

    def unfinished(self) -> int:
        """Deployments that are IN_PROGRESS."""
        return sum(service.going for service in self._services.values())

    # --- daemons --------------------------------------------------------------------------------

    def is_daemon(self, name: str) -> bool:
        """Whether a service is a DAEMON."""
        return self._services[name].call.scheduling_strategy == "DAEMON"

    def _end(self, tasks: tuple[int, ...]) -> None:
        if self._daemons:
            for task in tasks:
                self._daemons.pop(task, None)

    def daemons(self) -> tuple[dict[str, int], int] | None:
        """By DAEMON on how many instances it is due, and how many lack its task in all; None: a
        constraint has code of its own, so nobody else can tell."""
        due, lacking = {}, 0
        for name, service in self._services.items():
            if not self.is_daemon(name):
                continue
            needs = self._needs(service)
            if not all(rule.whole for rule in needs.constraints):
                return None
            has = {number for each, number in self._daemons.values() if each == name}
            open_to = {n for n, host in self._hosts.items() if self._is_due(needs, host, n in has)}
            due[name] = len(open_to)
            lacking += len(open_to - has)
        return due, lacking

    def _needs(self, service: _Rollout) -> Needs:
        family, _, number = service.revision.partition(":")
        definition, call = self._revisions[family][int(number) - 1], service.call
        asked = (*definition.placement_constraints, *call.placement_constraints)
        return Needs(
            (),
            f"service:{call.service.partition('/')[0]}",
            attributes=definition.requires_attributes,
            zones=call.zones if definition.network_mode == "awsvpc" else (),
            constraints=tuple(rule_of(constraint, self._stated) for constraint in asked),
        )

    def _is_due(self, needs: Needs, host: Host, has: bool) -> bool:
        """Room is not asked for: an instance that has none lacks its task."""
        there = replace(host, connected=has or host.connected)  # one that has it may be cut off
        return not any(barred(needs, there)) and is_static_member(needs, there)

    def places(self) -> dict[str, int]:
        """By REPLICA service, the tasks wanted."""
        calls = [service.call for service in self._services.values()]
        return {c.service: c.desired_count for c in calls if c.scheduling_strategy != "DAEMON"}
