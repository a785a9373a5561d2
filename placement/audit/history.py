"""What a journal says happened, in plain dicts: the book that the checkers keep for themselves.

Written from ecs-semantics 2.3, 2.4 and 3.3, and without a line of Cluster, Engine or Scheduler, so
that either is evidence for the other. It takes in whatever the journal holds; to say what is wrong
with that is for `placement.audit.checkers`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace as replace_struct

from stowplan.placement import messages as m
from stowplan.placement.audit.constraint_rules import Stated, nothing_stated, rule_of
from stowplan.placement.audit.history_endings import Endings, Marks
from stowplan.placement.audit.history_groups import Groups
from stowplan.placement.audit.hosts import Host, Life, Needs, TaskFacts, on_provider
from stowplan.placement.model import TaskDefinition, TaskStatus
from stowplan.placement.taskdef.parse import (
    TaskOverride,
    host_ports,
    parse_task_definition,
    task_resources,
)


@dataclass(slots=True)
class ServiceFacts:
    """A service: its configuration, what a new task asks for, and which of its tasks are PLACED.

    `draining`: those that were stopped, and are not gone because their targets drain.

    `plain` while it has seen one deployment only, and no task that failed to start.
    """

    call: m.CreateService
    needs: Needs
    plain: bool = True
    tasks: dict[int, None] = field(default_factory=dict)
    draining: dict[int, None] = field(default_factory=dict)

    @property
    def daemon(self) -> bool:
        """One task on each instance."""
        return self.call.scheduling_strategy == "DAEMON"

    @property
    def ceiling(self) -> int:
        """Tasks that there may be when another one starts (ecs-semantics 5.3)."""
        return self.call.desired_count * self.call.maximum_percent // 100


class History:
    """Everything up to some message of a journal; `take` moves on by one.

    Args:
        stated: what constraints ask for whose types the audit does not know. `not_judged` are those
            of which that is not all, with whether anything is known of them.
    """

    def __init__(self, stated: Stated = nothing_stated) -> None:
        self._stated = stated
        self.not_judged: dict[str, bool] = {}
        self.now_ms = 0
        self.hosts: dict[int, Host] = {}
        self.tasks: dict[int, TaskFacts] = {}
        self.services: dict[str, ServiceFacts] = {}
        self.waiting: Counter[Needs] = Counter()
        self.groups = Groups()
        self._default: m.CapacityProviderStrategy = ()
        # Of this round: hosts that may have room that they had not, by event or by command.
        self.freed: set[int] = set()
        self.stopped_on: set[int] = set()
        # Of this round: tasks that were PLACED until an event said that they had stopped.
        self.ended: set[int] = set()
        # Of this round: services of which something changed, and instances that went.
        self.touched: set[str] = set()
        self.left: set[int] = set()
        self._asked_by: tuple[m.StartTasks, Needs] | None = None
        self._on: dict[int, dict[int, None]] = {}
        self._families: dict[str, list[TaskDefinition]] = {}
        self.endings, self.marks = Endings(), Marks()
        self._requests: dict[tuple[int, str], Needs] = {}
        self._latest: dict[int, Needs] = {}
        self._known: dict[tuple[object, ...], Needs] = {}

    def begin(self, now_ms: int) -> None:
        """A new round."""
        self.now_ms, self.freed, self.stopped_on, self.ended = now_ms, set(), set(), set()
        self.touched, self.left, self._asked_by = set(), set(), None

    def take(self, message: m.Event | m.Command) -> None:
        """Take one message in."""
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, message)
        self.groups.take(message, self.now_ms)
        self.endings.take(message)
        self.marks.take(message, self.now_ms)

    def needs_of_request(self, request: int) -> Needs | None:
        """What the tasks of a request ask for; None where nobody made that request."""
        return self._latest.get(request)

    def needs_of_start(self, command: m.StartTasks) -> Needs:
        """What the tasks that a command starts ask for, by the call that asked for them.

        Several rules ask for the same command: the last answer of a round is kept.
        """
        if self._asked_by is None or self._asked_by[0] is not command:
            self._asked_by = command, self._needs_of_start(command)
        return self._asked_by[1]

    def _needs_of_start(self, command: m.StartTasks) -> Needs:
        if command.service is not None:
            call = self.services[command.service].call
            needs = self._service_needs(call, command.task_definition)
        else:
            assert command.request is not None, "a StartTasks for nobody"
            needs = self._requests[command.request, command.task_definition]
        return on_provider(needs, command.capacity_provider)

    def counts(self, service: str) -> tuple[int, int]:
        """Tasks of a service that are not on draining instances, and all of them."""
        tasks, hosts = self.services[service].tasks, self.hosts
        on = (hosts.get(number) for t in tasks if (number := self.tasks[t].host) is not None)
        draining = sum(host is not None and host.status == "DRAINING" for host in on)
        return len(tasks) - draining, len(tasks)

    # --- what was asked for ---------------------------------------------------------------------

    def _register(self, call: m.RegisterTaskDefinition) -> None:
        definition = parse_task_definition(call.document)
        revisions = self._families.setdefault(definition.family, [])
        revisions.append(parse_task_definition(call.document, revision=len(revisions) + 1))

    def _definition(self, name: str) -> TaskDefinition:
        family, _, revision = name.partition(":")
        if revision:
            return self._families[family][int(revision) - 1]
        active = [each for each in self._families[family] if each.name not in self.endings.inactive]
        return active[-1]

    def _run_task(self, call: m.RunTask | m.StartTask) -> None:
        definition = self._definition(call.task_definition)
        group = call.group or f"family:{definition.family}"
        provider = call.capacity_provider if isinstance(call, m.RunTask) else None
        # Calls of one workload ask for the same again and again.
        more = () if isinstance(call, m.StartTask) else (call.placement_constraints,)
        sizes = call.cpu, call.memory, call.resources, call.overrides
        key = (definition.name, group, provider, *sizes, call.zones, *more)
        needs = self._known.get(key)
        if needs is None:
            needs = self._known[key] = self._needs(definition, call, group, provider)
        self._requests[call.request, definition.name] = self._latest[call.request] = needs

    def _put_default(self, call: m.PutClusterCapacityProviders) -> None:
        self._default = call.default_capacity_provider_strategy

    def _create_service(self, call: m.CreateService) -> None:
        if call.capacity_provider_strategy is None and self._default:
            call = replace_struct(call, capacity_provider_strategy=self._default)
        # Later revisions of the family are not the service's.
        name = self._definition(call.task_definition).name
        call = replace_struct(call, task_definition=name)
        self.services[call.service] = ServiceFacts(call, self._service_needs(call))
        self.touched.add(call.service)

    def _update_service(self, call: m.UpdateService) -> None:
        facts = self.services[call.service]
        wanted = call.applied_to(facts.call)
        name = self._definition(wanted.task_definition).name
        facts.call = replace_struct(wanted, task_definition=name)
        facts.needs = self._service_needs(facts.call)
        facts.plain &= call.task_definition is None and not call.force_new_deployment
        self.touched.add(call.service)

    def _service_needs(self, call: m.CreateService, task_definition: str | None = None) -> Needs:
        definition = self._definition(task_definition or call.task_definition)
        return self._needs(definition, call, f"service:{call.service}", None)

    def _needs(
        self,
        definition: TaskDefinition,
        call: m.RunTask | m.StartTask | m.CreateService,
        group: str,
        capacity_provider: str | None,
    ) -> Needs:
        override = TaskOverride()
        if isinstance(call, m.RunTask | m.StartTask):
            override = TaskOverride(call.cpu, call.memory, call.resources, call.overrides)
        constraints = definition.placement_constraints
        if not isinstance(call, m.StartTask):
            constraints += call.placement_constraints
        rules = tuple(rule_of(constraint, self._stated) for constraint in constraints)
        self.not_judged.update((rule.type, rule.known) for rule in rules if not rule.whole)
        tcp, udp = host_ports(definition)
        return Needs(
            tuple(task_resources(definition, override).items()),
            group,
            frozenset([("tcp", port) for port in tcp] + [("udp", port) for port in udp]),
            definition.requires_attributes,
            call.zones if definition.network_mode == "awsvpc" else (),
            rules,
            capacity_provider,
        )

    # --- what ends, and what is marked ----------------------------------------------------------

    def _delete_service(self, call: m.DeleteService) -> None:
        facts = self.services[call.service]
        facts.call = replace_struct(facts.call, desired_count=0)
        self.touched.add(call.service)

    def _deregister_instance(self, call: m.DeregisterContainerInstance) -> None:
        host = self.hosts[call.instance]
        host.status, host.deregistered = "INACTIVE", True
        self._host_changed(call.instance)

    def _attributes(self, call: m.PutAttributes | m.DeleteAttributes) -> None:
        for each in call.attributes:
            host = self.hosts[each.instance]
            attributes = dict(host.said.attributes)
            attributes.pop(each.name, None)
            if isinstance(call, m.PutAttributes):
                attributes[each.name] = each.value
            host.said = replace_struct(host.said, attributes=attributes)
            host.member_of.clear()
            self._host_changed(each.instance)

    # --- instances ------------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        known = self.hosts.get(event.instance)
        host = Host(event, self.now_ms)
        if known is not None:
            host.used, host.ports, host.groups = known.used, known.ports, known.groups
        if self.groups.is_terminating(event.ec2_instance_id):
            host.status = "DRAINING"
        self.hosts[event.instance] = host
        self._host_changed(event.instance)

    def _set_status(self, call: m.UpdateContainerInstancesState) -> None:
        for number in call.instances:
            self.hosts[number].status = call.status
            self._host_changed(number)

    def _terminating(self, event: m.InstancesTerminating) -> None:
        for name in event.ec2_instance_ids:
            number = self.groups.numbers.get(name)
            if number is not None and self.hosts[number].status == "ACTIVE":
                self.hosts[number].status = "DRAINING"
                self._host_changed(number)

    def _connection(self, event: m.AgentConnectionChanged) -> None:
        for number in event.instances:
            self.hosts[number].connected = event.connected
            self.freed.add(number)

    def _host_changed(self, number: int) -> None:
        """It may have room now that it had not, and its tasks may count where they did not."""
        self.freed.add(number)
        services = (self.tasks[task].service for task in self._on.get(number, ()))
        self.touched.update(name for name in services if name is not None)

    def _gone(self, event: m.InstancesGone) -> None:
        self.left.update(event.instances)
        for number in event.instances:
            self.hosts[number].status = "INACTIVE"
            for task in list(self._on.get(number, ())):
                self._reported_stopped(task)

    # --- tasks ----------------------------------------------------------------------------------

    def _start(self, command: m.StartTasks) -> None:
        needs = self.needs_of_start(command)
        containers = self._definition(command.task_definition).containers
        checked = any(c.essential and c.health_check for c in containers)
        for task, number in zip(command.tasks, command.instances, strict=True):
            known = self.tasks.get(task)
            if known is not None and known.life is Life.WAITING:
                self._waits_less(known.needs)
            self.tasks[task] = TaskFacts(
                needs, Life.PLACED, command.service, number, command.deployment, checked
            )
            self._on.setdefault(number, {})[task] = None
            if command.service is not None:
                self.services[command.service].tasks[task] = None
                self.touched.add(command.service)
            if number in self.hosts:
                self.hosts[number].book(needs, 1)

    def _provision(self, notice: m.TasksProvisioning) -> None:
        if notice.service is not None:
            needs = self.services[notice.service].needs
        else:
            assert notice.request is not None, "a TasksProvisioning for nobody"
            needs = self._latest[notice.request]
        needs = on_provider(needs, notice.capacity_provider)
        for task in notice.tasks:
            self.tasks[task] = TaskFacts(needs, Life.WAITING, notice.service)
        self.waiting[needs] += len(notice.tasks)

    def _stop(self, command: m.StopTasks) -> None:
        for task in command.tasks:
            self._drain(task, command.not_before_ms)
            self._end(task, Life.STOPPING)
            host = self.tasks[task].host if task in self.tasks else None
            if host is not None:
                self.stopped_on.add(host)

    def _drain(self, task: int, until_ms: int | None) -> None:
        facts = self.tasks.get(task)
        if facts is not None and facts.service is not None and until_ms is not None:
            facts.drains_until_ms = until_ms
            self.services[facts.service].draining[task] = None

    def _stopped(self, notice: m.TasksStopped) -> None:
        for task in notice.tasks:
            self._end(task, Life.STOPPED)

    def _changed(self, event: m.TasksChanged) -> None:
        for task in event.tasks:
            if task not in self.tasks:
                continue
            facts = self.tasks[task]
            if event.status is TaskStatus.RUNNING:
                facts.ran_ms = self.now_ms if facts.ran_ms is None else facts.ran_ms
            elif event.status is TaskStatus.STOPPED:
                if facts.service is not None and facts.ran_ms is None and facts.life is Life.PLACED:
                    self.services[facts.service].plain = False
                self._reported_stopped(task)

    def _judged(self, event: m.TasksHealthChanged) -> None:
        for task in event.tasks:
            if task in self.tasks and self.tasks[task].ran_ms is not None:
                self.tasks[task].healthy = event.healthy

    def _reported_stopped(self, task: int) -> None:
        facts = self.tasks[task]
        if facts.life is Life.PLACED:
            self.ended.add(task)
        if facts.host is not None:
            self.freed.add(facts.host)
        if facts.drains_until_ms is not None and facts.service is not None:
            self.services[facts.service].draining.pop(task, None)
        self._end(task, Life.STOPPED)

    def _end(self, task: int, life: Life) -> None:
        """The task goes on to `life`; what it held is free at once (ecs-semantics 2.4)."""
        facts = self.tasks.get(task)
        if facts is None or facts.life.value >= life.value:
            return
        if facts.life is Life.WAITING:
            self._waits_less(facts.needs)
        if facts.life is Life.PLACED:
            if facts.host in self.hosts:
                self.hosts[facts.host].book(facts.needs, -1)
            if facts.service is not None:
                self.services[facts.service].tasks.pop(task, None)
                self.touched.add(facts.service)
        if life is Life.STOPPED and facts.host is not None:
            self._on[facts.host].pop(task, None)
        facts.life = life

    def _waits_less(self, needs: Needs) -> None:
        """One of these waits no longer; what nobody waits for is not kept."""
        self.waiting[needs] -= 1
        if not self.waiting[needs]:
            del self.waiting[needs]


_HANDLERS: dict[type, Any] = {
    m.RegisterTaskDefinition: History._register,
    m.RunTask: History._run_task,
    m.StartTask: History._run_task,
    m.PutClusterCapacityProviders: History._put_default,
    m.CreateService: History._create_service,
    m.UpdateService: History._update_service,
    m.DeleteService: History._delete_service,
    m.DeregisterContainerInstance: History._deregister_instance,
    m.PutAttributes: History._attributes,
    m.DeleteAttributes: History._attributes,
    m.InstanceRegistered: History._registered,
    m.UpdateContainerInstancesState: History._set_status,
    m.AgentConnectionChanged: History._connection,
    m.InstancesGone: History._gone,
    m.InstancesTerminating: History._terminating,
    m.TasksChanged: History._changed,
    m.TasksHealthChanged: History._judged,
    m.StartTasks: History._start,
    m.StopTasks: History._stop,
    m.TasksProvisioning: History._provision,
    m.TasksStopped: History._stopped,
}
