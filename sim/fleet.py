"""The simulated fleet as the cluster query language reads it, for faults that name instances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.cluster.arrays import StringColumns
from stowplan.placement.cluster.cluster import instance_strings
from stowplan.placement.query import CodedColumn
from stowplan.placement.scenario.scenario import InstanceSpec


class InstanceColumns:
    """The instances that have registered, by number; nothing of their tasks."""

    def __init__(self) -> None:
        self.specs: list[InstanceSpec] = []
        self._at_ms: list[int] = []
        self._strings = StringColumns()

    def add(self, spec: InstanceSpec, at_ms: int) -> int:
        """Note a registration; returns the instance's number."""
        number = len(self.specs)
        self.specs.append(spec)
        self._at_ms.append(at_ms)
        strings = instance_strings(spec.name, spec.attributes, spec.capacity_provider)
        self._strings.set(number, strings)
        return number

    @property
    def size(self) -> int:
        """How many have registered."""
        return len(self.specs)

    def column(self, subject: str) -> CodedColumn:
        """See `placement.query.LastingColumns`."""
        return self._strings.column(subject, self.size)

    @property
    def registered_at_ms(self) -> NDArray[np.int64]:
        """Time of registration."""
        return np.array(self._at_ms, np.int64)
