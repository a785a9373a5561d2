"""The messages to and from agents: what ACS and TCS say, and what they make of what agents say.

Shapes are those of ECS's own models of the two services.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from stowplan.placement import messages as m
from stowplan.placement.agentwire.credentials import (
    LASTS_MS,
    RENEWED_MS,
    ROLES,
    KeysOf,
    credentials_document,
    roles_of,
)
from stowplan.placement.agentwire.frames import Document, Frame, read_frame, write_frame
from stowplan.placement.agentwire.payload import task_message
from stowplan.placement.agentwire.post import Post
from stowplan.placement.agentwire.telemetry import used, verdict
from stowplan.placement.describe import State, Task
from stowplan.placement.model import StopCode, TaskDefinition, TaskStatus
from stowplan.placement.taskdef.overrides import with_overrides
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.placement.wire.arns import Ids
from stowplan.placement.wire.errors import WireError

Said = tuple[str | None, list[m.Event]]  # what is answered, and what follows
_REFUSED = "the agent does not take the task"


class Control:
    """Writes and reads messages of one cluster's agents; see `driver.AgentsDriver`."""

    def __init__(self, state: State, ids: Ids, epoch_s: float, keys: KeysOf) -> None:
        self._state, self._ids, self._epoch_s, self._keys = state, ids, epoch_s, keys
        self._sequence = 0
        self._messages = 0
        self._parsed: dict[str, TaskDefinition] = {}
        # Credentials that were sent: by task and member, until when they need not be sent again.
        self._renew_ms: dict[int, int] = {}

    # --- messages to agents -----------------------------------------------------------------------

    def message_id(self) -> str:
        """The id of a message that no other has."""
        self._messages += 1
        return f"{self._ids.salt}-{self._state.rounds}-{self._messages}"

    def _next(self, now_ms: int) -> int:
        """A number that rises, also over a restart."""
        self._sequence = max(self._sequence + 1, now_ms)
        return self._sequence

    def _about(self, instance: int, message: str, now_ms: int) -> Document:
        return {
            "messageId": message,
            "clusterArn": self._ids.account.cluster(self._ids.cluster),
            "containerInstanceArn": self._ids.instance(instance),
            "generatedAt": int(self._epoch_s * 1000) + now_ms,
        }

    def payload(self, instance: int, message: str, orders: dict[int, str], now_ms: int) -> str:
        """Tasks to start and to stop, by number."""
        tasks = [
            self._task(task, desired, now_ms)
            for number, desired in orders.items()
            if (task := self._state.tasks.get(number)) is not None
        ]
        about = self._about(instance, message, now_ms)
        document = {**about, "seqNum": self._next(now_ms), "tasks": tasks}
        return write_frame("PayloadMessage", document)

    def _task(self, task: Task, desired: str, now_ms: int) -> Document:
        definition = with_overrides(self._definition(task), task.overrides)
        starts = desired == "RUNNING"
        return task_message(
            self._ids.task(task.number),
            self._ids.account.cluster(self._ids.cluster),
            definition,
            desired,
            cpu=task.cpu,
            memory=task.memory,
            group=task.group,
            credentials=self._credentials(task, now_ms) if starts else None,
        )

    def manifest(self, instance: int, now_ms: int) -> str:
        """All tasks that the instance is to have: it asks about others, and then stops them."""
        found = self._state.instances[instance]
        tasks = [
            {
                "taskArn": self._ids.task(number),
                "taskClusterArn": self._ids.account.cluster(self._ids.cluster),
                "desiredStatus": str(self._state.tasks[number].desired_status),
            }
            for number in found.tasks
        ]
        about = self._about(instance, self.message_id(), now_ms)
        document = {**about, "tasks": tasks, "timeline": self._next(now_ms)}
        return write_frame("TaskManifestMessage", document)

    def heartbeat(self, telemetry: bool) -> str:
        """All is well."""
        message: Document = {"healthy": True}
        return write_frame(
            "HeartbeatMessage",
            message if telemetry else {**message, "messageId": self.message_id()},
        )

    def inactive(self) -> str:
        """The instance was deregistered."""
        what = "The referenced container instance is not ACTIVE."
        return write_frame("InactiveInstanceException", {"message": what})

    # --- credentials ------------------------------------------------------------------------------

    def _credentials(self, task: Task, now_ms: int) -> dict[str, Document]:
        roles = roles_of(self._definition(task).document)
        if roles:
            self._renew_ms[task.number] = now_ms + RENEWED_MS
        expires_s = self._epoch_s + (now_ms + LASTS_MS) / 1000
        expires = f"{datetime.fromtimestamp(expires_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return {
            ROLES[member][0]: credentials_document(
                self._ids.event(f"credentials/{member}", task.number),
                role,
                self._keys(role),
                expires,
            )
            for member, role in roles.items()
        }

    def renewed(self, instance: int, now_ms: int) -> Iterator[str]:
        """Credentials that are to be sent again: those of tasks that run, once an hour."""
        found = self._state.instances.get(instance)
        for number in () if found is None else found.tasks:
            task = self._state.tasks[number]
            roles = roles_of(self._definition(task).document)
            due = now_ms >= self._renew_ms.get(number, 0)
            if not roles or not due or task.last_status is not TaskStatus.RUNNING:
                continue
            made = self._credentials(task, now_ms)
            for member in roles:
                name, role_type = ROLES[member]
                document = {
                    "messageId": self.message_id(),
                    "taskArn": self._ids.task(number),
                    "taskClusterArn": self._ids.account.cluster(self._ids.cluster),
                    "roleType": role_type,
                    "roleCredentials": made[name],
                }
                yield write_frame("IAMRoleCredentialsMessage", document)

    def forget(self, task: int) -> None:
        """A task has stopped."""
        self._renew_ms.pop(task, None)

    # --- messages of agents -----------------------------------------------------------------------

    def said(self, post: Post, text: str | bytes, now_ms: int) -> Said:
        """What follows from a message on ACS's websocket."""
        frame = read_frame(text)
        message = str(frame.message.get("messageId", ""))
        if frame.type == "AckRequest":
            post.acknowledged(message)
        elif frame.type == "NackRequest":
            starts = tuple(post.refused(message))
            reason = str(frame.message.get("reason") or _REFUSED)
            if starts:
                code = StopCode.TASK_FAILED_TO_START
                return None, [m.TasksChanged(TaskStatus.STOPPED, starts, code, reason)]
        elif frame.type == "TaskStopVerificationMessage":
            return self._verified(frame, message, now_ms), []
        return None, []  # others acknowledge what need not be known

    def _verified(self, frame: Frame, message: str, now_ms: int) -> str:
        """Of the tasks that an agent would stop, those that it is to stop."""
        stop = []
        for each in frame.message.get("stopCandidates") or ():
            task = self.task(str(each.get("taskArn", "")))
            if task is None or task.desired_status is TaskStatus.STOPPED:
                stop.append({**each, "desiredStatus": "STOPPED"})
        document = {
            "messageId": message,
            "generatedAt": int(self._epoch_s * 1000) + now_ms,
            "stopTasks": stop,
        }
        return write_frame("TaskStopVerificationAck", document)

    def telemetry(self, instance: int, text: str | bytes, now_ms: int) -> Said:
        """What follows from a message on TCS's websocket."""
        frame = read_frame(text)
        ack = {
            "PublishMetricsRequest": "AckPublishMetric",
            "PublishHealthRequest": "AckPublishHealth",
            "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
        }.get(frame.type)
        events: list[m.Event] = []
        if frame.type == "PublishMetricsRequest":
            self._measured(instance, frame.message, now_ms)
        elif frame.type == "PublishHealthRequest":
            events = self._judged(frame.message)
        return None if ack is None else write_frame(ack, {"message": "OK"}), events

    def _measured(self, instance: int, message: Document, now_ms: int) -> None:
        host = self._state.instances.get(instance)
        for metric in message.get("taskMetrics") or ():
            task = self.task(str(metric.get("taskArn", "")))
            if task is not None and host is not None and task.instance == instance:
                task.used = used(metric, host, now_ms) or task.used

    def _judged(self, message: Document) -> list[m.Event]:
        verdicts: dict[bool, list[int]] = {}
        for each in message.get("tasks") or ():
            task = self.task(str(each.get("taskArn", "")))
            if task is None or task.last_status is not TaskStatus.RUNNING:
                continue
            healthy = verdict(self._definition(task).document, each.get("containers") or ())
            if healthy is not None and healthy is not task.healthy:
                verdicts.setdefault(healthy, []).append(task.number)
        return [m.TasksHealthChanged(healthy, tuple(them)) for healthy, them in verdicts.items()]

    # --- small things -----------------------------------------------------------------------------

    def task(self, arn: str) -> Task | None:
        """The task of an ARN, if it is of this cluster and still described."""
        try:
            number = self._ids.number("task", arn)
        except WireError:
            return None
        return None if number is None else self._state.tasks.get(number)

    def _definition(self, task: Task) -> TaskDefinition:
        found = self._parsed.get(task.task_definition)
        if found is None:
            record = self._state.definition(task.task_definition)
            assert record is not None, "a task is of a definition that was registered"
            found = parse_task_definition(record.document, revision=record.revision)
            self._parsed[task.task_definition] = found
        return found
