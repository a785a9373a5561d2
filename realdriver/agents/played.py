"""Agents without containers: tasks that only take their time. For tests, and for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement.agentwire.frames import Document


@dataclass
class PlayedTask:
    """A task as its agent knows it. `lasts_s`: None until it is stopped."""

    message: Document
    desired: str = "RUNNING"
    status: str = "PENDING"
    starts: int = 0


@dataclass
class Behaviour:
    """What becomes of tasks, in seconds."""

    start_s: float = 0.05
    stop_s: float = 0.05
    lasts_s: float | None = None
    exit_code: int = 0
    reason: str = ""  # why it does not start; "": it does


@dataclass(eq=False)
class PlayedBody:
    """See `realdriver.agents.member.Body`. It is the memory of an agent: a `Member` may be killed
    and another made with the same body, as an agent finds its state again.

    Args:
        behaviour: of a task, by its message.
    """

    behaviour: Callable[[Document], Behaviour] = field(default=lambda message: Behaviour())
    arn: str = ""
    known: dict[str, PlayedTask] = field(default_factory=dict)
    accepted: list[tuple[str, str]] = field(default_factory=list)  # every order, also repeated
    _reports: list[Document] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _lives: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, tasks: Sequence[Document]) -> None:
        """See `Body`."""
        for message in tasks:
            arn, desired = message["arn"], message["desiredStatus"]
            self.accepted.append((arn, desired))
            task = self.known.get(arn)
            if task is None and desired == "RUNNING":
                task = self.known[arn] = PlayedTask(message)
                self._live(self._start(arn, task))
            elif task is None:
                self._say({"task": arn, "status": "STOPPED"})
            elif desired == "STOPPED" and task.desired == "RUNNING":
                task.desired = desired
                self._live(self._stop(arn, task))

    async def registered(self, arn: str) -> None:
        """See `Body`."""
        self.arn = arn

    def tasks(self) -> Mapping[str, str]:
        """See `Body`."""
        return {a: each.desired for a, each in self.known.items() if each.status != "STOPPED"}

    async def next_report(self) -> Document:
        """See `Body`."""
        while not self._reports:
            self._more.clear()
            await self._more.wait()
        return self._reports[0]

    async def reported(self, report: Document) -> None:
        """See `Body`."""
        with suppress(ValueError):
            self._reports.remove(report)

    async def metrics(self) -> Sequence[Document]:
        """Ten per cent of the instance's CPU, and 64 MiB, for each task that runs."""
        return [
            {
                "taskArn": arn,
                "containerMetrics": [
                    {
                        "containerName": task.message["containers"][0]["name"],
                        "cpuStatsSet": {"min": 10, "max": 10, "sampleCount": 2, "sum": 20},
                        "memoryStatsSet": {"min": 64, "max": 64, "sampleCount": 2, "sum": 128},
                    }
                ],
            }
            for arn, task in self.known.items()
            if task.status == "RUNNING"
        ]

    def health(self) -> Sequence[Document]:
        """All that has a health check is healthy."""
        found = []
        for arn, task in self.known.items():
            checked = [c for c in task.message["containers"] if c.get("healthCheckType")]
            if checked and task.status == "RUNNING":
                said = [{"containerName": c["name"], "healthStatus": "HEALTHY"} for c in checked]
                found.append({"taskArn": arn, "containers": said})
        return found

    def pull_the_plug(self) -> None:
        """Nothing goes on; what is known stays as it is."""
        for life in self._lives:
            life.cancel()

    # --- inside -----------------------------------------------------------------------------------

    def _live(self, life: Any) -> None:
        task = asyncio.get_running_loop().create_task(life)
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

    def _say(self, report: Document) -> None:
        self._reports.append(report)
        self._more.set()

    async def _start(self, arn: str, task: PlayedTask) -> None:
        plan = self.behaviour(task.message)
        task.starts += 1
        await asyncio.sleep(plan.start_s)
        if plan.reason:
            self._over(arn, task, None, plan.reason)
            return
        if task.desired == "STOPPED":
            return
        task.status = "RUNNING"
        self._say({"task": arn, "status": "RUNNING", "containers": self._containers(task, None)})
        if plan.lasts_s is not None:
            await asyncio.sleep(plan.lasts_s)
            self._over(arn, task, plan.exit_code)

    async def _stop(self, arn: str, task: PlayedTask) -> None:
        await asyncio.sleep(self.behaviour(task.message).stop_s)
        self._over(arn, task, 143 if task.status == "RUNNING" else None)

    def _over(self, arn: str, task: PlayedTask, code: int | None, reason: str = "") -> None:
        if task.status == "STOPPED":
            return
        task.status = "STOPPED"
        report: Document = {"task": arn, "status": "STOPPED"}
        if reason:
            report["reason"] = reason
        self._say({**report, "containers": self._containers(task, code)})

    def _containers(self, task: PlayedTask, code: int | None) -> list[Document]:
        found = []
        for each in task.message["containers"]:
            said: Document = {"containerName": each["name"], "status": task.status}
            if code is not None:
                said["exitCode"] = code
            said["networkBindings"] = [
                {**port, "bindIP": "0.0.0.0", "hostPort": port.get("hostPort") or 32768}
                for port in each.get("portMappings", ())
                if "containerPort" in port
            ]
            found.append(said)
        return found
