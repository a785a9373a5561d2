"""Pure checks over the rounds of a journal, simulated or real: what must hold, whoever decided.

Each checker is shown every message before the history takes it in, and every round at its end. One
that crashes has proved nothing: it reports `unknown` and is asked no more. To add one: a class with
`__call__` (and `sees`, the types of what it is shown), and a line in `CHECKERS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from stowplan.placement import messages as m
from stowplan.placement.audit.balancer_rules import targets_drain_before_a_stop
from stowplan.placement.audit.call_rules import (
    NothingIsEndedInUse,
    attributes_keep_their_limits,
    definitions_end_in_order,
    inactive_definitions_are_not_named,
    tags_are_ones_own,
    what_was_deleted_starts_nothing,
)
from stowplan.placement.audit.capacity_rules import (
    money_adds_up,
    protected_instances_stay,
    scaling_follows_the_metric,
    the_metric_is_true,
)
from stowplan.placement.audit.capacity_sizes import sizes_follow_the_metric
from stowplan.placement.audit.constraint_rules import Stated, nothing_stated
from stowplan.placement.audit.dead_rules import the_dead_do_not_act
from stowplan.placement.audit.history import History
from stowplan.placement.audit.host_rules import barred, clashing, short, unmet
from stowplan.placement.audit.hosts import Host, Life, Needs, Port
from stowplan.placement.audit.room import RoomIsUsed
from stowplan.placement.audit.seen import Seen, sees
from stowplan.placement.audit.service_rules import (
    balances_only_what_is_uneven,
    keep_the_healthy_floor,
    protected_tasks_stay,
    services_keep_their_count,
)
from stowplan.placement.messages import Round
from stowplan.placement.model import CPU, MEMORY, TaskStatus


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule was broken (or, if `verdict` is unknown, could not be checked) in a round."""

    checker: str
    round: int
    now_ms: int
    what: str
    verdict: Literal["broken", "unknown"] = "broken"

    def __str__(self) -> str:
        return (
            f"{self.checker} {self.verdict} in round {self.round} at {self.now_ms} ms: {self.what}"
        )


class Checker(Protocol):
    """A rule, with whatever it must remember."""

    def __call__(self, history: History, seen: Seen) -> Iterable[str]:
        """What is wrong with a message, given all before it; or with a round that has ended."""
        ...


def check_rounds(
    rounds: Iterable[Round],
    checkers: Mapping[str, Callable[[], Checker]] | None = None,
    stated: Stated = nothing_stated,
) -> list[Violation]:
    """Everything that is wrong with a journal's rounds, in order; empty where nothing is.

    Args:
        checkers: name -> factory; None: all of `CHECKERS`.
        stated: what constraints ask for whose types the audit does not know.
    """
    watch = Watch(checkers, stated)
    for entry in rounds:
        watch(entry)
    return watch.violations


class Watch:
    """The checkers at work, each behind a wall: what one does cannot touch another.

    Call it with each round, in order; `violations` are those so far. Args: as for `check_rounds`.
    """

    def __init__(
        self,
        checkers: Mapping[str, Callable[[], Checker]] | None = None,
        stated: Stated = nothing_stated,
    ) -> None:
        self.violations: list[Violation] = []
        self.rounds = 0
        self._history = History(stated)
        made = CHECKERS if checkers is None else checkers
        self._checkers = {name: make() for name, make in made.items()}
        self._by_kind: dict[type, list[tuple[str, Checker]]] = {}
        self._at = (0, 0)

    @property
    def not_judged(self) -> Mapping[str, bool]:
        """The types of constraints so far that cannot be judged, or not in all that they ask.

        Each with whether anything is known of it.
        """
        return self._history.not_judged

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        self._at = (self.rounds, entry.now_ms)
        self.rounds += 1
        self._history.begin(entry.now_ms)
        for message in (*entry.accepted(), *entry.commands):
            self._show(message)
            try:
                self._history.take(message)
            except Exception as error:
                # Without a history nobody can say anything of what follows.
                for name in list(self._checkers):
                    self._give_up(name, error)
        self._show(entry)

    def _show(self, seen: Seen) -> None:
        kind = type(seen)
        if kind not in self._by_kind:
            self._by_kind[kind] = [
                (name, checker)
                for name, checker in self._checkers.items()
                if kind in getattr(checker, "sees", (kind,))
            ]
        for name, checker in self._by_kind[kind]:
            try:
                for what in checker(self._history, seen):
                    self.violations.append(Violation(name, *self._at, what))
            except Exception as error:
                self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        del self._checkers[name]
        self._by_kind = {}  # what is under way goes on with the list it has
        what = f"{type(error).__name__}: {error}"
        self.violations.append(Violation(name, *self._at, what, "unknown"))


# --- rules for placing a task ------------------------------------------------------------------


class _Placing:
    """Asks `rule` about every task that is started, given those that were started before it."""

    sees = (m.StartTasks,)

    def __init__(self, rule: Callable[[Needs, Host], Iterable[str]]) -> None:
        self._rule = rule

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if not isinstance(seen, m.StartTasks):
            return
        needs = history.needs_of_start(seen)
        # A command starts several: what its first take must be seen by the rule for the next. The
        # history has not taken it in yet, so what is booked here is given back.
        booked: list[Host] = []
        several = {number for number, tasks in Counter(seen.instances).items() if tasks > 1}
        try:
            for task, number in zip(seen.tasks, seen.instances, strict=True):
                host = history.hosts.get(number)
                if host is None:
                    continue
                for what in self._rule(needs, host):
                    yield f"task {task} started on instance {number}, which {what}"
                if number in several:
                    host.book(needs, 1)
                    booked.append(host)
        finally:
            for host in booked:
                host.book(needs, -1)


@sees(m.StartTasks, m.InstanceRegistered)
def _known_hosts(history: History, seen: Seen) -> Iterator[str]:
    """Tasks start on registered instances only, and instances are numbered without gaps."""
    if isinstance(seen, m.StartTasks):
        for task, number in zip(seen.tasks, seen.instances, strict=True):
            if number not in history.hosts:
                yield f"task {task} started on instance {number}, which never registered"
    elif isinstance(seen, m.InstanceRegistered) and seen.instance > len(history.hosts):
        yield f"instance {seen.instance} registered, {len(history.hosts)} is the next number"


@sees(m.StartTasks)
def _devices(history: History, seen: Seen) -> Iterator[str]:
    """Each task is given different devices, of those that its instance registered.

    How much of a device it takes no message says, so that cannot be checked.
    """
    if not isinstance(seen, m.StartTasks) or not seen.devices:
        return
    for task, number, given in zip(seen.tasks, seen.instances, seen.devices, strict=True):
        have = len(history.hosts[number].said.devices) if number in history.hosts else 0
        if len(set(given)) < len(given) or not all(0 <= device < have for device in given):
            yield f"task {task} was given devices {given} of the {have} of instance {number}"


# --- rules for the lives of tasks --------------------------------------------------------------


@sees(m.StartTasks, m.TasksProvisioning)
def _task_numbers(history: History, seen: Seen) -> Iterator[str]:
    """New tasks are numbered in order and without gaps; one that is known is not new again."""
    if not isinstance(seen, m.StartTasks | m.TasksProvisioning):
        return
    following = len(history.tasks)
    for task in seen.tasks:
        if task == following:
            following += 1
        elif task > following or task < 0:
            yield f"task {task} appears, {following} is the next number"


# What the life of a task may be when a message names it; None: nobody has heard of it.
_LIVES: Mapping[type, tuple[Life | None, ...]] = {
    m.StartTasks: (None, Life.WAITING),
    m.TasksProvisioning: (None,),
    m.StopTasks: (Life.PLACED,),
    m.TasksStopped: (Life.WAITING,),
    m.TasksChanged: (Life.PLACED, Life.STOPPING, Life.STOPPED),
}


@sees(*_LIVES)
def _lives_go_forward(history: History, seen: Seen) -> Iterator[str]:
    """Waiting, placed, stopping, stopped: no task goes back, none is started or stopped twice.

    A report may be late, but not of a task that was never started.
    """
    if not isinstance(
        seen, m.StartTasks | m.TasksProvisioning | m.StopTasks | m.TasksStopped | m.TasksChanged
    ):
        return
    # A stop is decided on among the events of its round, maybe before the one that ended the task.
    ended = history.ended if isinstance(seen, m.StopTasks | m.TasksStopped) else ()
    for task, times in Counter(seen.tasks).items():
        facts = history.tasks.get(task)
        life = facts.life if facts else None
        if life not in _LIVES[type(seen)] and task not in ended:
            yield f"{type(seen).__name__} names task {task}: {life.name if life else 'unknown'}"
        if times > 1 and not isinstance(seen, m.TasksChanged):
            yield f"{type(seen).__name__} names task {task} {times} times"


class _RequestsAnswered:
    """In every round, what was asked for = started + left waiting + failed, for each request."""

    sees = (m.RunTask, m.StartTask, m.StartTasks, m.TasksProvisioning, m.RunTaskFailed, Round)

    def __init__(self) -> None:
        self._asked: Counter[int] = Counter()
        self._answered: Counter[int] = Counter()

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if isinstance(seen, m.RunTask):
            self._asked[seen.request] += max(0, seen.count)
        elif isinstance(seen, m.StartTask):
            self._asked[seen.request] += len(seen.instances)
        elif isinstance(seen, m.StartTasks) and seen.request is not None:
            # Those that waited were answered when they began to wait.
            new = sum(task not in history.tasks for task in seen.tasks)
            self._answered[seen.request] += new
        elif isinstance(seen, m.TasksProvisioning) and seen.request is not None:
            self._answered[seen.request] += len(seen.tasks)
        elif isinstance(seen, m.RunTaskFailed):
            self._answered[seen.request] += seen.count
        elif isinstance(seen, Round) and (self._asked or self._answered):
            for request in self._asked.keys() | self._answered.keys():
                asked, answered = self._asked[request], self._answered[request]
                if asked != answered:
                    yield f"request {request} asked for {asked} tasks, {answered} were answered for"
            self._asked, self._answered = Counter(), Counter()


class _ReallyFits:
    """What runs, and what has not yet been reported stopped, fits on its instance together.

    Not what the scheduler counts, which frees a task when it begins to stop, but what the agents
    hold: a new task is not RUNNING before those whose room it takes are gone (ecs-semantics 2.4).
    The agents account for CPU and memory, and for host ports.
    """

    sees = (m.InstancesGone, m.TasksChanged, Round)

    def __init__(self) -> None:
        self._where: dict[int, tuple[int, Needs]] = {}
        self._on: dict[int, set[int]] = {}
        self._used: dict[int, dict[str, int]] = {}
        self._ports: dict[int, Counter[Port]] = {}
        self._grown: set[int] = set()

    def __call__(self, history: History, seen: Seen) -> Iterator[str]:
        if isinstance(seen, m.InstancesGone):
            for number in seen.instances:
                for task in list(self._on.get(number, ())):
                    self._book(task, -1)
        elif isinstance(seen, m.TasksChanged) and seen.status is TaskStatus.RUNNING:
            for task in seen.tasks:
                facts = history.tasks.get(task)
                if facts is None or facts.host is None or facts.life is Life.STOPPED:
                    continue
                if task in self._where:
                    self._book(task, -1)
                self._where[task] = facts.host, facts.needs
                self._book(task, 1)
                self._grown.add(facts.host)
        elif isinstance(seen, m.TasksChanged) and seen.status is TaskStatus.STOPPED:
            for task in seen.tasks:
                if task in self._where:
                    self._book(task, -1)
        elif isinstance(seen, Round):
            for number in sorted(self._grown & history.hosts.keys()):
                yield from self._over(number, history.hosts[number])
            self._grown = set()

    def _book(self, task: int, sign: int) -> None:
        """A task is there (1), or no longer (-1)."""
        number, needs = self._where[task]
        used = self._used.get(number)
        if used is None:
            used = self._used[number] = {CPU: 0, MEMORY: 0}
        for name, amount in needs.amounts:
            if name in used:
                used[name] += sign * amount
        if needs.ports:
            ports = self._ports.setdefault(number, Counter())
            for port in needs.ports:
                ports[port] += sign
        if sign > 0:
            self._on.setdefault(number, set()).add(task)
        else:
            self._on[number].discard(task)
            del self._where[task]

    def _over(self, number: int, host: Host) -> Iterator[str]:
        for name in (CPU, MEMORY):
            used = self._used[number][name]
            if used > host.offers(name):
                yield f"instance {number} really holds {used} {name} of {host.offers(name)}"
        for (protocol, port), tasks in self._ports.get(number, {}).items():
            if tasks > 1:
                yield f"instance {number} has {tasks} tasks on {protocol} port {port}"


CHECKERS: Mapping[str, Callable[[], Checker]] = {
    "registered hosts": lambda: _known_hosts,
    "eligible hosts": lambda: _Placing(barred),
    "resources": lambda: _Placing(short),
    "host ports": lambda: _Placing(clashing),
    "constraints": lambda: _Placing(unmet),
    "devices": lambda: _devices,
    "really fits": _ReallyFits,
    "task numbers": lambda: _task_numbers,
    "task lives": lambda: _lives_go_forward,
    "requests": _RequestsAnswered,
    "service counts": lambda: services_keep_their_count,
    "healthy floor": lambda: keep_the_healthy_floor,
    "zone balance": lambda: balances_only_what_is_uneven,
    "protected tasks": lambda: protected_tasks_stay,
    "load balancers": lambda: targets_drain_before_a_stop,
    "dead instances": lambda: the_dead_do_not_act,
    "room": RoomIsUsed,
    "money adds up": lambda: money_adds_up,
    "capacity metric": lambda: the_metric_is_true,
    "managed scaling": lambda: scaling_follows_the_metric,
    "group sizes": lambda: sizes_follow_the_metric,
    "termination protection": lambda: protected_instances_stay,
    "endings": NothingIsEndedInUse,
    "the deleted": lambda: what_was_deleted_starts_nothing,
    "inactive definitions": lambda: inactive_definitions_are_not_named,
    "attributes": lambda: attributes_keep_their_limits,
    "ended definitions": lambda: definitions_end_in_order,
    "tags": lambda: tags_are_ones_own,
}
