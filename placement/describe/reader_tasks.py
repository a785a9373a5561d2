"""What happens to tasks, and to the instances and services that count them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.describe.rollouts import told
from stowplan.placement.describe.state import (
    ContainerInstance,
    Deployment,
    Service,
    ServiceLine,
    State,
    StoppedForGood,
    Task,
    TokenUse,
    named,
)
from stowplan.placement.model import PORTS, InstanceStatus, StopCode, TaskDefinition, TaskStatus
from stowplan.placement.taskdef.parse import (
    TaskOverride,
    host_ports,
    parse_task_definition,
    task_resources,
)

PAST_MOST = 100  # deployments of a service; ECS keeps those of 90 days
EVENTS_MOST = 100  # of a service, as ECS keeps them
SAID_MOST = 20
_ORDER = {status: position for position, status in enumerate(TaskStatus)}
_STOPPED, _RUNNING = TaskStatus.STOPPED, TaskStatus.RUNNING


class TaskReader:
    """The part of `Reader` that is about tasks."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._asked: dict[int, m.RunTask | m.StartTask] = {}  # the calls of this round
        self.left_alone: list[int] = []  # tasks of instances that are gone, in this round
        self._touched: dict[str, None] = {}  # services of this round whose deployments may be over
        self._parsed: dict[str, TaskDefinition] = {}

    def begin(self, entry: m.Round) -> None:
        """A new round."""
        if self._asked:
            self._asked = {}

    def end(self) -> None:
        """The round is over: deployments that were replaced and have no tasks are gone.

        The scheduler tells of the tasks that were lost with an instance; of those that were to stop
        anyway nobody tells.
        """
        if self.left_alone:
            there = [self.state.tasks[number] for number in self.left_alone]
            to_stop = [task.number for task in there if task.desired_status is _STOPPED]
            self._stopped(to_stop, None, "")
            self.left_alone.clear()
        for name in self._touched:
            service = self.state.services.get(name)
            if service is None:
                continue
            first, *rest = service.deployments
            service.deployments = [first, *(d for d in rest if d.running or d.pending)]
            gone = [d for d in rest if not (d.running or d.pending)]
            service.past = [*gone, *service.past][:PAST_MOST]
            if service.status == "DRAINING" and not self._has_tasks(service):
                service.status, service.gone_ms = "INACTIVE", self.state.now_ms
                first.status = "INACTIVE"
                self.forget_later(self.state.services, name)
        self._touched.clear()

    def touch(self, service: str) -> None:
        """Look at a service when the round is over."""
        self._touched[service] = None

    def _has_tasks(self, service: Service) -> bool:
        return any(
            task.service == service.name and task.last_status is not _STOPPED
            for task in self.state.tasks.values()
        )

    def forget_later(self, table: dict[Any, Any], key: Any) -> None:
        """See `Reader`."""
        raise NotImplementedError

    def set_status(self, number: int, status: InstanceStatus) -> None:
        """See `Reader`."""
        raise NotImplementedError

    def asked(self, call: m.RunTask | m.StartTask) -> None:
        """A call for tasks; those that it gets come in the same round."""
        self._asked[call.request] = call
        if isinstance(call, m.RunTask) and call.client_token:
            tokens, now_ms = self.state.tokens, self.state.now_ms
            while tokens and (first := next(iter(tokens))) is not None:
                if tokens[first].at_ms + m.TOKEN_KEPT_MS > now_ms:
                    break
                del tokens[first]
            tokens[call.client_token] = TokenUse(call, now_ms)

    def _use(self, call: m.RunTask | m.StartTask | None) -> TokenUse | None:
        token = call.client_token if isinstance(call, m.RunTask) else ""
        return self.state.tokens.get(token) if token else None

    def say(self, text: str) -> None:
        """Keep a line for people."""
        said = self.state.said
        said.append(StoppedForGood(self.state.now_ms, text))
        if len(said) > SAID_MOST:
            del said[0]

    # --- they come --------------------------------------------------------------------------------

    def start(self, command: m.StartTasks) -> None:
        """Tasks were placed; PENDING now."""
        state = self.state
        for index, (number, row) in enumerate(zip(command.tasks, command.instances, strict=True)):
            task = state.tasks.get(number)
            if task is None:
                if number < state.tasks_ever:
                    continue  # an order that is repeated
                task = self._made(number, command, TaskStatus.PENDING)
            else:
                self._count(task, -1)
            task.last_status, task.instance = TaskStatus.PENDING, row
            task.deployment, task.overrides = command.deployment, command.overrides
            task.devices = command.devices[index] if command.devices else ()
            task.asked = task.waits_for = None
            task.version += 1
            instance = state.instances[row]
            instance.tasks[number] = None
            instance.version += 1
            self.book(instance, task, 1)
            self._count(task, 1)

    def provision(self, notice: m.TasksProvisioning) -> None:
        """Tasks exist and wait for capacity."""
        for number in notice.tasks:
            task = self._made(number, notice, TaskStatus.PROVISIONING)
            task.waits_for = notice.failure
            call = self._asked.get(-1 if notice.request is None else notice.request)
            task.asked = call if isinstance(call, m.RunTask) else None
            self._count(task, 1)

    def _made(
        self, number: int, of: m.StartTasks | m.TasksProvisioning, status: TaskStatus
    ) -> Task:
        state = self.state
        call = None if of.request is None else self._asked.get(of.request)
        service = None if of.service is None else state.services[of.service]
        if isinstance(of, m.StartTasks):
            name, group, cpu, memory = of.task_definition, of.group, of.cpu, of.memory
        elif service is not None:
            name, group = service.deployments[0].task_definition, f"service:{service.name}"
            cpu = memory = None
        else:
            assert call is not None, "tasks of a request come in the round of its call"
            definition = state.definition(call.task_definition)
            assert definition is not None, "a call for an unknown definition is rejected"
            name, group = definition.name, call.group or f"family:{definition.family}"
            cpu, memory = call.cpu, call.memory
        task = Task(number, name, group, status, state.now_ms, request=of.request)
        task.cpu, task.memory, task.capacity_provider = cpu, memory, of.capacity_provider
        if service is not None:
            task.service, task.deployment = service.name, service.deployments[0].id
            task.started_by = service.deployments[0].id
            service.tasks[number] = None
        elif call is not None:
            task.started_by, task.tags = call.started_by, dict(call.tags)
            if (use := self._use(call)) is not None:
                use.tasks.append(number)
            task.overrides = call.overrides
        resources = () if call is None else call.resources
        override = TaskOverride(cpu, memory, resources, task.overrides)
        task.amounts = task_resources(self._definition(name), override)
        task.amounts.pop(PORTS, None)
        task.tcp, task.udp = host_ports(self._definition(name))
        state.tasks[number] = task
        state.tasks_ever = max(state.tasks_ever, number + 1)
        return task

    def _definition(self, name: str) -> TaskDefinition:
        found = self._parsed.get(name)
        if found is None:
            record = self.state.definition(name)
            assert record is not None, f"{name} was registered"
            found = parse_task_definition(record.document, revision=record.revision)
            self._parsed[name] = found
        return found

    def book(self, instance: ContainerInstance, task: Task, sign: int) -> None:
        """A task takes what it needs of an instance (1), or gives it back (-1)."""
        if task.desired_status is _STOPPED:
            return
        left = instance.remaining
        for name, amount in task.amounts.items():
            left[name] = left.get(name, 0) - sign * amount
        for ports, mine in ((instance.tcp, task.tcp), (instance.udp, task.udp)):
            for port in mine:
                if sign > 0:
                    ports.append(port)
                elif port in ports:
                    ports.remove(port)

    # --- they change ------------------------------------------------------------------------------

    def changed(self, event: m.TasksChanged) -> None:
        """The agents report another lastStatus."""
        for number in event.tasks if event.containers else ():
            if number in self.state.tasks:
                self.state.tasks[number].hear(event.containers)
        if event.status is _STOPPED:
            self._stopped(event.tasks, event.stop_code, event.reason, event.exit_code)
            if event.stop_code is not None:
                self.say(f"{named(event.tasks)} stopped: {event.stop_code}: {event.reason}")
            return
        for number in event.tasks:
            task = self.state.tasks.get(number)
            if task is None or _ORDER[task.last_status] >= _ORDER[event.status]:
                continue
            self._count(task, -1)
            task.last_status = event.status
            task.version += 1
            self._count(task, 1)
            if event.status is _RUNNING:
                task.started_at_ms = self.state.now_ms
                deployment = self._deployment(task)
                if deployment is not None and task.healthy is None:
                    deployment.updated_at_ms = self.state.now_ms

    def judged(self, event: m.TasksHealthChanged) -> None:
        """Health checks have a verdict."""
        for number in event.tasks:
            task = self.state.tasks.get(number)
            if task is None or task.last_status is not _RUNNING:
                continue
            deployment = self._deployment(task)
            if deployment is not None and task.desired_status is _RUNNING:
                if event.healthy:
                    deployment.failed_tasks = 0
                elif task.healthy is not False:
                    deployment.failed_tasks += 1
            task.healthy = event.healthy
            task.version += 1

    def stop(self, command: m.StopTasks) -> None:
        """Tasks are to stop."""
        for number in command.tasks:
            task = self.state.tasks.get(number)
            if task is not None:
                self._end(task)
                task.stop_code, task.stopped_reason = command.stop_code, command.reason
        self.say(f"{named(command.tasks)} to stop: {command.stop_code}: {command.reason}")

    def found_stopped(self, notice: m.TasksStopped) -> None:
        """The scheduler counts tasks as stopped."""
        self._stopped(notice.tasks, notice.stop_code, notice.reason)
        self.say(f"{named(notice.tasks)} lost: {notice.stop_code}: {notice.reason}")

    def _stopped(
        self,
        tasks: Iterable[int],
        code: StopCode | None,
        reason: str,
        exit_code: int | None = None,
    ) -> None:
        state = self.state
        for number in tasks:
            task = state.tasks.get(number)
            if task is None or task.last_status is _STOPPED:
                continue
            deployment = self._deployment(task)
            never_ran = task.desired_status is _RUNNING and task.started_at_ms is None
            if never_ran and deployment is not None:
                deployment.failed_tasks += 1
            self._end(task)
            if task.service is not None:
                self._touched[task.service] = None
            task.last_status, task.stopped_at_ms = _STOPPED, state.now_ms
            task.stop_code, task.exit_code = code or task.stop_code, exit_code
            task.stopped_reason = reason or task.stopped_reason
            task.asked = task.waits_for = None
            task.version += 1
            if task.instance is not None and task.instance in state.instances:
                state.instances[task.instance].tasks.pop(number, None)
            self.forget_later(state.tasks, number)

    def _end(self, task: Task) -> None:
        """desiredStatus becomes STOPPED: what it held is free at once (ecs-semantics 2.4)."""
        if task.desired_status is _STOPPED:
            return
        self._count(task, -1)
        instance = None if task.instance is None else self.state.instances.get(task.instance)
        if instance is not None:
            self.book(instance, task, -1)
            instance.version += 1
        task.desired_status, task.stopping_at_ms = _STOPPED, self.state.now_ms
        task.version += 1
        if task.service is not None and task.service in self.state.services:
            self.state.services[task.service].tasks.pop(task.number, None)

    def _count(self, task: Task, sign: int) -> None:
        """Count a living task where it is counted: at its instance, service and deployment."""
        if task.desired_status is _STOPPED:
            return
        state = self.state
        places: list[ContainerInstance | Service | Deployment | None] = [self._deployment(task)]
        if task.instance is not None:
            places.append(state.instances.get(task.instance))
        if task.service is not None:
            places.append(state.services.get(task.service))
            self._touched[task.service] = None
        for place in places:
            if place is None:
                continue
            if task.last_status is _RUNNING:
                place.running += sign
            else:
                place.pending += sign

    def _deployment(self, task: Task) -> Deployment | None:
        service = self.state.services.get(task.service or "")
        if service is None:
            return None
        return next((each for each in service.deployments if each.id == task.deployment), None)

    # --- what is said -----------------------------------------------------------------------------

    def not_placed(self, notice: m.RunTaskFailed) -> None:
        """Tasks of a request were not placed."""
        call = self._asked.get(notice.request)
        if (use := self._use(call)) is not None:
            use.failures.append(notice)
        if isinstance(call, m.RunTask):
            family = call.task_definition.partition(":")[0]
            self.state.failed[family] = (call, notice, self.state.now_ms)
        reason = notice.failure.reason
        self.say(f"request {notice.request}: {notice.count} not placed: {reason}")

    def told(self, notice: m.ServiceEvent) -> None:
        """A service says something; some of it says what became of a deployment."""
        self.say(notice.text)
        service = self.state.services.get(notice.service)
        if service is None:
            return
        service.lines += 1
        line = ServiceLine(service.lines, self.state.now_ms, notice.text, notice.failure)
        service.events.insert(0, line)
        del service.events[EVENTS_MOST:]
        if told(self.state, service, notice.text):
            self._touched[service.name] = None
