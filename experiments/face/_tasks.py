"""Tasks as a notebook says them: a table with a row per kind of task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stowplan._given import chain_of
from stowplan._values import (
    Problems,
    check,
    prefixed,
    rows_of,
    texts,
    unknown_columns,
    whole,
)
from stowplan.experiments.loading.objects import Objects
from stowplan.placement.constraints import CONSTRAINTS, check_of
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import CONSTRAINTS_MAX, PlacementConstraint, TaskKind
from stowplan.placement.scenario.fields import parse_constraint
from stowplan.placement.strategies.protocol import StrategyFactory
from stowplan.placement.units import parse_duration_ms

COLUMNS = (
    *("cpu", "memory", "count", "group", "gpus", "eni_slots", "ports", "udp_ports", "constraints"),
    *("strategies", "zones", "required_attributes", "expected_s"),
    "resource:",
)
_RESOURCES = {"cpu": "CPU", "memory": "MEMORY", "gpus": "GPU", "eni_slots": "ENI"}


@dataclass(frozen=True, repr=False)
class Tasks:
    """Tasks to place, in order; made by `tasks`, never changed.

    Attributes
    ----------
    batch : TaskBatch
        The kinds of task, and of which kind each task is.
    objects : dict
        Strategies of the notebook's own that a kind names, by that name.
    """

    batch: TaskBatch
    objects: Mapping[str, StrategyFactory]

    @property
    def frame(self) -> pd.DataFrame:
        """A row per kind: group, how many there are, and what each asks for."""
        counts = np.bincount(self.batch.index, minlength=len(self.batch.kinds))
        names = {name: column for column, name in _RESOURCES.items()}
        return pd.DataFrame(
            [
                {
                    "group": kind.group,
                    "count": count,
                    **{names.get(n, f"resource:{n}"): a for n, a in kind.resources},
                    "strategies": ", ".join(_text(s) for s in kind.strategies),
                    "constraints": ", ".join(_text(c) for c in kind.constraints),
                }
                for kind, count in zip(self.batch.kinds, counts.tolist(), strict=True)
            ]
        )

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self.batch)

    def __repr__(self) -> str:
        groups = len({kind.group for kind in self.batch.kinds})
        return f"<Tasks: {len(self)} of {len(self.batch.kinds)} kinds, {groups} groups>"

    def _repr_html_(self) -> str:
        return str(self.frame._repr_html_())


def tasks(rows: pd.DataFrame | Iterable[Mapping[str, Any]] | None = None, **columns: Any) -> Tasks:
    """Tasks out of a table with a row per kind of task, in the order in which they are placed.

    Parameters
    ----------
    rows : DataFrame or list of dict, optional
        With the columns

        - `cpu` (units, 1024 are a vCPU), `memory` (MiB), `gpus`, `eni_slots`, `resource:NAME`:
          what each task reserves, in whole numbers; left out or empty is nothing
        - `count`: tasks, 1 where it is left out
        - `group`: which tasks count together for `distinctInstance`; `task-0`, ... by row else
        - `ports`, `udp_ports`: host ports, one or a list
        - `constraints`: one or a list, such as `distinctInstance` or a cluster query
        - `strategies`: a chain of this kind's own, which `place` then leaves alone
        - `zones`: those it may run in; `required_attributes`: NAME or NAME=VALUE, one or a list
        - `expected_s`: seconds it is thought to run, for strategies that ask

    **columns
        The same for one row: `tasks(cpu=512, memory=1024, count=30)`.

    Returns
    -------
    Tasks
        `frame` shows them, a row per kind.

    Raises
    ------
    SpecError
        Naming every row and column that is wrong: a fraction, a negative number, a constraint
        that does not parse, a strategy that is not known, a column that nobody knows.

    Examples
    --------
    >>> import stowplan as sp
    >>> sp.tasks(cpu=512, memory=1024, count=30, group="web")
    <Tasks: 30 of 1 kinds, 1 groups>
    >>> sp.tasks([{"cpu": 0.5, "memory": -1}])
    Traceback (most recent call last):
    ...
    stowplan.placement.errors.SpecError: row 0: cpu: expected a whole number of at least 0, found...
    row 0: memory: expected a whole number of at least 0, found -1
    """
    found = rows_of(columns if rows is None else rows)
    problems: Problems = []
    unknown_columns(found, COLUMNS, problems)
    if rows is not None and columns:
        problems.append((", ".join(columns), "give a table or single columns, not both"))
    objects = Objects()
    kinds: dict[TaskKind, int] = {}
    index: list[int] = []
    for number, (place, row) in enumerate(found):
        kind = _kind(row, place, number, objects, problems)
        count = whole(row.get("count", 1), f"{place}: count", problems)
        if kind is not None:
            index += [kinds.setdefault(kind, len(kinds))] * count
    check(problems)
    return Tasks(TaskBatch(tuple(kinds), np.array(index, np.int32)), objects)


def _kind(
    row: Mapping[str, Any],
    place: str,
    number: int,
    objects: Objects,
    problems: Problems,
) -> TaskKind | None:
    before = len(problems)
    amounts = {
        _RESOURCES[n]: whole(row[n], f"{place}: {n}", problems) for n in _RESOURCES if n in row
    }
    for name, amount in prefixed(row, "resource:").items():
        amounts[name] = whole(amount, f"{place}: resource:{name}", problems)
    ports = [
        tuple(
            sorted({whole(port, f"{place}: {name}", problems, 1) for port in _list(row.get(name))})
        )
        for name in ("ports", "udp_ports")
    ]
    strategies = row.get("strategies")
    chain = (
        ()
        if strategies is None
        else chain_of(strategies, f"{place}: strategies", objects, problems)
    )
    expected_ms = None
    if "expected_s" in row:
        try:
            expected_ms = parse_duration_ms(row["expected_s"])
        except ValueError as error:
            problems.append((f"{place}: expected_s", str(error)))
    if any(port > 65535 for each in ports for port in each):
        problems.append((f"{place}: ports", "a port is a number from 1 to 65535"))
    constraints = _constraints(row.get("constraints"), f"{place}: constraints", problems)
    if not any(amounts.values()) and len(problems) == before:
        problems.append((place, "asks for nothing: give cpu, memory or another resource"))
    if len(problems) > before:
        return None
    return TaskKind(
        tuple((name, amount) for name, amount in amounts.items() if amount),
        str(row.get("group", f"task-{number}")),
        ports[0],
        ports[1],
        texts(row.get("required_attributes")),
        texts(row.get("zones")),
        constraints,
        chain,
        expected_ms=expected_ms,
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set | np.ndarray) else [value]


def _constraints(value: Any, place: str, problems: Problems) -> tuple[PlacementConstraint, ...]:
    found = []
    for each in _list(value):
        try:
            constraint = parse_constraint(each)
            check_of(constraint, CONSTRAINTS)
            found.append(constraint)
        except (ValueError, PlacementError) as error:
            problems.append((place, str(error)))
    if len(found) > CONSTRAINTS_MAX:
        problems.append((place, f"{len(found)} constraints, ECS allows {CONSTRAINTS_MAX}"))
    return tuple(found)


def _text(link: Any) -> str:
    rest = getattr(link, "field", None) or getattr(link, "expression", None)
    return f"{link.type}:{rest}" if rest else str(link.type)
