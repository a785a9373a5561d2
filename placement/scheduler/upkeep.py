"""Calls that end or mark parts of a cluster: checked as ECS checks them, then carried out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.errors import CallError
from stowplan.placement.model import InstanceStatus, StopCode
from stowplan.placement.scheduler.capacity.providers import CapacityProviders
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.services.services import Services
from stowplan.placement.scheduler.tasks import TaskTable

CONFLICT = "ConflictException"
CUSTOM_ATTRIBUTES_MOST, TAGS_MOST = 10, 50
KEY_MOST, VALUE_MOST = 128, 256  # characters of a tag
BUILT_IN = ("ecs.", "com.amazonaws.")  # attributes that are not the user's
FORCED = "Container instance deregistration forced by user"
_INVALID, _NO_CLUSTER = "InvalidParameterException", "ClusterNotFoundException"
_NAME, _VALUE = re.compile(r"[\w./\\-]{1,128}", re.A), re.compile(r"[\w./\\:@ -]{0,128}", re.A)

# Calls that need no cluster.
_ANYWHERE = (
    *(m.RegisterTaskDefinition, m.DeregisterTaskDefinition, m.DeleteTaskDefinition),
    *(m.CreateCapacityProvider, m.UpdateCapacityProvider, m.DeleteCapacityProvider),
)


class Upkeep:
    """Carries out the calls of `UPKEEP`. `cluster_deleted` once DeleteCluster was taken.

    Args:
        stop: stops living tasks.
        host_changed: called with an instance that may be no place for its tasks any more.
    """

    def __init__(
        self,
        cluster: Cluster,
        tasks: TaskTable,
        launches: Launches,
        services: Services,
        providers: CapacityProviders,
        stop: Callable[[list[int], StopCode, str], None],
    ) -> None:
        self._cluster, self._tasks, self._launches = cluster, tasks, launches
        self._services, self._providers, self._stop = services, providers, stop
        self._tags: dict[tuple[str, str], set[str]] = {}
        self._tokens: dict[str, int] = {}  # when each was given, the first one first
        self.cluster_deleted = False

    def __call__(self, call: m.Event) -> None:
        """Carry out a call. Raises CallError where it makes no sense."""
        _HANDLERS[type(call)](self, call)

    def check_cluster(self, event: m.Event) -> None:
        """Raises CallError for what needs a cluster, once that is deleted."""
        if not isinstance(event, _ANYWHERE) and isinstance(event, (*m.CALLS, m.InstanceRegistered)):
            raise CallError(_NO_CLUSTER, "Cluster not found.")

    def mark(self, call: m.RunTask, now_ms: int) -> None:
        """A RunTask that is right otherwise: its tags, and its token, which it alone may have.

        Raises CallError for tags of no valid form, or a token that was given before.
        """
        if call.tags:
            check_tags(call.tags)
        if call.client_token:
            while self._tokens and (first := next(iter(self._tokens.items())))[1] <= now_ms:
                del self._tokens[first[0]]
            if call.client_token in self._tokens:
                raise CallError(
                    CONFLICT, f"the client token {call.client_token!r} was given before"
                )
            self._tokens[call.client_token] = now_ms + m.TOKEN_KEPT_MS

    # --- instances --------------------------------------------------------------------------------

    def _deregister_instance(self, call: m.DeregisterContainerInstance) -> None:
        row, cluster = call.instance, self._cluster
        if not self._present(row):
            raise CallError(_INVALID, f"container instance {row} is not registered")
        there = [task for task in self._tasks.on(row) if self._tasks.alive(task)]
        if there and not call.force:
            raise CallError(_INVALID, "Found running tasks on the instance.")
        if there:
            self._stop(there, StopCode.USER_INITIATED, FORCED)
        cluster.set_status(row, InstanceStatus.INACTIVE)

    def _present(self, row: int) -> bool:
        return 0 <= row < self._cluster.size and bool(self._cluster.present[row])

    def _put_attributes(self, call: m.PutAttributes) -> None:
        changed = self._changes(call.attributes)
        for each in call.attributes:
            if each.name.startswith(BUILT_IN):
                raise CallError(_INVALID, f"attribute {each.name} is not a custom one")
            if not (_NAME.fullmatch(each.name) and _VALUE.fullmatch(each.value)):
                raise CallError(_INVALID, f"attribute {each.name}={each.value} has no valid form")
            changed[each.instance][f"attribute:{each.name}"] = each.value
        for row, strings in changed.items():
            names = (subject.partition(":")[2] for subject in strings if ":" in subject)
            if sum(not name.startswith(BUILT_IN) for name in names) > CUSTOM_ATTRIBUTES_MOST:
                what = f"more than {CUSTOM_ATTRIBUTES_MOST} custom attributes on instance {row}"
                raise CallError("AttributeLimitExceededException", what)
        self._set(changed)

    def _delete_attributes(self, call: m.DeleteAttributes) -> None:
        changed = self._changes(call.attributes)
        for each in call.attributes:
            if each.name.startswith(BUILT_IN):
                raise CallError(_INVALID, f"attribute {each.name} is not a custom one")
            changed[each.instance].pop(f"attribute:{each.name}", None)
        self._set(changed)

    def _changes(self, attributes: Iterable[m.Attribute]) -> dict[int, dict[str, str]]:
        """The string columns of the instances that are named, to be changed."""
        rows = list(dict.fromkeys(each.instance for each in attributes))
        if not rows:
            raise CallError(_INVALID, "no attributes")
        for row in rows:
            if not self._present(row):
                raise CallError("TargetNotFoundException", f"instance {row} is not registered")
        return {row: self._cluster.strings_of(row) for row in rows}

    def _set(self, changed: dict[int, dict[str, str]]) -> None:
        for row, strings in changed.items():
            self._cluster.set_strings(row, strings)

    # --- definitions, providers, the cluster ------------------------------------------------------

    def _deregister_definition(self, call: m.DeregisterTaskDefinition) -> None:
        self._launches.deregister(call.task_definition)

    def _delete_definition(self, call: m.DeleteTaskDefinition) -> None:
        self._launches.check_inactive(call.task_definition)

    def _delete_provider(self, call: m.DeleteCapacityProvider) -> None:
        name = call.capacity_provider
        users = [user for user, each in self._services.by_name.items() if _uses(each.call, name)]
        if users:
            what = f"the capacity provider is in the strategy of {', '.join(users)}"
            raise CallError("ClientException", what)
        self._providers.delete(name)

    def _delete_cluster(self, call: m.DeleteCluster) -> None:
        contains = "ClusterContains{}Exception"
        if self._services.by_name or self._services.leaving.names():
            what = "The Cluster cannot be deleted while Services are active."
            raise CallError(contains.format("Services"), what)
        if self._cluster.present.any():
            what = "The Cluster cannot be deleted while Container Instances are active or draining."
            raise CallError(contains.format("ContainerInstances"), what)
        if any(True for _ in self._tasks.living()):
            what = "The Cluster cannot be deleted while Tasks are active."
            raise CallError(contains.format("Tasks"), what)
        self.cluster_deleted = True

    # --- tags -------------------------------------------------------------------------------------

    def _tag(self, call: m.TagResource) -> None:
        self._check_resource(call.kind, call.name)
        check_tags(call.tags)
        keys = self._tags.get((call.kind, call.name), set()) | {key for key, _ in call.tags}
        if len(keys) > TAGS_MOST:
            raise CallError(_INVALID, f"more than {TAGS_MOST} tags on {call.kind} {call.name}")
        self._tags[call.kind, call.name] = keys

    def _untag(self, call: m.UntagResource) -> None:
        self._check_resource(call.kind, call.name)
        self._tags.get((call.kind, call.name), set()).difference_update(call.keys)

    def _check_resource(self, kind: str, name: str) -> None:
        number = int(name) if name.isdecimal() else -1
        known = {
            "cluster": lambda: name == "",
            "container-instance": lambda: self._present(number),
            "task": lambda: 0 <= number < len(self._tasks),
            "service": lambda: name in self._services.by_name,
            "task-definition": lambda: self._launches.is_known(name),
            "capacity-provider": lambda: name in self._providers.by_name,
        }
        if not known[kind]():
            raise CallError("ResourceNotFoundException", f"there is no {kind} {name!r}")


def _uses(call: m.CreateService, capacity_provider: str) -> bool:
    items = call.capacity_provider_strategy or ()
    return capacity_provider in [item.capacity_provider for item in items]


def check_tags(tags: m.Pairs) -> None:
    """Raises CallError where tags have no form that ECS takes (ecs-semantics 1.1)."""
    for key, value in tags:
        if not 1 <= len(key) <= KEY_MOST or len(value) > VALUE_MOST:
            raise CallError(_INVALID, f"tag {key!r}: a key of 1 to {KEY_MOST} characters, a value")
        if key.lower().startswith("aws:"):
            raise CallError(_INVALID, f"tag {key!r}: the prefix aws: is reserved")
    if len(tags) > TAGS_MOST or len({key for key, _ in tags}) < len(tags):
        raise CallError(_INVALID, f"at most {TAGS_MOST} tags, each key once")


_HANDLERS: dict[type, Callable[[Upkeep, Any], object]] = {
    m.DeleteService: lambda self, call: self._services.delete(call),
    m.StopServiceDeployment: lambda self, call: self._services.stop_deployment(call),
    m.DeregisterContainerInstance: Upkeep._deregister_instance,
    m.DeregisterTaskDefinition: Upkeep._deregister_definition,
    m.DeleteTaskDefinition: Upkeep._delete_definition,
    m.PutAttributes: Upkeep._put_attributes,
    m.DeleteAttributes: Upkeep._delete_attributes,
    m.DeleteCapacityProvider: Upkeep._delete_provider,
    m.TagResource: Upkeep._tag,
    m.UntagResource: Upkeep._untag,
    m.DeleteCluster: Upkeep._delete_cluster,
}
UPKEEP = tuple(_HANDLERS)
