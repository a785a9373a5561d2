"""An agent as its control plane sees it: it registers, gets tasks, and reports (ecs 9.3-9.5).

What it is told it acknowledges when its body has it for good; what it reports it repeats until that
is acknowledged. So neither side loses anything, whichever of them is killed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from stowplan.placement.agentwire.frames import Document, Frame, FrameError, read_frame, write_frame
from stowplan.placement.driver import DriverError
from stowplan.realdriver.agents.line import Line, Refused

_LOG = logging.getLogger(__name__)
VERSION = {"agentVersion": "1.105.1", "agentHash": "stowplan", "dockerVersion": "DockerVersion: 20"}
_BACKOFF_S, _BACKOFF_MOST_S, _FACTOR = 0.25, 120.0, 1.5  # of connecting (ecs 9.4)
_REPORT_S, _REPORT_MOST_S, _REPORT_FACTOR = 1.0, 30.0, 1.3  # of reports (ecs 9.3)
_NO = {
    "PerformUpdateMessage": "this agent is not updated by its control plane",
    "StageUpdateMessage": "this agent is not updated by its control plane",
    "AttachTaskNetworkInterfacesMessage": "this agent attaches no network interfaces",
    "AttachInstanceNetworkInterfacesMessage": "this agent attaches no network interfaces",
    "ConfirmAttachmentMessage": "this agent attaches nothing",
}


class Deregistered(DriverError):
    """The control plane does not know the instance any more."""


class Body(Protocol):
    """What an agent does with tasks. Tasks go by their ARNs."""

    arn: str  # of the container instance; "" until it has registered

    async def accept(self, tasks: Sequence[Document]) -> None:
        """Take up tasks of a payload, for good: after this they survive a kill. Repeated orders
        change nothing."""
        ...

    async def registered(self, arn: str) -> None:
        """The container instance has this ARN from now on."""
        ...

    def tasks(self) -> Mapping[str, str]:
        """The tasks that have not stopped, with their desiredStatus."""
        ...

    async def next_report(self) -> Document:
        """The next SubmitTaskStateChange, its cluster apart, in order."""
        ...

    async def reported(self, report: Document) -> None:
        """A report was acknowledged."""
        ...

    async def metrics(self) -> Sequence[Document]:
        """`taskMetrics` of the last interval."""
        ...

    def health(self) -> Sequence[Document]:
        """`tasks` of PublishHealth, with what has a health check."""
        ...


@dataclass
class Identity:
    """What an agent registers with."""

    cluster: str
    document: Document  # the instance identity document
    resources: Sequence[Document]
    attributes: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    signature: str = ""


def resources_of(cpu: int, memory: int, reserved: Sequence[int]) -> list[Document]:
    """`totalResources` of an instance."""

    def amount(name: str, value: int) -> Document:
        return {"name": name, "type": "INTEGER", "integerValue": value}

    def ports(name: str, values: Sequence[int]) -> Document:
        return {"name": name, "type": "STRINGSET", "stringSetValue": [str(v) for v in values]}

    tcp = ports("PORTS", reserved)
    return [amount("CPU", cpu), amount("MEMORY", memory), tcp, ports("PORTS_UDP", ())]


class Member:
    """One agent. `run` goes on until it is cancelled.

    Args:
        telemetry_s: how often it publishes metrics and health.
        silence_s: after so long without a message it connects anew.
    """

    def __init__(
        self,
        line: Line,
        identity: Identity,
        body: Body,
        *,
        telemetry_s: float = 20.0,
        silence_s: float = 90.0,
        rng: random.Random | None = None,
    ) -> None:
        self._line, self._identity, self._body = line, identity, body
        self._telemetry_s, self._silence_s = telemetry_s, silence_s
        self._rng = rng or random.Random()
        self.connected = asyncio.Event()
        self.sessions = self.heartbeats = 0
        self.credentials: dict[str, Document] = {}  # by their id

    async def run(self) -> None:
        """Live.

        Raises:
            Refused: it may not register.
            Deregistered: it was deregistered.
        """
        await self._register()
        reporting = asyncio.create_task(self._report())
        try:
            await self._stay()
        finally:
            reporting.cancel()

    async def _register(self) -> None:
        """Register, or register again; the control plane may not be there yet."""
        me = self._identity
        params: Document = {
            "cluster": me.cluster,
            "instanceIdentityDocument": msgspec.json.encode(me.document).decode(),
            "instanceIdentityDocumentSignature": me.signature,
            "totalResources": list(me.resources),
            "versionInfo": VERSION,
            "attributes": [
                {"name": name, "value": value} if value else {"name": name}
                for name, value in me.attributes.items()
            ],
        }
        if me.token:
            params["clientToken"] = me.token
        if self._body.arn:
            params["containerInstanceArn"] = self._body.arn

        async def register() -> str:
            answer = await self._line.call("RegisterContainerInstance", params)
            return str(answer["containerInstance"]["containerInstanceArn"])

        arn = await self._until_taken(register, _BACKOFF_S, _FACTOR, 3.0)
        if arn != self._body.arn:
            await self._body.registered(arn)

    async def _until_taken(
        self, make: Callable[[], Awaitable[Any]], first_s: float, factor: float, most_s: float
    ) -> Any:
        wait_s = first_s
        while True:
            try:
                return await make()
            except Refused as error:
                if not error.again:
                    raise
                _LOG.info("%s", error)
            await asyncio.sleep(wait_s * self._rng.uniform(1.0, 1.2))
            wait_s = min(most_s, wait_s * factor)

    # --- reports ----------------------------------------------------------------------------------

    async def _report(self) -> None:
        cluster = self._identity.cluster
        while True:
            report = await self._body.next_report()

            async def submit(report: Document = report) -> None:
                await self._line.call("SubmitTaskStateChange", {"cluster": cluster, **report})

            try:
                await self._until_taken(submit, _REPORT_S, _REPORT_FACTOR, _REPORT_MOST_S)
            except Refused as error:  # it would be refused again
                _LOG.warning("a report is not taken: %s", error)
            await self._body.reported(report)

    # --- ACS --------------------------------------------------------------------------------------

    async def _stay(self) -> None:
        wait_s = _BACKOFF_S
        while True:
            try:
                await self._session()
                wait_s = _BACKOFF_S
            except (Refused, OSError, WebSocketException, TimeoutError, FrameError) as error:
                _LOG.info("%s: %s", type(error).__name__, error)
            self.connected.clear()
            await asyncio.sleep(wait_s * self._rng.uniform(1.0, 1.2))
            wait_s = min(_BACKOFF_MOST_S, wait_s * _FACTOR)

    async def _session(self) -> None:
        arn, cluster = self._body.arn, self._identity.cluster
        asked = {"containerInstance": arn, "cluster": cluster}
        ends = await self._line.call("DiscoverPollEndpoint", asked)
        query = {
            **VERSION,
            "clusterArn": cluster,
            "containerInstanceArn": arn,
            "protocolVersion": "2",
            "sendCredentials": "true",
            "seqNum": "1",
        }
        async with await self._line.open(ends["endpoint"], query) as socket:
            self.sessions += 1
            self.connected.set()
            telling = asyncio.create_task(self._telemetry(ends["telemetryEndpoint"]))
            try:
                while True:
                    async with asyncio.timeout(self._silence_s):
                        text = await socket.recv()
                    await self._hear(socket, read_frame(text))
            finally:
                telling.cancel()
                with suppress(asyncio.CancelledError):
                    await telling

    async def _hear(self, socket: ClientConnection, frame: Frame) -> None:
        message = frame.message.get("messageId", "")
        match frame.type:
            case "HeartbeatMessage":
                self.heartbeats += 1
                await socket.send(write_frame("HeartbeatAckRequest", {"messageId": message}))
            case "PayloadMessage":
                await self._take(socket, frame.message)
            case "TaskManifestMessage":
                await socket.send(self._about("AckRequest", message))
                await self._compare(socket, frame.message)
            case "TaskStopVerificationAck":
                stop = frame.message.get("stopTasks") or ()
                await self._body.accept(
                    [{"arn": each["taskArn"], "desiredStatus": "STOPPED"} for each in stop]
                )
            case "IAMRoleCredentialsMessage":
                given = frame.message["roleCredentials"]
                self.credentials[given["credentialsId"]] = given
                ack = {"messageId": message} | {
                    name: given[name] for name in ("credentialsId", "expiration")
                }
                await socket.send(write_frame("IAMRoleCredentialsAckRequest", ack))
            case "InactiveInstanceException" | "InvalidInstanceException":
                raise Deregistered(f"{frame.type}: {frame.message.get('message', '')}")
            case other if other in _NO:
                await socket.send(self._about("NackRequest", message, reason=_NO[other]))

    async def _take(self, socket: ClientConnection, payload: Document) -> None:
        message, tasks = payload.get("messageId", ""), payload.get("tasks") or ()
        for task in tasks:
            for name in ("roleCredentials", "executionRoleCredentials"):
                if name in task:
                    self.credentials[task[name]["credentialsId"]] = task[name]
        await self._body.accept(tasks)
        await socket.send(self._about("AckRequest", message))

    async def _compare(self, socket: ClientConnection, manifest: Document) -> None:
        """Tasks of ours that the control plane does not have: ask whether they are to stop."""
        there = {each["taskArn"] for each in manifest.get("tasks") or ()}
        strange = [
            {"taskArn": arn, "taskClusterArn": manifest.get("clusterArn", "")}
            for arn, desired in self._body.tasks().items()
            if desired == "RUNNING" and arn not in there
        ]
        if strange:
            question = {"messageId": manifest.get("messageId", ""), "stopCandidates": strange}
            await socket.send(write_frame("TaskStopVerificationMessage", question))

    def _about(self, type: str, message: str, **more: str) -> str:
        about = {"cluster": self._identity.cluster, "containerInstance": self._body.arn}
        return write_frame(type, {**about, "messageId": message, **more})

    # --- TCS --------------------------------------------------------------------------------------

    async def _telemetry(self, endpoint: str) -> None:
        """Publish metrics and health; it may fail as it likes, and is begun anew with a session."""
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._publish(endpoint)
            await asyncio.sleep(self._telemetry_s * self._rng.uniform(0.5, 1.0))

    async def _publish(self, endpoint: str) -> None:
        arn, cluster = self._body.arn, self._identity.cluster
        query = {**VERSION, "containerInstance": arn, "cluster": cluster}
        about: Document = {"cluster": cluster, "containerInstance": arn}
        async with await self._line.open(endpoint, query) as socket:
            await asyncio.sleep(self._telemetry_s * self._rng.random())
            while True:
                metrics, health = await self._body.metrics(), self._body.health()
                told = {**about, "idle": not metrics, "fin": True}
                publish: Document = {"metadata": told, "taskMetrics": list(metrics)}
                await socket.send(write_frame("PublishMetricsRequest", publish))
                if health:
                    publish = {"metadata": {**about, "fin": True}, "tasks": list(health)}
                    await socket.send(write_frame("PublishHealthRequest", publish))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._telemetry_s):
                        while True:  # acknowledgements and heartbeats, which say nothing
                            await socket.recv()
