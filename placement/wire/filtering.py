"""`filter` of ListContainerInstances: the cluster query language, asked of described instances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.describe import ContainerInstance, State
from stowplan.placement.errors import PlacementError
from stowplan.placement.query import CodedColumn, parse_query
from stowplan.placement.wire.errors import invalid


def filtered(
    state: State, instances: Sequence[ContainerInstance], expression: str
) -> list[ContainerInstance]:
    """The instances that an expression is true of.

    Raises:
        WireError: it does not parse.
    """
    try:
        query = parse_query(expression)
    except (PlacementError, ValueError) as error:
        raise invalid(f"Invalid filter: {error}") from None
    mask = query.mask(_Described(state, instances)).tolist()
    return [each for each, holds in zip(instances, mask, strict=True) if holds]


class _Described:
    """Described instances as columns; see `placement.query.Columns`."""

    def __init__(self, state: State, instances: Sequence[ContainerInstance]) -> None:
        self._state, self._instances = state, instances

    @property
    def size(self) -> int:
        return len(self._instances)

    def column(self, subject: str) -> CodedColumn:
        if subject == "ec2InstanceId":
            values: list[str | None] = [each.ec2_instance_id for each in self._instances]
        else:
            name = subject.partition(":")[2]
            values = [each.attributes.get(name) for each in self._instances]
        codes: dict[str | None, int] = {None: -1}
        for value in values:
            codes.setdefault(value, len(codes) - 1)
        known = [value for value in codes if value is not None]
        return CodedColumn(np.array([codes[each] for each in values], dtype=np.int32), known)

    @property
    def registered_at_ms(self) -> NDArray[np.int64]:
        return np.array([each.registered_at_ms for each in self._instances], dtype=np.int64)

    def group_count(self, group: str) -> NDArray[np.int32]:
        tasks = self._state.tasks
        counts = [sum(tasks[n].group == group for n in each.tasks) for each in self._instances]
        return np.array(counts, dtype=np.int32)

    @property
    def running_tasks_count(self) -> NDArray[np.int32]:
        return np.array([e.running + e.pending for e in self._instances], dtype=np.int32)

    @property
    def agent_connected(self) -> NDArray[np.bool_]:
        return np.array([each.agent_connected for each in self._instances], dtype=np.bool_)
