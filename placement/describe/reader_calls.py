"""What calls change in the records: calls that the scheduler took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from stowplan.placement import messages as m
from stowplan.placement.describe.reader_tasks import TaskReader
from stowplan.placement.describe.rollouts import finish
from stowplan.placement.describe.state import (
    CapacityProvider,
    Deployment,
    Service,
    TaskDefinitionRecord,
)
from stowplan.placement.model import InstanceStatus


def _register(reader: TaskReader, call: m.RegisterTaskDefinition) -> None:
    document = call.document
    inner = document.get("taskDefinition")
    family = (inner if isinstance(inner, dict) else document)["family"]
    revisions = reader.state.task_definitions.setdefault(family, [])
    now_ms = reader.state.now_ms
    revisions.append(TaskDefinitionRecord(family, len(revisions) + 1, document, now_ms))


def _create_provider(reader: TaskReader, call: m.CreateCapacityProvider) -> None:
    name = call.capacity_provider
    reader.state.capacity_providers[name] = CapacityProvider(name, call, call.desired_capacity)


def _put_default(reader: TaskReader, call: m.PutClusterCapacityProviders) -> None:
    strategy = call.default_capacity_provider_strategy
    reader.state.default_capacity_provider_strategy = strategy
    reader.state.associated = call.capacity_providers


def _deployment(reader: TaskReader, task_definition: str) -> Deployment:
    state = reader.state
    state.deployments_ever += 1
    definition = state.definition(task_definition)
    assert definition is not None, "a call for an unknown definition is rejected"
    name = f"ecs-svc/{state.deployments_ever}"
    return Deployment(name, definition.name, state.now_ms, state.now_ms)


def _create_service(reader: TaskReader, call: m.CreateService) -> None:
    default, created = reader.state.default_capacity_provider_strategy, call
    if call.capacity_provider_strategy is None and default:
        call = msgspec.structs.replace(call, capacity_provider_strategy=default)
    definition = reader.state.definition(call.task_definition)
    assert definition is not None, "a call for an unknown definition is rejected"
    call = msgspec.structs.replace(call, task_definition=definition.name)
    service = Service(call.service, call, reader.state.now_ms)
    service.created = created if created.client_token else None
    service.deployments.append(_deployment(reader, call.task_definition))
    service.deployments[0].desired_count = call.desired_count
    reader.state.services[call.service] = service


def _update_service(reader: TaskReader, call: m.UpdateService) -> None:
    service = reader.state.services[call.service]
    wanted = call.applied_to(service.call)
    definition = reader.state.definition(wanted.task_definition)
    assert definition is not None, "a call for an unknown definition is rejected"
    service.call = msgspec.structs.replace(wanted, task_definition=definition.name)
    renewed = definition.name != service.deployments[0].task_definition
    if renewed or call.force_new_deployment:
        for each in service.deployments:
            each.status = "ACTIVE"
            if each.rollback is None:
                finish(reader.state, each, "STOPPED")  # replaced before it was complete
        begun = _deployment(reader, service.call.task_definition)
        begun.sources = tuple(each.id for each in service.deployments)
        begun.desired_count = service.call.desired_count
        service.deployments.insert(0, begun)
        reader.touch(service.name)


def _delete_service(reader: TaskReader, call: m.DeleteService) -> None:
    service = reader.state.services[call.service]
    service.status = "DRAINING"
    service.call = msgspec.structs.replace(service.call, desired_count=0)
    reader.touch(service.name)


def _deregister_definition(reader: TaskReader, call: m.DeregisterTaskDefinition) -> None:
    record = reader.state.definition(call.task_definition)
    assert record is not None, "one that is unknown is rejected"
    record.status, record.deregistered_at_ms = "INACTIVE", reader.state.now_ms


def _delete_definition(reader: TaskReader, call: m.DeleteTaskDefinition) -> None:
    record = reader.state.definition(call.task_definition)
    assert record is not None, "one that is unknown is rejected"
    record.status, record.delete_requested_at_ms = "DELETE_IN_PROGRESS", reader.state.now_ms


def _protect(reader: TaskReader, call: m.UpdateTaskProtection) -> None:
    until_ms = reader.state.now_ms + 60_000 * call.expires_in_minutes
    for number in call.tasks:
        task = reader.state.tasks.get(number)
        if task is not None:
            task.protected_until_ms = until_ms if call.protection_enabled else None


def _deregister_instance(reader: TaskReader, call: m.DeregisterContainerInstance) -> None:
    reader.set_status(call.instance, InstanceStatus.INACTIVE)


def _put_attributes(reader: TaskReader, call: m.PutAttributes) -> None:
    for each in call.attributes:
        instance = reader.state.instances[each.instance]
        instance.attributes[each.name] = each.value
        instance.version += 1


def _delete_attributes(reader: TaskReader, call: m.DeleteAttributes) -> None:
    for each in call.attributes:
        instance = reader.state.instances[each.instance]
        instance.attributes.pop(each.name, None)
        instance.version += 1


def _update_provider(reader: TaskReader, call: m.UpdateCapacityProvider) -> None:
    provider = reader.state.capacity_providers[call.capacity_provider]
    provider.call = call.applied_to(provider.call)


def _delete_provider(reader: TaskReader, call: m.DeleteCapacityProvider) -> None:
    del reader.state.capacity_providers[call.capacity_provider]


def _tags(reader: TaskReader, kind: str, name: str) -> dict[str, str]:
    """The tags of a resource; of one that is shown no longer, a place for them that nobody sees."""
    state = reader.state
    number = int(name) if name.isdecimal() else -1
    found: Any = {
        "cluster": state,
        "container-instance": state.instances.get(number),
        "task": state.tasks.get(number),
        "service": state.services.get(name),
        "task-definition": state.definition(name),
        "capacity-provider": state.capacity_providers.get(name),
    }[kind]
    tags: dict[str, str] = {} if found is None else found.tags
    return tags


def _tag(reader: TaskReader, call: m.TagResource) -> None:
    _tags(reader, call.kind, call.name).update(call.tags)


def _untag(reader: TaskReader, call: m.UntagResource) -> None:
    tags = _tags(reader, call.kind, call.name)
    for key in call.keys:
        tags.pop(key, None)


def _delete_cluster(reader: TaskReader, call: m.DeleteCluster) -> None:
    reader.state.status = "INACTIVE"


CALL_HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    m.RegisterTaskDefinition: _register,
    m.RunTask: TaskReader.asked,
    m.StartTask: TaskReader.asked,
    m.CreateCapacityProvider: _create_provider,
    m.PutClusterCapacityProviders: _put_default,
    m.CreateService: _create_service,
    m.UpdateService: _update_service,
    m.DeleteService: _delete_service,
    m.DeregisterContainerInstance: _deregister_instance,
    m.DeregisterTaskDefinition: _deregister_definition,
    m.DeleteTaskDefinition: _delete_definition,
    m.UpdateTaskProtection: _protect,
    m.PutAttributes: _put_attributes,
    m.DeleteAttributes: _delete_attributes,
    m.UpdateCapacityProvider: _update_provider,
    m.DeleteCapacityProvider: _delete_provider,
    m.TagResource: _tag,
    m.UntagResource: _untag,
    m.DeleteCluster: _delete_cluster,
}
