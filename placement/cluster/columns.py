"""The columns of a cluster: which there are, how they are read, how they grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.cluster.arrays import GroupCounts, Memo, StringColumns, grown, read_only
from stowplan.placement.cluster.host_ports import HostPorts
from stowplan.placement.model import PORTS, RESOURCES, InstanceStatus, TaskKind
from stowplan.placement.query import CodedColumn

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STATUS_CODES = {status: code for code, status in enumerate(InstanceStatus)}
ACTIVE, INACTIVE = STATUS_CODES[InstanceStatus.ACTIVE], STATUS_CODES[InstanceStatus.INACTIVE]
DRAINING = STATUS_CODES[InstanceStatus.DRAINING]
CAPACITY_PROVIDER = "capacityProviderName"
LOG_ROWS = 4096  # changes that the log remembers; a power of two


class ClusterColumns:
    """What `Cluster`, which see, is made of; nothing here changes what is registered or booked.

    Arrays that are handed out are views that cannot be written to; `columns` and `freed_columns`,
    for kernels, are the arrays themselves.
    """

    def __init__(self) -> None:
        self.size = 0
        self._resources: tuple[str, ...] = tuple(RESOURCES)
        self.freed_version = 0
        self.attributes_version = 0
        self.status_version = 0
        self.version = 0
        self.now_ms = 0
        self.last_reserved = -1
        self.over_committed = False
        self._booked: dict[TaskKind, int] = {}
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
        self._host_ports = HostPorts()
        self._group_counts = GroupCounts()
        self._tracked: dict[str, int] = {}
        self._demands: Memo[TaskKind, IntArray] = Memo()
        self._largest = -1, np.zeros(0, np.int64)

    # --- what can be read ---------------------------------------------------------------------

    @property
    def resources(self) -> tuple[str, ...]:
        """The columns of `registered`, `remaining` and `demand`: ECS's own first."""
        return self._resources

    @property
    def booked(self) -> Mapping[TaskKind, int]:
        """How many tasks of each kind are booked; a kind without one is left out."""
        return MappingProxyType(self._booked)

    @property
    def registered(self) -> IntArray:
        """(size, resources) amounts at registration; PORTS is what the limit of 100 leaves."""
        return read_only(self._registered[: self.size])

    @property
    def largest(self) -> IntArray:
        """(resources,) the most that any instance has registered that is not gone; 0 for none."""
        version, largest = self._largest
        if version != self.status_version or len(largest) != len(self.resources):
            largest = self.registered[self.present].max(axis=0, initial=0)
            largest.flags.writeable = False
            self._largest = self.status_version, largest
        return largest

    @property
    def remaining(self) -> IntArray:
        """(size, resources) amounts not reserved by tasks."""
        return read_only(self._remaining[: self.size])

    @property
    def stamp(self) -> tuple[int, ...]:
        """All that is counted; another one where anything was changed, be it a counter itself."""
        return (
            *(self.version, self.freed_version, self.attributes_version, self.status_version),
            *(self.size, self.now_ms, self.last_reserved, self.over_committed),
        )

    @property
    def active(self) -> BoolArray:
        """(size,) status is ACTIVE."""
        return np.equal(self._status[: self.size], ACTIVE)

    def is_draining(self, row: int) -> bool:
        """Instance `row` has status DRAINING."""
        return bool(self._status[row] == DRAINING)

    @property
    def present(self) -> BoolArray:
        """(size,) status is not INACTIVE: what ECS counts as registered."""
        return np.not_equal(self._status[: self.size], INACTIVE)

    @property
    def agent_connected(self) -> BoolArray:
        """(size,) the agent is connected."""
        return read_only(self._connected[: self.size])

    @property
    def running_tasks_count(self) -> NDArray[np.int32]:
        """(size,) tasks with desiredStatus RUNNING."""
        return read_only(self._tasks[: self.size])

    @property
    def changed_at(self) -> IntArray:
        """(size,) `version` at the last change of the row: what was computed since then holds."""
        return read_only(self._changed_at[: self.size])

    @property
    def registered_at_ms(self) -> IntArray:
        """(size,) time of registration, ms since the epoch of the run."""
        return read_only(self._registered_at_ms[: self.size])

    @property
    def expected_exit_ms(self) -> IntArray:
        """(size,) when the last of an instance's tasks is expected to end: the latest of all tasks
        booked there since it was empty; `NEVER` with one that runs until stopped, 0 when empty."""
        return read_only(self._expected_exit_ms[: self.size])

    @property
    def device_capacity(self) -> IntArray:
        """(size, most devices of any instance) thousandths at registration; 0 for no device."""
        return read_only(self._device_capacity[: self.size])

    @property
    def device_left(self) -> IntArray:
        """(size, most devices of any instance) thousandths of each device not reserved."""
        return read_only(self._device_left[: self.size])

    def column(self, subject: str) -> CodedColumn:
        """The string column `attribute:NAME`, `ec2InstanceId`, `agentVersion` over all rows."""
        return self._strings.column(subject, self.size)

    def has_attribute(self, name: str) -> bool:
        """Whether any instance ever carried attribute `name`."""
        return f"attribute:{name}" in self._strings

    def in_capacity_provider(self, name: str) -> BoolArray:
        """(size,) the instance belongs to capacity provider `name`."""
        codes, values = self.column(CAPACITY_PROVIDER)
        mask: BoolArray = codes == (values.index(name) if name in values else len(values))
        return mask

    def group_count(self, group: str) -> NDArray[np.int32]:
        """(size,) tasks of `group` with desiredStatus RUNNING on each instance."""
        return read_only(self._group_counts.of(group, self.size))

    def demand(self, kind: TaskKind) -> IntArray:
        """(resources,) what one task of `kind` reserves, aligned with `resources`."""
        vector = self._demands.get(kind)
        if vector is None or len(vector) != len(self._resources):
            for name, _ in kind.resources:
                self._add_resource(name)
            vector = np.zeros(len(self._resources), np.int64)
            for name, amount in kind.resources:
                vector[self._resources.index(name)] = amount
            # Ports count against ECS's limit whether or not the kind's maker said how many.
            ports = self._resources.index(PORTS)
            vector[ports] = max(vector[ports], len(kind.tcp_ports) + len(kind.udp_ports))
            vector.flags.writeable = False
            self._demands[kind] = vector
        return vector

    def ports_free(self, kind: TaskKind) -> BoolArray:
        """(size,) none of the host ports that `kind` wants is in use or reserved."""
        return self._host_ports.free(kind, self.size)

    def port_free(self, protocol: str, port: int) -> BoolArray:
        """(size,) this host port is neither in use nor reserved."""
        return self._host_ports.one_free(protocol, port, self.size)

    def port_mask(self, kind: TaskKind) -> NDArray[np.uint64]:
        """(words,) the bits of the host ports that `kind` wants; a new port may add a word."""
        return self._host_ports.mask(kind)

    @property
    def port_words(self) -> int:
        """How many words `port_mask` has."""
        return self._host_ports.words

    # --- for kernels, which book in the columns themselves ----------------------------------------

    def columns(self, groups: Sequence[str]) -> tuple[Any, ...]:
        """The first fields of `kernels.layout.State`, longer than `size`; of the counts, `slots`
        belong to `groups`. What is booked there `booked_in_place` must be told.
        """
        counts = self._group_counts
        slots = np.array([counts.slot(group) for group in groups], np.int64)
        ports = self._host_ports.used, self._host_ports.reserved
        tables = self._remaining, self._tasks, *self.group_tables, *ports
        largest = np.maximum(self.largest, 1).astype(np.float64)
        more = self._registered, largest, self._expected_exit_ms, np.array([self.last_reserved])
        now = np.array([self.now_ms])
        return *tables, self._changed_at, self._log, slots, *more, now

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
        """Which of the counts belong to `group`; `freed_in_place` or `settle` must follow."""
        return self._group_counts.slot(group)

    def keep_slot(self, group: str) -> int:
        """`slot`, which holds for the group until `let_go_slot`, whatever is booked and freed."""
        return self._group_counts.keep(group)

    def let_go_slot(self, group: str) -> None:
        """Undo one `keep_slot`."""
        self._group_counts.let_go(group)

    def settle(self, group: str) -> None:
        """Take note that nothing of `group` was booked after all."""
        self._group_counts.settle(group, 0)

    def freed_columns(self) -> tuple[Any, ...]:
        """The fields of `kernels.layout.Freed`."""
        first = self._remaining, self._host_ports.used, self._tasks, self._expected_exit_ms
        return *first, *self.group_tables, self._changed_at, self._log

    def device_columns(self) -> tuple[IntArray, IntArray]:
        """`device_left` and `device_capacity`, longer than `size`; the first to book in."""
        return self._device_left, self._device_capacity

    def kept(self) -> tuple[GroupCounts, HostPorts]:
        """Whose arrays may be replaced by others: see `GroupCounts.replaced`, `HostPorts.used`."""
        return self._group_counts, self._host_ports

    def still_has(self, columns: Any) -> bool:
        """Whether none of `freed_columns` had to grow; columns of rows grow together."""
        return (
            columns.remaining is self._remaining
            and columns.ports is self._host_ports.used
            and columns.counts is self._group_counts.counts
            and columns.totals is self._group_counts.by_value
        )

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
        self._host_ports.grow(self.size)
        self._device_capacity = grown(self._device_capacity, self.size)
        self._device_left = grown(self._device_left, self.size)
        self._group_counts.grow(self.size)

    def _add_resource(self, name: str) -> None:
        if name in self._resources:
            return
        self._resources += (name,)
        self.status_version += 1  # what holds arrays of columns has too few of them now
        self._registered = np.pad(self._registered, ((0, 0), (0, 1)))
        self._remaining = np.asfortranarray(np.pad(self._remaining, ((0, 0), (0, 1))))
