"""Tasks of an agent as containers on a Docker engine, by the driver that runs clusters on engines.

An agent's own journal says what it was told and what it reported, so that after a kill -9 it finds
its containers again and starts none twice. What it acknowledged is in there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.agentwire.frames import Document
from stowplan.placement.agentwire.payload import definition_document
from stowplan.placement.driver import DriverError
from stowplan.placement.errors import PlacementError
from stowplan.placement.journal import Header
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.agents.usage import Meter
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.journal import ClusterLock, DurableJournal

_ARN_TAG = "stowplan.task-arn"
_TURN_MS = 200


@dataclass(slots=True)
class _Task:
    arn: str
    number: int
    document: Document
    desired: str = "RUNNING"
    status: str = "PENDING"
    healthy: bool | None = None
    stop: Document | None = None


class EngineBody:
    """See `realdriver.agents.member.Body`.

    Args:
        table: with one engine, which is one instance.
        name: under which its containers are labelled, the same for all lives of this agent.
        folder: what it must not forget.
    """

    def __init__(self, table: EnginesTable, name: str, folder: Path) -> None:
        self._table = table.model_copy(update={"lost_after": 10 * 365 * 86_400_000})
        self._name, self._folder = name, folder
        self._lock = ClusterLock(folder / "lock")
        arn = folder / "arn"
        self.arn = arn.read_text() if arn.exists() else ""
        self._by_arn: dict[str, _Task] = {}
        self._by_number: dict[int, _Task] = {}
        self._orders: SimpleQueue[tuple[Sequence[Document], Future[None]]] = SimpleQueue()
        self._reports: deque[Document] = deque()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._ended = threading.Event()
        self._failed: BaseException | None = None
        acknowledged = folder / "acknowledged"
        known = acknowledged.read_text().split() if acknowledged.exists() else []
        self._acknowledged = set(known)
        self._keep = acknowledged.open("a")
        self._driver: DockerDriver | None = None
        self._meter = Meter(self._table, self._name)
        self._there, self._restored = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._live, name="engine", daemon=True)
        self._thread.start()

    # --- the body ---------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Wait until the engine is there, and all that is known of before is known again."""
        while not (self._there.is_set() and self._restored.is_set()):
            self._check()
            await asyncio.sleep(0.05)

    async def accept(self, tasks: Sequence[Document]) -> None:
        """See `Body`."""
        self._check()
        done: Future[None] = Future()
        self._orders.put((tasks, done))
        if self._driver is not None:
            self._driver.wake()
        await asyncio.wrap_future(done)

    async def registered(self, arn: str) -> None:
        """See `Body`."""
        part = self._folder / "arn.part"
        part.write_text(arn)
        part.rename(self._folder / "arn")
        self.arn = arn

    def tasks(self) -> Mapping[str, str]:
        """See `Body`."""
        return {a: t.desired for a, t in list(self._by_arn.items()) if t.status != "STOPPED"}

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
        if report["status"] == "STOPPED":
            self._keep.write(report["task"] + "\n")
            self._keep.flush()

    async def metrics(self) -> Sequence[Document]:
        """See `Body`."""
        running = [t for t in list(self._by_arn.values()) if t.status == "RUNNING"]
        asked = {t.arn: (t.number, _names(t.document)) for t in running}
        return await asyncio.to_thread(self._meter.metrics, asked)

    def health(self) -> Sequence[Document]:
        """See `Body`."""
        return [
            {
                "taskArn": task.arn,
                "containers": [
                    {
                        "containerName": each["name"],
                        "healthStatus": "HEALTHY" if task.healthy else "UNHEALTHY",
                    }
                    for each in task.document["containerDefinitions"]
                    if each.get("healthCheck")
                ],
            }
            for task in list(self._by_arn.values())
            if task.status == "RUNNING" and task.healthy is not None
        ]

    def close(self) -> None:
        """Let go of the engine; what runs there goes on."""
        self._ended.set()
        if self._driver is not None:
            self._driver.wake()
        self._thread.join(10)
        self._keep.close()
        self._lock.close()

    def _check(self) -> None:
        if self._failed is not None:
            raise DriverError(f"the engine's thread ended: {self._failed}")

    # --- the thread of the engine -----------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._run()
        except BaseException as error:  # whoever waits is told
            self._failed = error
            raise

    def _run(self) -> None:
        journal = DurableJournal(self._folder / "journal.sqlite")
        written = journal.read()
        rounds = [] if written is None else written[1]
        if written is None:
            journal.begin(Header(SchedulerConfig()))
        if not rounds:
            self._clear()
        driver = DockerDriver(machines(self._table, []), self._table, cluster=self._name,
                              run=self._name)  # fmt: skip
        for entry in rounds:
            self._take(entry, ago=True)
        driver.restore(rounds)
        self._driver = driver
        self._restored.set()
        try:
            while not self._ended.is_set():
                self._turn(driver, journal)
        finally:
            driver.close()
            journal.close()

    def _clear(self) -> None:
        """What an agent of this name left that has lost its memory: nobody knows it any more."""
        while not self._ended.is_set():
            try:
                leftovers(self._table, self._name, None).remove()
                return
            except DriverError:
                self._ended.wait(0.5)

    def _turn(self, driver: DockerDriver, journal: DurableJournal) -> None:
        events = list(driver.wait(driver.now_ms() + _TURN_MS) or ())
        commands: list[m.Command] = []
        heard: list[Future[None]] = []
        calls: list[m.Event] = []
        refused: list[Document] = []
        while True:
            try:
                tasks, done = self._orders.get_nowait()
            except Empty:
                break
            heard.append(done)
            for task in tasks:
                self._ordered(task, calls, commands, refused)
        if events or calls or commands:
            entry = m.Round(driver.now_ms(), (*calls, *events), tuple(commands))
            journal(entry)
            for call in calls:
                assert isinstance(call, m.RegisterTaskDefinition), "of calls it makes no other"
                driver.register(call)
            for report in [*self._take(entry), *refused]:
                self._say(report)
            for command in commands:
                driver.execute(command)
        elif refused:
            for report in refused:
                self._say(report)
        for done in heard:
            done.set_result(None)

    def _ordered(
        self,
        message: Document,
        calls: list[m.Event],
        commands: list[m.Command],
        refused: list[Document],
    ) -> None:
        """What an order makes: a definition and a start, a stop, or only a report."""
        arn, desired = message["arn"], message["desiredStatus"]
        task = self._by_arn.get(arn)
        if task is not None:
            if desired == "STOPPED" and task.desired == "RUNNING":
                why = (StopCode.USER_INITIATED, "Task stopped by user")
                commands.append(m.StopTasks((task.number,), *why))
                task.desired = "STOPPED"
            elif task.status == "STOPPED":
                refused.append({"task": arn, "status": "STOPPED", **(task.stop or {})})
            return
        if desired == "STOPPED" or arn in self._acknowledged:
            refused.append({"task": arn, "status": "STOPPED"})
            return
        try:
            document = definition_document(message, arn.rpartition("/")[2])
            document["tags"] = [{"key": _ARN_TAG, "value": arn}]
            parse_task_definition(document)
        except (PlacementError, KeyError, TypeError, ValueError) as error:
            refused.append({"task": arn, "status": "STOPPED", "reason": f"{error}"})
            return
        task = self._known(arn, document)
        calls.append(m.RegisterTaskDefinition(document))
        name = document["family"]
        commands.append(m.StartTasks(f"{name}:1", name, (task.number,), (0,)))

    def _known(self, arn: str, document: Document) -> _Task:
        task = _Task(arn, len(self._by_number), document)
        self._by_arn[arn] = self._by_number[task.number] = task
        return task

    def _take(self, entry: m.Round, *, ago: bool = False) -> list[Document]:
        """Live through a round, now or once more after a kill: what is to be reported of it."""
        reports = []
        for event in entry.events:
            if isinstance(event, m.RegisterTaskDefinition):
                (arn,) = (t["value"] for t in event.document["tags"] if t["key"] == _ARN_TAG)
                if arn not in self._by_arn:
                    self._known(arn, dict(event.document))
            elif isinstance(event, m.InstanceRegistered):
                self._there.set()
            elif isinstance(event, m.TasksHealthChanged):
                for number in event.tasks:
                    self._by_number[number].healthy = event.healthy
            elif isinstance(event, m.TasksChanged):
                reports += [self._changed(self._by_number[n], event, ago) for n in event.tasks]
        for command in entry.commands:
            if isinstance(command, m.StopTasks):
                for number in command.tasks:
                    self._by_number[number].desired = "STOPPED"
        return reports

    def _changed(self, task: _Task, event: m.TasksChanged, ago: bool) -> Document:
        task.status = str(event.status)
        report: Document = {"containers": [_container(each) for each in event.containers]}
        if event.status is TaskStatus.STOPPED:
            if event.stop_code is not StopCode.ESSENTIAL_CONTAINER_EXITED and event.reason:
                report["reason"] = event.reason
            if not ago:
                report["executionStoppedAt"] = time.time()
            task.stop = report
        return {"task": task.arn, "status": task.status, **report}

    def _say(self, report: Document) -> None:
        def put() -> None:
            self._reports.append(report)
            self._more.set()

        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(put)

    def again(self) -> None:
        """After a kill: report once more how every task is whose end was not acknowledged."""
        for task in list(self._by_arn.values()):
            if task.status == "STOPPED" and task.arn not in self._acknowledged:
                self._say({"task": task.arn, "status": "STOPPED", **(task.stop or {})})
            elif task.status == "RUNNING":
                self._say({"task": task.arn, "status": "RUNNING"})


def _names(document: Document) -> list[str]:
    return [each["name"] for each in document["containerDefinitions"]]


def _container(report: m.ContainerReport) -> Document:
    said: dict[str, Any] = {
        "containerName": report.name,
        "status": report.status,
        "exitCode": report.exit_code,
        "reason": report.reason,
        "runtimeId": report.runtime_id,
        "networkBindings": [
            {
                "bindIP": each.bind_ip,
                "containerPort": each.container_port,
                "hostPort": each.host_port,
                "protocol": each.protocol,
            }
            for each in report.bindings
        ],
    }
    return {name: value for name, value in said.items() if value not in (None, "", [])}
