"""ECS's events out of an SQS queue, in a thread: changes are heard at once, and not only looked at.

They come late, doubled and out of turn; each carries the version of what it describes, and whoever
takes it in keeps to the latest. What never comes is seen by the next look.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from stowplan.placement.driver import DriverError
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.ec2.control import Document
from stowplan.realdriver.ec2.watch import Blind

_WAIT_S, _AGAIN_S = 10, 5.0


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """A task of the cluster, as it was when the event was sent."""

    document: Document


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """Something happened to a container instance of the cluster, or to an instance of EC2."""


@dataclass
class Queue:
    """The thread.

    Args:
        url: of the queue, which is read by this run alone: what is read is deleted.
        cluster: the ECS cluster whose events count.
    """

    account: Account
    url: str
    cluster: str
    inbox: SimpleQueue[object]
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._read()
            except DriverError as error:
                if not self._over.is_set():
                    self.inbox.put(Blind(str(error)))
                self._over.wait(_AGAIN_S)
            except Exception as error:
                self.inbox.put(error)
                return

    def _read(self) -> None:
        answer = self.account.call(
            "sqs",
            "ReceiveMessage",
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=_WAIT_S,
        )
        messages = answer.get("Messages", ())
        for each in messages:
            if (word := self.word(each["Body"])) is not None:
                self.inbox.put(word)
        if messages and not self._over.is_set():
            entries = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in enumerate(messages)
            ]
            self.account.call("sqs", "DeleteMessageBatch", QueueUrl=self.url, Entries=entries)

    def word(self, body: str) -> TaskEvent | InstanceEvent | None:
        """What a message says that concerns the run; None: nothing, or it makes no sense."""
        event: Any = None
        with suppress(ValueError):
            event = json.loads(body)
        detail = event.get("detail") if isinstance(event, dict) else None
        if not isinstance(detail, dict):
            return None
        kind = event.get("detail-type")
        if event.get("source") == "aws.ec2":  # a spot interruption, a change of state
            return InstanceEvent()
        if str(detail.get("clusterArn", "")).rsplit("/", 1)[-1] != self.cluster:
            return None
        if kind == "ECS Task State Change" and {"taskArn", "lastStatus"} <= detail.keys():
            return TaskEvent(detail)
        return InstanceEvent() if kind == "ECS Container Instance State Change" else None
