"""From rounds to the state: what each event and command changes in the records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from stowplan.placement import messages as m
from stowplan.placement.describe.reader_calls import CALL_HANDLERS
from stowplan.placement.describe.reader_tasks import TaskReader
from stowplan.placement.describe.state import ContainerInstance, State
from stowplan.placement.model import ENI, GPU, InstanceStatus

KEPT_MS = 3_600_000  # how long ECS shows what has stopped, at least (ecs-semantics 4.1)


class Reader(TaskReader):
    """Keeps a `State` up to date: call it with every round, in order.

    Args:
        state: where to go on; default: a new cluster.
    """

    def __init__(self, state: State | None = None) -> None:
        super().__init__(State() if state is None else state)
        # What is gone: its table, and the time from which it need not be shown any more.
        self._gone: deque[tuple[int, dict[Any, Any], Any, object]] = deque()
        self._restore_gone()

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        state = self.state
        state.now_ms = entry.now_ms
        state.rounds += 1
        self.begin(entry)
        while self._gone and self._gone[0][0] <= entry.now_ms:
            _, table, key, gone = self._gone.popleft()
            if table.get(key) is gone:  # else it is there again
                del table[key]
        for message in (*entry.accepted(), *entry.commands):
            handler = _HANDLERS.get(type(message))
            if handler is not None:
                handler(self, message)
        self.end()

    # --- instances --------------------------------------------------------------------------------

    def _registered(self, event: m.InstanceRegistered) -> None:
        before = self.state.instances.get(event.instance)
        amounts = {name: n for name, n in event.resources.items() if n or name not in (GPU, ENI)}
        found = ContainerInstance(
            event.instance,
            event.ec2_instance_id,
            amounts,
            dict(amounts),
            dict(event.attributes),
            list(event.reserved_tcp),
            list(event.reserved_udp),
            self.state.now_ms,
            event.price_microusd_hour,
            event.capacity_provider,
            event.devices,
            version_info=dict(event.version_info),
        )
        if event.ec2_instance_id in self.state.leaving:
            found.status = InstanceStatus.DRAINING
        if before is not None:
            found.tasks, found.tags = before.tasks, before.tags
            found.version = before.version + 1
            found.running, found.pending = before.running, before.pending
            for number in found.tasks:
                self.book(found, self.state.tasks[number], 1)
        self.state.instances[event.instance] = found

    def _connection(self, event: m.AgentConnectionChanged) -> None:
        for number in event.instances:
            instance = self.state.instances[number]
            instance.agent_connected = event.connected
            instance.version += 1

    def _status(self, call: m.UpdateContainerInstancesState) -> None:
        for number in call.instances:
            self.set_status(number, InstanceStatus(call.status))

    def set_status(self, number: int, status: InstanceStatus) -> None:
        """An instance has another status now."""
        instance = self.state.instances.get(number)
        if instance is None or instance.status is InstanceStatus.INACTIVE:
            return
        instance.status = status
        instance.version += 1
        if status is InstanceStatus.INACTIVE:
            instance.agent_connected, instance.gone_ms = False, self.state.now_ms
            self.forget_later(self.state.instances, number)

    def _lost(self, event: m.InstancesGone) -> None:
        for number in event.instances:
            instance = self.state.instances.get(number)
            self.left_alone += () if instance is None else instance.tasks
            self.set_status(number, InstanceStatus.INACTIVE)

    # --- groups -----------------------------------------------------------------------------------

    def _launched(self, event: m.InstancesLaunched) -> None:
        provider = self.state.capacity_providers.get(event.capacity_provider)
        if provider is not None:
            provider.running.update(dict.fromkeys(e.ec2_instance_id for e in event.instances))

    def _terminating(self, event: m.InstancesTerminating) -> None:
        self.state.leaving.update(dict.fromkeys(event.ec2_instance_ids))
        for instance in self.state.instances.values():
            if instance.ec2_instance_id in event.ec2_instance_ids:
                self.set_status(instance.number, InstanceStatus.DRAINING)

    def _terminated(self, event: m.InstancesTerminated) -> None:
        for name in event.ec2_instance_ids:
            self.state.leaving.pop(name, None)
        for provider in self.state.capacity_providers.values():
            for name in event.ec2_instance_ids:
                provider.running.pop(name, None)

    def _resized(self, command: m.SetDesiredCapacity) -> None:
        provider = self.state.capacity_providers.get(command.capacity_provider)
        if provider is not None:
            provider.desired_capacity = command.desired_capacity

    def _measured(self, notice: m.CapacityProviderReservation) -> None:
        provider = self.state.capacity_providers.get(notice.capacity_provider)
        if provider is not None:
            provider.metric = notice

    # --- what is gone -----------------------------------------------------------------------------

    def forget_later(self, table: dict[Any, Any], key: Any) -> None:
        """Something is gone: it is shown for an hour more."""
        self._gone.append((self.state.now_ms + KEPT_MS, table, key, table[key]))

    def _restore_gone(self) -> None:
        """After a snapshot: what is gone in it is still to be forgotten."""
        state = self.state
        found: list[tuple[int, dict[Any, Any], Any, object]] = [
            (at_ms + KEPT_MS, table, key, each)
            for table in (state.tasks, state.instances, state.services)
            for key, each in table.items()
            if (at_ms := each.gone_ms) is not None
        ]
        self._gone.extend(sorted(found, key=lambda each: each[0]))


_HANDLERS: dict[type, Callable[[Any, Any], None]] = {
    **CALL_HANDLERS,
    m.UpdateContainerInstancesState: Reader._status,
    m.InstanceRegistered: Reader._registered,
    m.AgentConnectionChanged: Reader._connection,
    m.InstancesGone: Reader._lost,
    m.InstancesLaunched: Reader._launched,
    m.InstancesTerminating: Reader._terminating,
    m.InstancesTerminated: Reader._terminated,
    m.SetDesiredCapacity: Reader._resized,
    m.CapacityProviderReservation: Reader._measured,
    m.TasksChanged: Reader.changed,
    m.TasksHealthChanged: Reader.judged,
    m.StartTasks: Reader.start,
    m.StopTasks: Reader.stop,
    m.TasksProvisioning: Reader.provision,
    m.TasksStopped: Reader.found_stopped,
    m.RunTaskFailed: Reader.not_placed,
    m.ServiceEvent: Reader.told,
    m.CallRejected: lambda reader, notice: reader.say(f"call rejected: {notice.reason}"),
}
