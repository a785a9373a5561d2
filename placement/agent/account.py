"""An instance's own account: what is really free, and which tasks wait for it, in strict order.

The scheduler counts a task's share as free when it begins to stop; the agent only when its
containers are gone. So a new task may have to wait here, and none overtakes it (ecs-semantics 2.4).
"""

from __future__ import annotations

from collections.abc import KeysView, Mapping
from dataclasses import dataclass

from stowplan.placement.model import PORTS, TaskDefinition
from stowplan.placement.taskdef.parse import TaskOverride, host_ports, task_resources


@dataclass(frozen=True, slots=True)
class Share:
    """What one task takes of an instance: (name, amount) pairs, and (protocol, port) pairs."""

    amounts: tuple[tuple[str, int], ...]
    ports: tuple[tuple[str, int], ...] = ()


def share_of(definition: TaskDefinition, override: TaskOverride | None = None) -> Share:
    """The share of a task of this definition."""
    amounts = task_resources(definition, override)
    amounts.pop(PORTS, None)  # how many there may be is decided by the scheduler, not here
    tcp, udp = host_ports(definition)
    ports = (*(("tcp", port) for port in tcp), *(("udp", port) for port in udp))
    return Share(tuple(amounts.items()), ports)


class InstanceAccount:
    """The account of one instance. `resources` as it registered."""

    __slots__ = ("_free", "_holds", "_line", "_ports", "_registered")

    def __init__(self, resources: Mapping[str, int]) -> None:
        self._registered = resources
        self._free = dict(resources)
        self._ports: set[tuple[str, int]] = set()
        self._holds: dict[int, Share] = {}
        self._line: dict[int, Share] = {}

    @property
    def line(self) -> KeysView[int]:
        """The tasks that wait, the next first."""
        return self._line.keys()

    @property
    def free(self) -> Mapping[str, int]:
        """What is really free now."""
        return self._free

    def lacking(self, share: Share) -> list[str]:
        """The resources of which the empty instance has less than the share, by name."""
        return [name for name, amount in share.amounts if amount > self._registered.get(name, 0)]

    def ask(self, task: int, share: Share) -> bool:
        """Whether the task has its share at once; if not, it stands in line."""
        if self._line or not self._fits(share):
            self._line[task] = share
            return False
        self._take(task, share)
        return True

    def keep(self, task: int, share: Share) -> None:
        """The task has its share already, from before this account was made."""
        self._take(task, share)

    def leave(self, task: int) -> None:
        """The task gives back its share, or its place in line; nothing where it has neither."""
        share = self._holds.pop(task, None)
        if share is None:
            self._line.pop(task, None)
            return
        free = self._free
        for name, amount in share.amounts:
            free[name] += amount
        if share.ports:
            self._ports.difference_update(share.ports)

    def admit(self) -> list[int]:
        """The tasks at the head of the line that fit now, each given its share."""
        admitted: list[int] = []
        while self._line:
            task, share = next(iter(self._line.items()))
            if not self._fits(share):
                break
            del self._line[task]
            self._take(task, share)
            admitted.append(task)
        return admitted

    def _fits(self, share: Share) -> bool:
        free = self._free
        for name, amount in share.amounts:
            if free.get(name, 0) < amount:
                return False
        return not share.ports or self._ports.isdisjoint(share.ports)

    def _take(self, task: int, share: Share) -> None:
        free = self._free
        for name, amount in share.amounts:
            free[name] -= amount
        if share.ports:
            self._ports.update(share.ports)
        self._holds[task] = share
