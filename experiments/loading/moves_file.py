"""Reads the plan of a repack back, as `stowplan optimize --goal repack --out` wrote it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stowplan.placement.errors import SpecError

SERVICE = "service:"


class StepTable(msgspec.Struct, frozen=True, rename={"source": "from", "target": "to"}):
    """A task of this group moves from one instance to another, both by EC2 id."""

    group: str
    target: str
    source: str | None = None
    parking: bool = False

    @property
    def by_ecs(self) -> bool:
        """Whether ECS moves it: a task of a service."""
        return self.group.startswith(SERVICE)


class _PlanTable(msgspec.Struct, frozen=True):
    moves: tuple[StepTable, ...]
    freed: tuple[str, ...]
    cluster: str
    scenario: str
    held: dict[str, dict[str, int]]
    emptied: tuple[str, ...]
    usd_hour: dict[str, float]


class _AnswerTable(msgspec.Struct, frozen=True):
    plan: _PlanTable


@dataclass(frozen=True)
class MovesPlan:
    """Moves in order, for a cluster as it was.

    Args:
        held: instance -> group -> tasks, before the first move; daemons apart.
        emptied: the instances that hold nothing in the end; `freed` are those that held something.
        usd_hour: of the instances in use, `before` and `after`.
        mark: tells this plan from every other.
    """

    steps: tuple[StepTable, ...]
    freed: tuple[str, ...]
    emptied: tuple[str, ...]
    cluster: str
    scenario: Path
    held: Mapping[str, Mapping[str, int]]
    usd_hour: Mapping[str, float]
    mark: str

    @property
    def standalone(self) -> list[tuple[int, StepTable]]:
        """The moves that are ours to make, with their numbers."""
        return [(n, step) for n, step in enumerate(self.steps) if not step.by_ecs]


def read_moves(path: Path) -> MovesPlan:
    """The plan in a folder, or in its `answer.json`.

    Raises:
        SpecError: there is none, or none that says of which cluster it is.
    """
    file = path / "answer.json" if path.is_dir() else path
    try:
        text = file.read_bytes()
        content: Any = json.loads(text)
        plan = msgspec.convert(content, _AnswerTable).plan
    except OSError as error:
        raise SpecError([(str(file), error.strerror or str(error))]) from error
    except ValueError as error:  # msgspec's own and json's are of this kind
        what = (
            "is no plan of moves: `stowplan optimize SCENARIO --goal repack --at 0s --out FOLDER`"
        )
        raise SpecError([(str(file), f"{what} writes one ({error})")]) from error
    if any(step.source is None for step in plan.moves):
        what = "starts tasks that wait (--waiting): ECS starts those by itself once there is room"
        raise SpecError([(str(file), what)])
    return MovesPlan(
        *(plan.moves, plan.freed, plan.emptied, plan.cluster, Path(plan.scenario), plan.held),
        *(plan.usd_hour, hashlib.sha256(text).hexdigest()[:6]),
    )
