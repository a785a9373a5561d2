"""The one mutable state: which instances there are and what of them is reserved. Columnar, integer.

A row is an instance, in the order of registration; rows are never reused, an instance that is gone
stays as INACTIVE. The cluster knows nothing of single tasks: it books and frees demands, and counts
tasks per group, which is all that placement reads. It decides nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.columns import GroupCounts, Kept, StringColumns, grown
from placement.host_ports import HostPorts
from placement.model import PORTS, RESERVED_PORTS_MAX, RESOURCES, InstanceStatus, TaskKind
from placement.query import Column

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_STATUS_CODES = {status: code for code, status in enumerate(InstanceStatus)}
_ACTIVE, _INACTIVE = _STATUS_CODES[InstanceStatus.ACTIVE], _STATUS_CODES[InstanceStatus.INACTIVE]
_DRAINING = _STATUS_CODES[InstanceStatus.DRAINING]
_CAPACITY_PROVIDER = "capacityProviderName"
LOG_ROWS = 4096  # changes that the log remembers; a power of two


class Cluster:
    """Registered instances, their attributes, and what is booked on them.

    `resources` names the columns of `registered` and `remaining`: ECS's own first, then any other
    in the order in which it was first seen. `freed_version` rises whenever something happened that
    could make room for a task; `attributes_version` whenever an attribute or a row was added,
    `status_version` whenever an instance was, or changed its status or its agent's connection.
    `last_reserved` is the row of the latest booking, -1 before any; `booked` counts tasks by kind.
    `now_ms` is the time of the round, which whoever books sets first.
    `over_committed` if ever an instance registered again with less than was booked on it.
    """

    def __init__(self) -> None:
        self.size = 0
        self.resources: list[str] = list(RESOURCES)
        self.freed_version = 0
        self.attributes_version = 0
        self.status_version = 0
        self.version = 0
        self.now_ms = 0
        self.last_reserved = -1
        self.over_committed = False
        self.booked: dict[TaskKind, int] = {}
        self._changed_at = np.zeros(0, np.int64)
        self._log = np.zeros(LOG_ROWS, np.int64)
        self._registered = np.zeros((0, len(RESOURCES)), np.int64)
        # A resource after the other: who looks at all instances reads one or two of them.
        self._remaining = np.zeros((0, len(RESOURCES)), np.int64, "F")
        self._status = np.zeros(0, np.int8)
        self._connected = np.zeros(0, np.bool_)
        self._tasks = np.zeros(0, np.int32)
        self._registered_at_ms = np.zeros(0, np.int64)
        self._expected_exit_ms = np.zeros(0, np.int64)
        self._strings = StringColumns()
        self._device_capacity = np.zeros((0, 0), np.int64)
        self._device_left = np.zeros((0, 0), np.int64)
        self.host_ports = HostPorts()
        self._group_counts = GroupCounts()
        self._tracked: dict[str, int] = {}
        self._demands: Kept[TaskKind, IntArray] = Kept()

    # --- what can be read ---------------------------------------------------------------------

    @property
    def registered(self) -> IntArray:
        """(size, resources) amounts at registration; PORTS is what the limit of 100 leaves."""
        return self._registered[: self.size]

    @property
    def remaining(self) -> IntArray:
        """(size, resources) amounts not reserved by tasks."""
        return self._remaining[: self.size]

    @property
    def active(self) -> BoolArray:
        """(size,) status is ACTIVE."""
        return np.equal(self._status[: self.size], _ACTIVE)

    def is_draining(self, row: int) -> bool:
        """Instance `row` has status DRAINING."""
        return bool(self._status[row] == _DRAINING)

    @property
    def present(self) -> BoolArray:
        """(size,) status is not INACTIVE: what ECS counts as registered."""
        return np.not_equal(self._status[: self.size], _INACTIVE)

    @property
    def agent_connected(self) -> BoolArray:
        """(size,) the agent is connected."""
        return self._connected[: self.size]

    @property
    def running_tasks_count(self) -> NDArray[np.int32]:
        """(size,) tasks with desiredStatus RUNNING."""
        return self._tasks[: self.size]

    @property
    def changed_at(self) -> IntArray:
        """(size,) `version` at the last change of the row: what was computed since then holds."""
        return self._changed_at[: self.size]

    @property
    def registered_at_ms(self) -> IntArray:
        """(size,) time of registration, ms since the epoch of the run."""
        return self._registered_at_ms[: self.size]

    @property
    def expected_exit_ms(self) -> IntArray:
        """(size,) when the last of an instance's tasks is expected to end: the latest of all tasks
        booked there since it was empty; `NEVER` with one that runs until stopped, 0 when empty."""
        return self._expected_exit_ms[: self.size]

    @property
    def device_capacity(self) -> IntArray:
        """(size, most devices of any instance) thousandths at registration; 0 for no device."""
        return self._device_capacity[: self.size]

    @property
    def device_left(self) -> IntArray:
        """(size, most devices of any instance) thousandths of each device not reserved."""
        return self._device_left[: self.size]

    def column(self, subject: str) -> Column:
        """The string column `attribute:NAME`, `ec2InstanceId`, `agentVersion` over all rows."""
        return self._strings.column(subject, self.size)

    def has_attribute(self, name: str) -> bool:
        """Whether any instance ever carried attribute `name`."""
        return f"attribute:{name}" in self._strings

    def in_capacity_provider(self, name: str) -> BoolArray:
        """(size,) the instance belongs to capacity provider `name`."""
        codes, values = self.column(_CAPACITY_PROVIDER)
        mask: BoolArray = codes == (values.index(name) if name in values else len(values))
        return mask

    def group_count(self, group: str) -> NDArray[np.int32]:
        """(size,) tasks of `group` with desiredStatus RUNNING on each instance."""
        return self._group_counts.of(group, self.size)

    def demand(self, kind: TaskKind) -> IntArray:
        """(resources,) what one task of `kind` reserves, aligned with `resources`."""
        vector = self._demands.get(kind)
        if vector is None or len(vector) != len(self.resources):
            for name, _ in kind.resources:
                self._add_resource(name)
            vector = np.zeros(len(self.resources), np.int64)
            for name, amount in kind.resources:
                vector[self.resources.index(name)] = amount
            # Ports count against ECS's limit whether or not the kind's maker said how many.
            ports = self.resources.index(PORTS)
            vector[ports] = max(vector[ports], len(kind.tcp_ports) + len(kind.udp_ports))
            self._demands[kind] = vector
        return vector

    def ports_free(self, kind: TaskKind) -> BoolArray:
        """(size,) none of the host ports that `kind` wants is in use or reserved."""
        return self.host_ports.free(kind, self.size)

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
        """
        assert 0 <= row <= self.size, f"instance {row} registered, {self.size} is the next number"
        if row == self.size:
            self._grow()
        reserved = list(dict.fromkeys(reserved_ports))
        amounts = {PORTS: max(0, RESERVED_PORTS_MAX - len(reserved)), **resources}
        for name in amounts:
            self._add_resource(name)
        taken = self._registered[row] - self._remaining[row]
        for column, name in enumerate(self.resources):
            self._registered[row, column] = amounts.get(name, 0)
        self._remaining[row] = self._registered[row] - taken
        self.over_committed |= bool((self._remaining[row] < 0).any())
        self._register_devices(row, devices)
        self.host_ports.reserve(row, reserved)
        self._strings.set(row, strings)
        for subject, number in self._tracked.items():
            code = self._strings.column(subject, self.size).codes[row]
            self._group_counts.recode(number, row, int(code) + 1)
        self._registered_at_ms[row] = at_ms
        self._status[row] = _ACTIVE
        self._connected[row] = True
        self.attributes_version += 1
        self.status_version += 1
        self._changed(row, freed=True)

    def set_status(self, row: int, status: InstanceStatus) -> None:
        """Change an instance's status; INACTIVE takes it out of every count."""
        self._status[row] = _STATUS_CODES[status]
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
        self.host_ports.take(kind, row)
        self._tasks[row] += 1
        exits = self._expected_exit_ms
        exits[row] = max(exits[row], kind.exit_ms(self.now_ms))
        self._group_counts.add(kind.group, row, 1)
        self.booked[kind] = self.booked.get(kind, 0) + 1
        self.last_reserved = row
        self._changed(row, freed=False)

    def release(self, kind: TaskKind, row: int, devices: Sequence[int] = ()) -> None:
        """Undo one `reserve` of `kind` on `row` and the same `devices`."""
        self._remaining[row] += self.demand(kind)
        for device in devices:
            self._device_left[row, device] += kind.device_milli
        self.host_ports.give_back(kind, row)
        self._tasks[row] -= 1
        self._expected_exit_ms[row] *= bool(self._tasks[row])
        self._group_counts.add(kind.group, row, -1)
        self.booked[kind] -= 1
        if self.booked[kind] == 0:
            del self.booked[kind]
        self._changed(row, freed=True)

    # --- for kernels, which book in the columns themselves ----------------------------------------

    def columns(self, groups: Sequence[str]) -> tuple[Any, ...]:
        """The first fields of `kernels.layout.State`, longer than `size`, the last of them which
        of the counts belong to `groups`. What is booked there `booked_in_place` must be told.
        """
        counts = self._group_counts
        slots = np.array([counts.slot(group) for group in groups], np.int64)
        ports = self.host_ports.used, self.host_ports.reserved
        tables = self._remaining, self._tasks, *self.group_tables, *ports
        return *tables, self._changed_at, self._log, slots

    def track(self, subject: str) -> int:
        """The number of a string column in `State.codes` and `State.totals`, from now on kept."""
        if subject not in self._tracked:
            codes, values = self.column(subject)
            self._tracked[subject] = self._group_counts.track(codes + 1, len(values) + 1)
        return self._tracked[subject]

    @property
    def group_tables(self) -> tuple[Any, Any, Any]:
        """`counts`, `codes` and `totals` of `State`; other arrays once they had to grow."""
        return self._group_counts.counts, self._group_counts.codes, self._group_counts.by_value

    def slot(self, group: str) -> int:
        """Which of the counts belong to `group`; `booked_one` must follow."""
        return self._group_counts.slot(group)

    def settle(self, group: str) -> None:
        """Take note that nothing of `group` was booked after all."""
        self._group_counts.settle(group, 0)

    def booked_one(self, kind: TaskKind, row: int) -> None:
        """Take note that one task of `kind` was booked on `row`; -1: not."""
        self._group_counts.settle(kind.group, int(row >= 0))
        if row >= 0:
            self.booked[kind] = self.booked.get(kind, 0) + 1
            exits = self._expected_exit_ms
            exits[row] = max(exits[row], kind.exit_ms(self.now_ms))
            self.version += 1
            self.last_reserved = row

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
                self.booked[kind] = self.booked.get(kind, 0) + count
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
        lines = [f"resources {self.resources}"]
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

    def _changed(self, row: int, *, freed: bool) -> None:
        self.version += 1
        self.freed_version += freed
        self._changed_at[row] = self.version
        self._log[self.version % LOG_ROWS] = row

    def _grow(self) -> None:
        self.size += 1
        self._registered = grown(self._registered, self.size)
        self._remaining = grown(self._remaining, self.size, order="F")
        self._status = grown(self._status, self.size)
        self._connected = grown(self._connected, self.size)
        self._tasks = grown(self._tasks, self.size)
        self._changed_at = grown(self._changed_at, self.size)
        self._registered_at_ms = grown(self._registered_at_ms, self.size)
        self._expected_exit_ms = grown(self._expected_exit_ms, self.size)
        self.host_ports.grow(self.size)
        self._device_capacity = grown(self._device_capacity, self.size)
        self._device_left = grown(self._device_left, self.size)
        self._group_counts.grow(self.size)

    def _register_devices(self, row: int, devices: Sequence[int]) -> None:
        self._device_capacity = grown(self._device_capacity, len(devices), axis=1)
        self._device_left = grown(self._device_left, len(devices), axis=1)
        taken = self._device_capacity[row] - self._device_left[row]
        self._device_capacity[row] = 0
        self._device_capacity[row, : len(devices)] = devices
        self._device_left[row] = self._device_capacity[row] - taken

    def _add_resource(self, name: str) -> None:
        if name in self.resources:
            return
        self.resources.append(name)
        self._registered = np.pad(self._registered, ((0, 0), (0, 1)))
        self._remaining = np.asfortranarray(np.pad(self._remaining, ((0, 0), (0, 1))))


def instance_strings(
    ec2_instance_id: str, attributes: Mapping[str, str], capacity_provider: str | None = None
) -> dict[str, str]:
    """The string columns of an instance, by the subjects of the cluster query language."""
    strings = {f"attribute:{name}": value for name, value in attributes.items()}
    strings["ec2InstanceId"] = ec2_instance_id
    if capacity_provider is not None:
        strings[_CAPACITY_PROVIDER] = capacity_provider
    return strings
