"""What the journal says of instances and tasks: the state of a real driver that outlives it.

It takes the same events and commands whether they happen now or are read from a journal. So a
driver that is started again knows what was asked of it and what it reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.launches import Launches


@dataclass(slots=True)
class TaskEntry:
    """A task that was to be started and was not reported STOPPED yet.

    `stop`: why it is to be stopped, once its target has drained until `drains_until_ms`.
    `running_ms`: since when it is RUNNING, in the run's time.
    """

    number: int
    instance: int
    definition: str
    request: int | None
    cpu: int | None
    memory: int | None
    overrides: tuple[m.ContainerOverride, ...] = ()
    stop: tuple[StopCode, str] | None = None
    drains_until_ms: int = 0
    running_ms: int | None = None


@dataclass(slots=True)
class InstanceEntry:
    """A registration. An instance that comes back after it was given up is a new one."""

    name: str
    gone: bool = False
    connected: bool = True


@dataclass
class Book:
    """Live tasks by number, in the order in which they were started; instances by number."""

    tasks: dict[int, TaskEntry] = field(default_factory=dict)
    instances: list[InstanceEntry] = field(default_factory=list)
    definitions: Launches = field(default_factory=Launches)
    # Every task that was ever ordered: the same order again starts nothing, also after its end.
    _ordered: set[int] = field(default_factory=set)
    # Tasks that were reported STOPPED, and until when what they wrote is kept, once that is asked.
    _ended: set[int] = field(default_factory=set)
    _kept_until_ms: dict[int, int] = field(default_factory=dict)

    def event(self, event: m.Event, now_ms: int = 0) -> None:
        """Take in an event that the scheduler accepted, at this time of the run."""
        if isinstance(event, m.RegisterTaskDefinition):
            try:
                self.definitions.register(event.document)
            except PlacementError:
                return  # the scheduler rejects it just so
        elif isinstance(event, m.InstanceRegistered):
            assert event.instance == len(self.instances), "instances are numbered as they register"
            self.instances.append(InstanceEntry(event.ec2_instance_id))
        elif isinstance(event, m.AgentConnectionChanged):
            for number in event.instances:
                self.instances[number].connected = event.connected
        elif isinstance(event, m.InstancesGone):
            for number in event.instances:
                self.instances[number].gone = True
            for task in self.on(event.instances):
                del self.tasks[task.number]
        elif isinstance(event, m.TasksChanged):
            self._changed(event, now_ms)

    def _changed(self, event: m.TasksChanged, now_ms: int) -> None:
        for number in event.tasks:
            if event.status is TaskStatus.STOPPED:
                if self.tasks.pop(number, None) is not None:
                    self._ended.add(number)
            elif event.status is TaskStatus.RUNNING and number in self.tasks:
                self.tasks[number].running_ms = now_ms

    def command(self, command: m.Command) -> None:
        """Take in a command of the scheduler."""
        if isinstance(command, m.StartTasks):
            for task, instance in zip(command.tasks, command.instances, strict=True):
                if not self.instances[instance].gone and task not in self._ordered:
                    self._ordered.add(task)
                    self.tasks[task] = TaskEntry(
                        task,
                        instance,
                        command.task_definition,
                        command.request,
                        command.cpu,
                        command.memory,
                        command.overrides,
                    )
        elif isinstance(command, m.StopTasks):
            for task in command.tasks:
                if task in self.tasks and self.tasks[task].stop is None:
                    self.tasks[task].stop = (command.stop_code, command.reason)
                    self.tasks[task].drains_until_ms = command.not_before_ms or 0

    def keeps(self, task: int, now_ms: int, wait_ms: int) -> bool:
        """Whether what there is of a task stays: it lives, or ended and its logs may be read yet.

        Who drove the run when it ended knew when that was. After a crash its time begins anew.
        """
        if task in self.tasks:
            return True
        if task not in self._ended or not wait_ms:
            return False
        return now_ms < self._kept_until_ms.setdefault(task, now_ms + wait_ms)

    def on(self, instances: tuple[int, ...]) -> list[TaskEntry]:
        """The live tasks of some instances, in the order in which they were started."""
        return [task for task in self.tasks.values() if task.instance in instances]
