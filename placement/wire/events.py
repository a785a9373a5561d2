"""What happens in a cluster, as EventBridge would send it (ecs-semantics 8.4).

Events of tasks and container instances carry the `version` of what they are about, which rises with
each change: who has a later one may drop an event. One that is sent again has the same id.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.describe import Service
from stowplan.placement.model import InstanceStatus, TaskStatus
from stowplan.placement.wire.show import show_instance, show_task
from stowplan.placement.wire.world import Cluster, Document

TASK, INSTANCE = "ECS Task State Change", "ECS Container Instance State Change"
ACTION, DEPLOYMENT = "ECS Service Action", "ECS Deployment State Change"
_TIMES = ("createdAt", "startedAt", "stoppingAt", "stoppedAt", "registeredAt")
# What a line of a service's events says, and the event that it is: type and name.
_ACTIONS = (
    ("has reached a steady state", "INFO", "SERVICE_STEADY_STATE"),
    ("unable to consistently start tasks", "WARN", "SERVICE_TASK_START_IMPAIRED"),
    ("was unable to place a task", "ERROR", "SERVICE_TASK_PLACEMENT_FAILURE"),
)


def iso(seconds: float) -> str:
    """A time as events have it: ISO 8601 in UTC, to the millisecond."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Events:
    """The events of one cluster: call it with every round, once the round is in its records."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tasks: dict[int, int] = {}  # the version that was last told of; of living ones
        self._instances: dict[int, int] = {}
        self._deployments: dict[str, str] = {}  # service -> the PRIMARY that was last told of

    def __call__(self, entry: m.Round) -> list[Document]:
        """The events of a round, in order."""
        seen = [*entry.accepted(), *entry.commands]
        tasks: dict[int, None] = {}
        instances: dict[int, None] = {}
        for message in seen:
            tasks.update(dict.fromkeys(getattr(message, "tasks", ())))
            instances.update(dict.fromkeys(getattr(message, "instances", ())))
            one = getattr(message, "instance", None)
            if one is not None:
                instances[one] = None
            for attribute in getattr(message, "attributes", ()):
                if isinstance(attribute, m.Attribute):
                    instances[attribute.instance] = None
        found = [each for number in tasks if (each := self._task(number, instances)) is not None]
        found += [each for number in instances if (each := self._instance(number)) is not None]
        for message in seen:
            found += self._service(message)
        return found

    def _task(self, number: int, instances: dict[int, None]) -> Document | None:
        cluster, task = self._cluster, self._cluster.state.tasks.get(number)
        if task is None or self._tasks.get(number) == task.version:
            return None
        if task.instance is not None:
            instances[task.instance] = None  # its resources may be other ones now
        self._tasks[number] = task.version
        if task.last_status is TaskStatus.STOPPED:
            del self._tasks[number]
        detail = _plain(show_task(cluster, task)) | {"updatedAt": iso(self._now_s())}
        return self._event(TASK, detail["taskArn"], detail, f"{task.version}")

    def _instance(self, number: int) -> Document | None:
        cluster, instance = self._cluster, self._cluster.state.instances.get(number)
        if instance is None or self._instances.get(number) == instance.version:
            return None
        self._instances[number] = instance.version
        if instance.status is InstanceStatus.INACTIVE:
            del self._instances[number]
        detail = _plain(show_instance(cluster, instance))
        detail |= {"clusterArn": cluster.arn, "updatedAt": iso(self._now_s())}
        return self._event(INSTANCE, detail["containerInstanceArn"], detail, f"{instance.version}")

    def _service(self, message: m.Event | m.Command) -> Iterator[Document]:
        state = self._cluster.state
        if isinstance(message, m.CreateService | m.UpdateService):
            service = state.services.get(message.service)
            if service is not None:
                yield from self._begun(service)
        if isinstance(message, m.UpdateService) and message.desired_count is not None:
            reason = f"desired count {message.desired_count}"
            yield self._action(message.service, "INFO", "SERVICE_DESIRED_COUNT_UPDATED", reason)
        if not isinstance(message, m.ServiceEvent) or message.service not in state.services:
            return
        service, text = state.services[message.service], message.text
        for part, kind, name in _ACTIONS:
            if part in text:
                why = None if message.failure is None else message.failure.reason
                yield self._action(message.service, kind, name, why)
        if ") deployment completed" in text or ") deployment failed" in text:
            completed = ") deployment completed" in text
            name = f"SERVICE_DEPLOYMENT_{'COMPLETED' if completed else 'FAILED'}"
            of = text.partition("(deployment ")[2].partition(")")[0]
            yield self._deployment(service, of, "INFO" if completed else "ERROR", name, text)
        yield from self._begun(service)

    def _begun(self, service: Service) -> Iterator[Document]:
        primary = service.deployments[0]
        if self._deployments.get(service.name) != primary.id:
            self._deployments[service.name] = primary.id
            if primary.rollout_state == "IN_PROGRESS":
                name = "SERVICE_DEPLOYMENT_IN_PROGRESS"
                text = f"ECS deployment {primary.id} in progress."
                yield self._deployment(service, primary.id, "INFO", name, text)

    def _action(self, service: str, kind: str, name: str, reason: str | None) -> Document:
        cluster = self._cluster
        detail = {
            "eventType": kind,
            "eventName": name,
            "clusterArn": cluster.arn,
            "createdAt": iso(self._now_s()),
        }
        if reason is not None:
            detail["reason"] = reason
        return self._event(ACTION, cluster.ids.service(service), detail, self._moment(name))

    def _deployment(self, service: Service, of: str, kind: str, name: str, why: str) -> Document:
        detail = {
            "eventType": kind,
            "eventName": name,
            "clusterArn": self._cluster.arn,
            "deploymentId": of,
            "updatedAt": iso(self._now_s()),
            "reason": why,
        }
        arn = self._cluster.ids.service(service.name)
        return self._event(DEPLOYMENT, arn, detail, self._moment(f"{of}/{name}"))

    def _now_s(self) -> float:
        return self._cluster.seconds(self._cluster.state.now_ms)

    def _moment(self, what: str) -> str:
        return f"{what}/{self._cluster.state.rounds}"

    def _event(self, kind: str, arn: str, detail: Document, mark: str) -> Document:
        account = self._cluster.ids.account
        return {
            "version": "0",
            "id": self._cluster.ids.event(f"{kind}/{arn}/{mark}", 0),
            "detail-type": kind,
            "source": "aws.ecs",
            "account": account.account,
            "time": iso(self._now_s()),
            "region": account.region,
            "resources": [arn],
            "detail": detail,
        }


def _plain(shown: Document) -> Document:
    """A described structure as events have it: times as text, nothing of health."""
    made: dict[str, Any] = {name: of for name, of in shown.items() if name != "healthStatus"}
    for name in _TIMES:
        if name in made:
            made[name] = iso(made[name])
    if "containers" in made:
        made["containers"] = [
            {name: of for name, of in each.items() if name != "healthStatus"}
            for each in made["containers"]
        ]
    return made
