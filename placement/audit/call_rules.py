"""Rules for calls that end or mark things: what they ended is not used, and they were allowed to.

Written from ecs-semantics 1.5, 4.6, 5 and 7, on the checkers' own book.
"""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History
from stowplan.placement.audit.hosts import Life
from stowplan.placement.audit.seen import Seen, sees
from stowplan.placement.messages import Round

_BUILT_IN = ("ecs.", "com.amazonaws.")
_ATTRIBUTES_MOST = 10


class NothingIsEndedInUse:
    """Without force, what is in use is not deleted; a cluster that holds anything never is.

    Tasks that a call of the same round stopped before are none: that they stop is said later.
    """

    sees = (
        *(m.DeleteService, m.DeregisterContainerInstance, m.DeleteCluster),
        *(m.DeleteCapacityProvider, m.StopTask, Round),
    )

    def __init__(self) -> None:
        self._stopping: set[int] = set()

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if isinstance(seen, m.StopTask):
            self._stopping.update(seen.tasks)
        elif isinstance(seen, Round):
            self._stopping.clear()
        elif isinstance(seen, m.DeleteService):
            facts = history.services.get(seen.service)
            if facts is None or seen.service in history.endings.deleted:
                yield f"service {seen.service} was deleted, which is not there"
                return
            if facts.call.desired_count and not facts.daemon and not seen.force:
                yield f"service {seen.service} was deleted at a count of {facts.call.desired_count}"
            self._stopping.update(facts.tasks)
        elif isinstance(seen, m.DeregisterContainerInstance):
            yield from self._deregistered(history, seen)
        elif isinstance(seen, m.DeleteCapacityProvider):
            yield from self._provider_deleted(history, seen)
        elif isinstance(seen, m.DeleteCluster):
            yield from self._cluster_deleted(history)

    def _alive(self, history: History, host: int | None) -> int:
        """Tasks that are to run, on a host or anywhere."""
        return sum(
            facts.life in (Life.WAITING, Life.PLACED) and host in (None, facts.host)
            for number, facts in history.tasks.items()
            if number not in self._stopping
        )

    def _deregistered(self, history: History, call: m.DeregisterContainerInstance) -> Iterator[str]:
        host = history.hosts.get(call.instance)
        if host is None or host.status == "INACTIVE":
            yield f"instance {call.instance} was deregistered, which is not there"
        elif not call.force and (tasks := self._alive(history, call.instance)):
            yield f"instance {call.instance} was deregistered with {tasks} tasks"
        on = (number for number, task in history.tasks.items() if task.host == call.instance)
        self._stopping.update(on)

    def _provider_deleted(self, history: History, call: m.DeleteCapacityProvider) -> Iterator[str]:
        users = [
            name
            for name, facts in history.services.items()
            if name not in history.endings.deleted
            for item in facts.call.capacity_provider_strategy or ()
            if item.capacity_provider == call.capacity_provider
        ]
        if users:
            yield f"capacity provider {call.capacity_provider} was deleted, {users} name it"

    def _cluster_deleted(self, history: History) -> Iterator[str]:
        tasks = self._alive(history, None)
        hosts = sum(host.status != "INACTIVE" for host in history.hosts.values())
        services = len(history.services.keys() - history.endings.deleted)
        if tasks or hosts or services:
            yield f"the cluster was deleted with {services} services, {hosts} hosts, {tasks} tasks"


@sees(m.StartTasks, m.TasksProvisioning)
def what_was_deleted_starts_nothing(history: History, seen: Seen) -> Iterator[str]:
    """A deleted service, and a deleted cluster, start no task."""
    if not isinstance(seen, m.StartTasks | m.TasksProvisioning):
        return
    if seen.service in history.endings.deleted:
        yield f"service {seen.service} starts tasks {seen.tasks}, which was deleted"
    if history.endings.cluster_deleted:
        yield f"tasks {seen.tasks} start in a cluster that was deleted"


@sees(m.RunTask, m.StartTask, m.CreateService, m.UpdateService)
def inactive_definitions_are_not_named(history: History, seen: Seen) -> Iterator[str]:
    """No call that was taken names a task definition that is INACTIVE."""
    if not isinstance(seen, m.RunTask | m.StartTask | m.CreateService | m.UpdateService):
        return
    if seen.task_definition in history.endings.inactive:
        yield f"{type(seen).__name__} names {seen.task_definition}, which is INACTIVE"


@sees(m.DeregisterTaskDefinition, m.DeleteTaskDefinition)
def definitions_end_in_order(history: History, seen: Seen) -> Iterator[str]:
    """A definition is deregistered once, and deleted only after that (ecs-semantics 7)."""
    if isinstance(seen, m.DeregisterTaskDefinition | m.DeleteTaskDefinition):
        inactive = seen.task_definition in history.endings.inactive
        if isinstance(seen, m.DeleteTaskDefinition) is not inactive:
            state = "INACTIVE" if inactive else "ACTIVE"
            yield f"{type(seen).__name__} of {seen.task_definition}, which is {state}"


@sees(m.TagResource)
def tags_are_ones_own(history: History, seen: Seen) -> Iterator[str]:
    """No call that was taken sets a tag of AWS's own."""
    if isinstance(seen, m.TagResource):
        for name, _value in seen.tags:
            if name.lower().startswith("aws:"):
                yield f"tag {name!r} of {seen.kind} {seen.name!r} is AWS's own"


@sees(m.PutAttributes, m.DeleteAttributes)
def attributes_keep_their_limits(history: History, seen: Seen) -> Iterator[str]:
    """Only custom attributes change, on instances that are there, and at most ten are on one."""
    if not isinstance(seen, m.PutAttributes | m.DeleteAttributes):
        return
    names: dict[int, set[str]] = {}
    for each in seen.attributes:
        host = history.hosts.get(each.instance)
        if host is None or host.status == "INACTIVE":
            yield f"attribute {each.name} of instance {each.instance}, which is not there"
            continue
        if each.name.startswith(_BUILT_IN):
            yield f"attribute {each.name} of instance {each.instance} is not a custom one"
        names.setdefault(each.instance, set(host.said.attributes)).add(each.name)
    for number, of in names.items():
        custom = sum(not name.startswith(_BUILT_IN) for name in of)
        if isinstance(seen, m.PutAttributes) and custom > _ATTRIBUTES_MOST:
            yield f"instance {number} has {custom} custom attributes"
