"""The tasks of a run at a control plane: started once, stopped, and told of as they change.

The truth is what the control plane says. A task is known by its `startedBy` and its instance, so it
is taken up after a crash. What a StartTask whose answer was lost made is found by a look; only one
that begins after all that was done must have come to be seen says that nothing was made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.driver import DriverError, InsufficientCapacity, Throttled
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.aws.errors import Unanswered
from stowplan.realdriver.book import Book, TaskEntry
from stowplan.realdriver.ec2.control import Control, Document
from stowplan.realdriver.ec2.orders import StartCall, start_calls
from stowplan.realdriver.ec2.reports import change, lost, refused
from stowplan.realdriver.ec2.tags import ecs_tags, first_of, started_by, task_tag

_AGAIN_S = 15.0  # after so long a stop is asked for again
_GONE = "it is not there any more, and nobody says how it ended"


@dataclass(frozen=True, slots=True)
class Started:
    """A StartTask was answered, at `at_s` (monotonic)."""

    call: StartCall
    instances: Mapping[str, int]  # ARN -> number
    answer: Document
    at_s: float


@dataclass(frozen=True, slots=True)
class NotStarted:
    """One was not carried out, or nobody knows (`unsure`); `why` in words. `again`: later it may
    be."""

    call: StartCall
    instances: Mapping[str, int]
    why: str
    at_s: float
    unsure: bool = False
    again: bool = False


class TaskBoard:
    """The tasks of one run.

    Args:
        arn_of: the ARN of a container instance by its number; None: it has none now.
        document_of: the task definition of a name in the run.
        settle_s: how long what was done may take to be seen.
    """

    def __init__(
        self,
        control: Control,
        book: Book,
        run: str,
        inbox: SimpleQueue[object],
        pool: ThreadPoolExecutor,
        arn_of: Callable[[int], str | None],
        document_of: Callable[[str], Mapping[str, Any]],
        settle_s: float,
    ) -> None:
        self._control, self._book, self._run = control, book, run
        self._inbox, self._pool, self._settle_s = inbox, pool, settle_s
        self._arn_of, self._document_of = arn_of, document_of
        self._calls: dict[int, StartCall] = {}
        self._call_of: dict[int, StartCall] = {}
        self._arns: dict[int, str] = {}
        self._versions: dict[str, int] = {}
        self._since_s: dict[int, float] = {}  # since when its ARN is known, or its fate unsure
        self._asked: set[int] = set()  # tasks of calls that go on
        self._stopping_s: dict[str, float] = {}
        self._ending: set[int] = set()  # tasks whose time is over
        self._due: set[int] = set()  # tasks to stop
        self._told: dict[int, TaskStatus] = {}
        self._ended: set[str] = set()  # ARNs that need no describing
        self._began_s = time.monotonic()
        self.events: list[m.Event] = []

    # --- orders -----------------------------------------------------------------------------------

    def note(self, order: m.StartTasks) -> None:
        """An order of the scheduler, now or of the journal: the calls that it is cut into."""
        for call in () if order.found else start_calls(order):
            if call.first not in self._calls:
                self._calls[call.first] = call
                for task in call.tasks.values():
                    self._call_of[task] = call

    def start(self, tasks: Iterable[int]) -> None:
        """Start those tasks of the book of which nothing was ever asked."""
        wanted: dict[int, list[int]] = {}
        for task in tasks:
            call = self._call_of.get(task)
            fresh = task in self._book.tasks and task not in self._told
            if call is not None and fresh and task not in self._arns and task not in self._asked:
                wanted.setdefault(call.first, []).append(task)
        for first, some in wanted.items():
            self._submit(self._calls[first], some)

    def _submit(self, call: StartCall, tasks: list[int]) -> None:
        instances = {}
        for task in tasks:
            arn = self._arn_of(self._book.tasks[task].instance)
            if arn is not None:
                instances[arn] = self._book.tasks[task].instance
                self._asked.add(task)
        if instances:
            self._pool.submit(self._start, call, instances)

    def _start(self, call: StartCall, instances: dict[str, int]) -> None:
        """In a worker: make the call, and say what came of it."""
        done = partial(NotStarted, call, instances)
        try:
            arn = self._control.define(call.definition, self._document_of(call.definition))
            numbers = {task_tag(arn): str(call.tasks[n]) for arn, n in instances.items()}
            by, marks = started_by(self._run, call.first), {**self._control.marks, **numbers}
            asked = call.request(arn, list(instances), by, ecs_tags(marks))
            answer = self._control.start(asked)
            self._inbox.put(Started(call, instances, answer, time.monotonic()))
        except Unanswered as error:
            self._inbox.put(done(str(error), time.monotonic(), unsure=True))
        except (Throttled, InsufficientCapacity) as error:
            self._inbox.put(done(str(error), time.monotonic(), again=True))
        except DriverError as error:
            self._inbox.put(done(str(error), time.monotonic()))
        except Exception as error:
            self._inbox.put(error)

    def stop(self, tasks: Iterable[int]) -> None:
        """Stop tasks whose time has come; one that is not known yet is stopped once it is."""
        now_s = time.monotonic()
        for task in tasks:
            self._due.add(task)
            arn = self._arns.get(task)
            if arn is None or self._told.get(task) is TaskStatus.STOPPED:
                continue
            if now_s - self._stopping_s.get(arn, -_AGAIN_S) >= _AGAIN_S:
                entry = self._book.tasks.get(task)
                reason = entry.stop[1] if entry is not None and entry.stop else "its time is over"
                self._stop(arn, reason)

    def _stop(self, arn: str, reason: str) -> None:
        self._stopping_s[arn] = time.monotonic()
        self._pool.submit(self._stopped, arn, reason)

    def _stopped(self, arn: str, reason: str) -> None:
        try:
            self._control.stop(arn, reason)
        except DriverError:
            return  # it is asked for again
        except Exception as error:
            self._inbox.put(error)

    def end(self, task: int) -> None:
        """A task's time is over: it ends as if by itself."""
        self._ending.add(task)
        self.stop((task,))

    # --- answers ----------------------------------------------------------------------------------

    def started(self, word: Started) -> None:
        """Take in what StartTask answered; a refusal is told as a task that did not start."""
        for document in word.answer.get("tasks", ()):
            self.see(document)
        failed = {each.get("arn", ""): each for each in word.answer.get("failures", ())}
        for arn, number in word.instances.items():
            task = word.call.tasks[number]
            self._asked.discard(task)
            if arn in failed:
                self._refused(task, str(failed[arn].get("reason", "")))
            elif task not in self._arns:
                self._since_s[task] = word.at_s

    def not_started(self, word: NotStarted) -> None:
        """Take in that it was not carried out; where nobody knows, a look decides."""
        for number in word.instances.values():
            task = word.call.tasks[number]
            self._asked.discard(task)
            if word.unsure:
                self._since_s[task] = word.at_s
            elif not word.again:
                self._refused(task, word.why)

    def _refused(self, task: int, reason: str) -> None:
        entry = self._book.tasks.get(task)
        if entry is not None and task not in self._arns and task not in self._told:
            self._tell(refused(entry, reason))

    # --- what the control plane shows -------------------------------------------------------------

    def number_of(self, document: Document) -> int | None:
        """The task's number in the run; None: it is not of this run."""
        first = first_of(str(document.get("startedBy", "")), self._run)
        call = None if first is None else self._calls.get(first)
        if call is None:
            return None
        arn = document.get("containerInstanceArn")
        for instance, task in call.tasks.items():
            if self._arns.get(task) == document["taskArn"] or self._arn_of(instance) == arn:
                return task
        return None

    def see(self, document: Document) -> None:
        """A task as it is described, or was when an event was sent: late, doubled, out of turn."""
        arn, version = document["taskArn"], int(document.get("version", 0))
        if version < self._versions.get(arn, 0):
            return
        self._versions[arn] = version
        task = self.number_of(document)
        if task is None:
            return
        over = document["lastStatus"] == "STOPPED"
        entry, ours = self._book.tasks.get(task), self._arns.get(task)
        if ours is None and (entry is not None or not over):
            ours = self._arns[task] = arn
            self._since_s[task] = time.monotonic()
        if over:
            self._ended.add(arn)
        if ours != arn or entry is None or self._told.get(task) is TaskStatus.STOPPED:
            # One that was given up, or that a lost answer made once more.
            if not over and arn not in self._stopping_s:
                self._stop(arn, "stowplan does not count on it any more")
            return
        self._compare(entry, document)

    def _compare(self, entry: TaskEntry, document: Document) -> None:
        """Tell what is new of a task that is counted on."""
        task = entry.number
        event = change(entry, document, self._told.get(task), ending=task in self._ending)
        if event is not None:
            self._tell(event)
        if task in self._due:
            self.stop((task,))

    def look(self, documents: Iterable[Document], begun_s: float) -> None:
        """Compare everything with all tasks that there are."""
        found = set()
        for document in documents:
            found.add(document["taskArn"])
            self.see(document)
        settled_s = begun_s - self._settle_s
        again = []
        for task, entry in list(self._book.tasks.items()):
            if task in self._asked or self._told.get(task) is TaskStatus.STOPPED:
                continue
            arn, since_s = self._arns.get(task), self._since_s.get(task, self._began_s)
            if since_s > settled_s or arn in found:
                continue
            if arn is not None or entry.running_ms is not None:
                self._tell(lost(entry, _GONE))
            elif entry.stop is not None:
                self._tell(lost(entry, entry.stop[1]))
            else:
                again.append(task)
        self.start(again)

    def forget(self, tasks: Iterable[int]) -> None:
        """Tasks whose instance is gone: nothing more is told of them."""
        for task in tasks:
            self._told[task] = TaskStatus.STOPPED

    @property
    def ended(self) -> frozenset[str]:
        """ARNs of tasks that need no describing any more."""
        return frozenset(self._ended)

    def _tell(self, event: m.TasksChanged) -> None:
        for task in event.tasks:
            self._told[task] = event.status
        self.events.append(event)
