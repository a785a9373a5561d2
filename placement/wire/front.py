"""Which handler answers which operation, and what becomes of those that none carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stowplan.placement.callers.callers import Answer
from stowplan.placement.wire import (
    agent_reports,
    agents,
    clusters,
    definitions,
    deployments,
    instances,
    marks,
    providers,
    services,
    settings,
    tasks,
)
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.protocol import Request
from stowplan.placement.wire.world import Ask, Document, Host, Steps

Handler = Callable[[Host, Mapping[str, Any]], Document | Steps]

CARRIED_OUT: dict[str, Handler] = {
    "CreateCapacityProvider": providers.create_capacity_provider,
    "CreateCluster": clusters.create_cluster,
    "CreateService": services.create_service,
    "DeleteAccountSetting": settings.delete_account_setting,
    "DeleteAttributes": marks.delete_attributes,
    "DeleteCapacityProvider": providers.delete_capacity_provider,
    "DeleteCluster": clusters.delete_cluster,
    "DeleteService": services.delete_service,
    "DeleteTaskDefinitions": definitions.delete_task_definitions,
    "DeregisterContainerInstance": instances.deregister_container_instance,
    "DeregisterTaskDefinition": definitions.deregister_task_definition,
    "DescribeCapacityProviders": providers.describe_capacity_providers,
    "DescribeClusters": clusters.describe_clusters,
    "DescribeContainerInstances": instances.describe_container_instances,
    "DescribeServiceDeployments": deployments.describe_service_deployments,
    "DescribeServiceRevisions": deployments.describe_service_revisions,
    "DescribeServices": services.describe_services,
    "DescribeTaskDefinition": definitions.describe_task_definition,
    "DescribeTasks": tasks.describe_tasks,
    "DiscoverPollEndpoint": agents.discover_poll_endpoint,
    "GetTaskProtection": marks.get_task_protection,
    "ListAccountSettings": settings.list_account_settings,
    "ListAttributes": marks.list_attributes,
    "ListClusters": clusters.list_clusters,
    "ListContainerInstances": instances.list_container_instances,
    "ListServiceDeployments": deployments.list_service_deployments,
    "ListServices": services.list_services,
    "ListServicesByNamespace": services.list_services_by_namespace,
    "ListTagsForResource": marks.list_tags_for_resource,
    "ListTaskDefinitionFamilies": definitions.list_task_definition_families,
    "ListTaskDefinitions": definitions.list_task_definitions,
    "ListTasks": tasks.list_tasks,
    "PutAccountSetting": settings.put_account_setting,
    "PutAccountSettingDefault": settings.put_account_setting,
    "PutAttributes": marks.put_attributes,
    "PutClusterCapacityProviders": providers.put_cluster_capacity_providers,
    "RegisterContainerInstance": agents.register_container_instance,
    "RegisterTaskDefinition": definitions.register_task_definition,
    "RunTask": tasks.run_task,
    "StartTask": tasks.start_task,
    "StopServiceDeployment": deployments.stop_service_deployment,
    "StopTask": tasks.stop_task,
    "SubmitAttachmentStateChanges": agent_reports.submit_attachment_state_changes,
    "SubmitContainerStateChange": agent_reports.submit_container_state_change,
    "SubmitTaskStateChange": agent_reports.submit_task_state_change,
    "TagResource": marks.tag_resource,
    "UntagResource": marks.untag_resource,
    "UpdateCapacityProvider": providers.update_capacity_provider,
    "UpdateCluster": clusters.update_cluster,
    "UpdateClusterSettings": clusters.update_cluster,
    "UpdateContainerInstancesState": instances.update_container_instances_state,
    "UpdateService": services.update_service,
    "UpdateTaskProtection": marks.update_task_protection,
}

# Operations that are answered by an exception of ECS that says why, whatever is asked.
REFUSED: dict[str, Handler] = {
    "ExecuteCommand": agents.execute_command,
    "UpdateContainerAgent": agents.update_container_agent,
}


class Exchange:
    """One request on its way: what it asks of clusters now, and its answer once it has one.

    Raises:
        WireError: as it is made, or when it hears what became of its calls.
    """

    def __init__(self, host: Host, request: Request) -> None:
        handler = CARRIED_OUT.get(request.operation) or REFUSED.get(request.operation)
        if handler is None:
            what = f"{request.operation} is not carried out here."
            raise WireError("UnsupportedFeatureException", what)
        self.request = request
        self.asks: list[Ask] = []
        self.answer: Document | None = None
        begun = handler(host, request.params)
        if isinstance(begun, dict):
            self.answer = begun
        else:
            self._steps = begun
            self._go_on(None)

    def hear(self, answers: list[Answer]) -> None:
        """What became of the calls of `asks`, in their order."""
        self._go_on(answers)

    def _go_on(self, answers: list[Answer] | None) -> None:
        self.asks = []
        try:
            self.asks = next(self._steps) if answers is None else self._steps.send(answers)
        except StopIteration as done:
            self.answer = done.value
