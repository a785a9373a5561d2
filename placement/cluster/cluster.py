"""The one mutable state: the instances, and what is reserved on each. Columnar, integer.

A row is an instance, in the order of registration; rows are never reused, an instance that is gone
stays as INACTIVE. The cluster knows nothing of single tasks: it books and frees demands, and counts
tasks per group, which is all that placement reads. It decides nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from stowplan.placement.cluster.arrays import grown
from stowplan.placement.cluster.columns import (
    ACTIVE,
    CAPACITY_PROVIDER,
    LOG_ROWS,
    STATUS_CODES,
    BoolArray,
    ClusterColumns,
    IntArray,
)
from stowplan.placement.cluster.offer import offer_problems
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.model import PORTS, RESERVED_PORTS_MAX, InstanceStatus, TaskKind
from stowplan.placement.units import not_whole

__all__ = ["LOG_ROWS", "BoolArray", "Cluster", "IntArray", "instance_strings"]


class Cluster(ClusterColumns):
    """Registered instances, their attributes, and what is booked on them.

    `resources` names the columns of `registered` and `remaining`: ECS's own first, then any other
    in the order in which it was first seen. `freed_version` rises whenever something happened that
    could make room for a task; `attributes_version` whenever an attribute or a row was added,
    `status_version` whenever an instance was, or changed its status or its agent's connection.
    `last_reserved` is the row of the latest booking, -1 before any; `booked` counts tasks by kind.
    `now_ms` is the time of the round; set it before booking.
    `over_committed` if ever an instance registered again with less than was booked on it.
    """

    # --- what happens to instances ------------------------------------------------------------

    def register(
        self,
        row: int,
        resources: Mapping[str, int],
        strings: Mapping[str, str],
        *,
        reserved_ports: Iterable[tuple[str, int]] = (),
        devices: Sequence[int] = (),
        at_ms: int = 0,
    ) -> None:
        """Add instance `row` (the next free number), or renew one that was known.

        `strings` holds the string columns by subject (`attribute:stack`, `ec2InstanceId` ...),
        `devices` the thousandths that each divisible device offers (1000 for a whole one).
        What a renewed instance still has booked stays booked.

        Raises:
            PlacementError: numbers are left out.
            SpecError: an amount, a device or a port is no whole number, or less than none; nothing
                has changed then, and every such one is named.
        """
        if not_whole(row, most=self.size):
            raise PlacementError(f"instance {row} registered, {self.size} is the next number")
        reserved = list(dict.fromkeys(reserved_ports))
        if problems := [*offer_problems(row, resources, strings, reserved, devices)]:
            raise SpecError(problems)
        if row == self.size:
            self._grow()
        amounts = {PORTS: max(0, RESERVED_PORTS_MAX - len(reserved)), **resources}
        for name in amounts:
            self._add_resource(name)
        taken = self._registered[row] - self._remaining[row]
        for column, name in enumerate(self._resources):
            self._registered[row, column] = amounts.get(name, 0)
        self._remaining[row] = self._registered[row] - taken
        self.over_committed |= bool((self._remaining[row] < 0).any())
        self._register_devices(row, devices)
        self._host_ports.reserve(row, reserved)
        self._renamed(row, strings)
        self._registered_at_ms[row] = at_ms
        self._status[row] = ACTIVE
        self._connected[row] = True
        self.attributes_version += 1
        self.status_version += 1
        self._changed(row, freed=True)

    def set_strings(self, row: int, strings: Mapping[str, str]) -> None:
        """Replace the string columns of an instance: its attributes have changed."""
        self._renamed(row, strings)
        self.attributes_version += 1
        self.status_version += 1  # a standing index knows who may run what by the old ones
        self._changed(row, freed=True)

    def add_like(self, row: int, ec2_instance_id: str) -> int:
        """Add an empty instance that registers what `row` did; its row. To try out on a copy."""
        new = self.size
        amounts = dict(zip(self._resources, self._registered[row].tolist(), strict=True))
        devices = self._device_capacity[row]
        strings = {**self._strings.of(row), "ec2InstanceId": ec2_instance_id}
        there = devices[: int(np.count_nonzero(devices))].tolist()
        self.register(new, amounts, strings, devices=there, at_ms=self.now_ms)
        self._host_ports.reserved[new] = self._host_ports.reserved[row]
        return new

    def strings_of(self, row: int) -> dict[str, str]:
        """The string columns of instance `row` by subject, those alone that it has."""
        return self._strings.of(row)

    def check_known(self, rows: Iterable[int]) -> None:
        """Raises PlacementError where one of these numbers never registered."""
        unknown = [row for row in rows if not 0 <= row < self.size]
        if unknown:
            raise PlacementError(f"unknown instances {unknown}")

    def check_present(self, rows: Iterable[int]) -> None:
        """Raises PlacementError where one of these numbers is of no registered instance."""
        present = self.present
        absent = [row for row in rows if not (0 <= row < len(present) and present[row])]
        if absent:
            raise PlacementError(f"instances {absent} are not registered")

    def set_status(self, row: int, status: InstanceStatus) -> None:
        """Change an instance's status; INACTIVE takes it out of every count."""
        self._status[row] = STATUS_CODES[status]
        self.status_version += 1
        self._changed(row, freed=True)

    def set_connected(self, row: int, connected: bool) -> None:
        """Note whether the agent of an instance is connected."""
        self._connected[row] = connected
        self.status_version += 1
        self._changed(row, freed=True)

    # --- booking --------------------------------------------------------------------------------

    def reserve(self, kind: TaskKind, row: int, devices: Sequence[int] = ()) -> None:
        """Book one task of `kind` on instance `row`, and on the `devices` chosen for it.

        The caller has checked that it fits.
        """
        demand = self.demand(kind)  # first: a name that is new to the cluster adds a column
        self._remaining[row] -= demand
        for device in devices:
            self._device_left[row, device] -= kind.device_milli
        self._host_ports.take(kind, row)
        self._tasks[row] += 1
        exits = self._expected_exit_ms
        exits[row] = max(exits[row], kind.exit_ms(self.now_ms))
        self._group_counts.add(kind.group, row, 1)
        self._booked[kind] = self._booked.get(kind, 0) + 1
        self.last_reserved = row
        self._changed(row, freed=False)

    def release(self, kind: TaskKind, row: int, devices: Sequence[int] = ()) -> None:
        """Undo one `reserve` of `kind` on `row` and the same `devices`."""
        self._remaining[row] += self.demand(kind)
        for device in devices:
            self._device_left[row, device] += kind.device_milli
        self._host_ports.give_back(kind, row)
        self._tasks[row] -= 1
        self._expected_exit_ms[row] *= bool(self._tasks[row])
        self._group_counts.add(kind.group, row, -1)
        self._unbooked(kind, 1)
        self._changed(row, freed=True)

    def freed_in_place(self, kind: TaskKind, count: int) -> None:
        """Take note that `count` tasks of `kind` were freed in the columns."""
        self._group_counts.settle(kind.group, -count)
        self._unbooked(kind, count)
        self.version += count
        self.freed_version += count

    def booked_one(self, kind: TaskKind, slot: int, row: int) -> None:
        """Take note that a task of `kind`, whose group keeps `slot`, was booked in the columns."""
        self._group_counts.totals[slot] += 1
        booked = self._booked
        booked[kind] = booked.get(kind, 0) + 1
        self.version += 1
        self.last_reserved = row

    def freed_one(self, kind: TaskKind, slot: int) -> None:
        """Take note that a task of `kind`, whose group keeps `slot`, was freed in the columns."""
        self._group_counts.totals[slot] -= 1
        self._unbooked(kind, 1)
        self.version += 1
        self.freed_version += 1

    def booked_in_place(self, kinds: Sequence[TaskKind], index: IntArray, rows: IntArray) -> None:
        """Take note that tasks of `kinds[index]` were booked on `rows`, in this order; -1: not."""
        placed = rows >= 0
        if not placed.all():
            index, rows = index[placed], rows[placed]
        counts = np.bincount(index, minlength=len(kinds)).tolist()
        groups: dict[str, int] = {}
        for kind, count in zip(kinds, counts, strict=True):
            groups[kind.group] = groups.get(kind.group, 0) + count
            if count:
                self._booked[kind] = self._booked.get(kind, 0) + count
        for group, count in groups.items():
            self._group_counts.settle(group, count)
        if len(rows):
            exits = np.array([kind.exit_ms(self.now_ms) for kind in kinds], np.int64)
            np.maximum.at(self._expected_exit_ms, rows, exits[index])
            self.version += len(rows)
            self.last_reserved = int(rows[-1])

    # --- for people and tests -------------------------------------------------------------------

    def check(self) -> None:
        """Assert what must always hold; the message holds the state.

        `remaining` and `device_left` are negative on instances that registered again with less.
        """
        totals = self._group_counts.counts[:, : self.size].sum(axis=0)
        assert (self.running_tasks_count == totals).all(), self.dump()
        assert (self.running_tasks_count >= 0).all(), self.dump()
        assert (self.remaining <= self.registered).all(), self.dump()
        assert (self.device_left <= self.device_capacity).all(), self.dump()

    def dump(self) -> str:
        """The state as text, an instance a line, for messages of failed assertions."""
        lines = [f"resources {list(self._resources)}"]
        names, status = self.column("ec2InstanceId"), list(InstanceStatus)
        for row in range(self.size):
            name = names.values[names.codes[row]] if names.codes[row] >= 0 else "?"
            left = ", ".join(map(str, self._remaining[row]))
            all_of = ", ".join(map(str, self._registered[row]))
            lines.append(
                f"{row} {name} {status[self._status[row]]} remaining [{left}] of [{all_of}], "
                f"{self._tasks[row]} tasks"
            )
        return "\n".join(lines)

    def copy(self) -> Cluster:
        """An independent copy, to try something out on."""
        return copy.deepcopy(self)

    # --- inside ---------------------------------------------------------------------------------

    def _renamed(self, row: int, strings: Mapping[str, str]) -> None:
        self._strings.set(row, strings)
        for subject, number in self._tracked.items():
            code = self._strings.column(subject, self.size).codes[row]
            self._group_counts.recode(number, row, int(code) + 1)

    def _register_devices(self, row: int, devices: Sequence[int]) -> None:
        self._device_capacity = grown(self._device_capacity, len(devices), axis=1)
        self._device_left = grown(self._device_left, len(devices), axis=1)
        taken = self._device_capacity[row] - self._device_left[row]
        self._device_capacity[row] = 0
        self._device_capacity[row, : len(devices)] = devices
        self._device_left[row] = self._device_capacity[row] - taken

    def _unbooked(self, kind: TaskKind, count: int) -> None:
        left = self._booked[kind] - count
        if left:
            self._booked[kind] = left
        else:
            del self._booked[kind]


def instance_strings(
    ec2_instance_id: str, attributes: Mapping[str, str], capacity_provider: str | None = None
) -> dict[str, str]:
    """The string columns of an instance, by the subjects of the cluster query language."""
    strings = {f"attribute:{name}": value for name, value in attributes.items()}
    strings["ec2InstanceId"] = ec2_instance_id
    if capacity_provider is not None:
        strings[CAPACITY_PROVIDER] = capacity_provider
    return strings
