"""What became of each task of a run, and what was there when it was placed; from journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from stowplan.experiments.record.journals import read_journal_file
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.messages import Round
from stowplan.placement.model import TaskStatus

# Who asked for a task, and which of its tasks it is: the same in two runs of one scenario.
Key = tuple[int | str, int]


@dataclass(slots=True)
class Life:
    """A task: its instance's name, ms of the run at which it was placed, ran and was stopped.

    `before` stands for what the cluster held when it was placed: the same in two runs where the
    same instances were there with the same tasks on each.
    """

    instance: str
    before: int
    placed_ms: int
    running_ms: int | None = None
    stopped_ms: int | None = None


@dataclass
class History:
    """Call it with each round, in order."""

    lives: dict[Key, Life] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _there: set[int] = field(default_factory=set)
    _keys: dict[int, Key] = field(default_factory=dict)
    _counts: Counter[int | str] = field(default_factory=Counter)
    _holds: set[int] = field(default_factory=set)
    _state: int = 0

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        for message in (*entry.accepted(), *entry.commands):
            if isinstance(message, m.InstanceRegistered):
                self._names[message.instance] = message.ec2_instance_id
                self._present(message.instance, True)
            elif isinstance(message, m.InstancesGone):
                for number in message.instances:
                    self._present(number, False)
            elif isinstance(message, m.StartTasks):
                self._place(message, entry.now_ms)
            elif isinstance(message, m.TasksChanged):
                self._change(message, entry.now_ms)
            elif isinstance(message, m.StopTasks | m.TasksStopped):
                self._free(message.tasks)

    @property
    def instances(self) -> set[str]:
        """The names of all that registered."""
        return set(self._names.values())

    @property
    def makespan_ms(self) -> int:
        """From the first task that was placed to the last that came to run or to stop."""
        ends = [life.stopped_ms or life.running_ms or 0 for life in self.lives.values()]
        return max(ends, default=0) - self._begin_ms

    @property
    def starts_ms(self) -> list[int]:
        """From placed to RUNNING, of all tasks that came to run, ascending."""
        lives = [(life.placed_ms, life.running_ms) for life in self.lives.values()]
        return sorted(ran_ms - placed_ms for placed_ms, ran_ms in lives if ran_ms is not None)

    def timeline(self) -> list[tuple[int, int]]:
        """(ms since the first task was placed, tasks RUNNING from then on)."""
        changes: Counter[int] = Counter()
        for life in self.lives.values():
            if life.running_ms is not None:
                changes[life.running_ms - self._begin_ms] += 1
                if life.stopped_ms is not None:
                    changes[life.stopped_ms - self._begin_ms] -= 1
        points, running = [(0, 0)], 0
        for at_ms, change in sorted(changes.items()):
            running += change
            points.append((at_ms, running))
        return points

    @property
    def _begin_ms(self) -> int:
        return min((life.placed_ms for life in self.lives.values()), default=0)

    def _present(self, instance: int, present: bool) -> None:
        """An instance is there, or is not; both may be said again."""
        if (instance in self._there) is not present:
            self._there ^= {instance}
            self._state ^= hash(self._names[instance])

    def _place(self, command: m.StartTasks, now_ms: int) -> None:
        owner = command.request if command.service is None else command.service
        assert owner is not None
        for task, number in zip(command.tasks, command.instances, strict=True):
            key = self._keys[task] = (owner, self._counts[owner])
            self._counts[owner] += 1
            self.lives[key] = Life(self._names[number], self._state, now_ms)
            self._holds.add(task)
            self._state ^= self._mark(task)

    def _change(self, event: m.TasksChanged, now_ms: int) -> None:
        lives = [self.lives[self._keys[task]] for task in event.tasks if task in self._keys]
        if event.status is TaskStatus.RUNNING:
            for life in lives:
                life.running_ms = now_ms if life.running_ms is None else life.running_ms
        elif event.status is TaskStatus.STOPPED:
            for life in lives:
                life.stopped_ms = now_ms if life.stopped_ms is None else life.stopped_ms
            self._free(event.tasks)

    def _free(self, tasks: Iterable[int]) -> None:
        """A task's share is free once it is to stop."""
        for task in tasks:
            if task in self._holds:
                self._holds.remove(task)
                self._state ^= self._mark(task)

    def _mark(self, task: int) -> int:
        key = self._keys[task]
        return hash((key, self.lives[key].instance))


def read_history(journal: Path) -> tuple[Header, History]:
    """The history in a journal: a simulation's (.jsonl.gz) or a real run's (.sqlite).

    Raises:
        SpecError: it cannot be read, or nothing was placed in it.
    """
    header, rounds = read_journal_file(journal)
    history = History()
    for entry in rounds:
        history(entry)
    if not history.starts_ms:
        raise SpecError([(str(journal), "no task came to run in it")])
    return header, history
