"""A scenario file without the parts that have a wrong shape, so that the rest is checked too.

A field that is wrong is taken out, and with a required one the table that needs it. A fault is
taken out whole, since its fields need each other.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from stowplan.experiments.loading.shape_problems import place_text, shape_problems
from stowplan.experiments.loading.shapes import Place, spot
from stowplan.placement.scenario.scenario import Scenario

_GONE = object()
# For what a scenario must have; with a duration so long that nothing lies after its end.
_STAND_INS = {"name": "?", "duration": f"{2**40}ms", "task_definitions": {}}
# Other tables refer to none of their fields, so only a missing table matters.
_ASKED_BY_NAME = ("service", "workload")


@dataclass(frozen=True, slots=True)
class SoundPart:
    """A scenario without the parts that have a wrong shape.

    `problems` are what was wrong; `incomplete` names the tables of the file that lack something
    which others may refer to; `moved` gives (place here, place in the file) where they differ.
    """

    scenario: Scenario
    problems: tuple[tuple[str, str], ...] = ()
    incomplete: frozenset[str] = frozenset()
    moved: tuple[tuple[str, str], ...] = ()

    def place(self, here: str) -> str:
        """Where something is in the file that is at `here` in the scenario."""
        for new, old in self.moved:
            if here == new or here.startswith((f"{new}.", f"{new}[")):
                return old + here[len(new) :]
        return here


def sound_part(document: Mapping[str, Any]) -> SoundPart:
    """The part of a scenario's document that has the right shape; all of it without problems."""
    try:
        return SoundPart(Scenario.model_validate(document))
    except ValidationError as error:
        problems = tuple(shape_problems(error, Scenario))
    rest, incomplete = copy.deepcopy(dict(document)), set[str]()
    while True:
        kept: dict[Place, list[int]] = {}
        try:
            scenario = Scenario.model_validate(_compact(rest, (), kept))
        except ValidationError as error:
            for each in error.errors():
                if "literal[False]" not in each["loc"]:
                    place = _in_file(spot(Scenario, each["loc"]).place, kept)
                    wrong = place[:-1] if each["type"] == "missing" else place
                    gone = _take_out(rest, wrong[:3] if place[0] == "faults" else wrong)
                    if not gone:
                        rest[str(place[0])] = _STAND_INS[str(place[0])]
                    if len(gone) <= 2 or gone[0] not in _ASKED_BY_NAME:
                        incomplete.add(str(place[0]))
        else:
            return SoundPart(scenario, problems, frozenset(incomplete), _moved(kept))


def _compact(value: Any, place: Place, kept: dict[Place, list[int]]) -> Any:
    """The value without the parts taken out; `kept` says which items each list still has."""
    if isinstance(value, dict):
        left = {key: each for key, each in value.items() if each is not _GONE}
        return {key: _compact(each, (*place, key), kept) for key, each in left.items()}
    if isinstance(value, list):
        kept[place] = [index for index, each in enumerate(value) if each is not _GONE]
        return [_compact(value[index], (*place, index), kept) for index in kept[place]]
    return value


def _in_file(place: Place, kept: Mapping[Place, list[int]]) -> Place:
    found: Place = ()
    for part in place:
        found = (*found, kept[found][part] if isinstance(part, int) else part)
    return found


def _take_out(rest: dict[str, Any], place: Place) -> Place:
    """Take out what is at a place, or the table around it. Returns that place, () for none."""
    value: Any = rest
    for depth, part in enumerate(place):
        there = part in value if isinstance(value, dict) else isinstance(value, list)
        if not there:
            break
        holder, value = value, value[part]
        if value is _GONE:
            return place[: depth + 1]
    else:
        depth = len(place)
    if depth:
        holder[place[depth - 1]] = _GONE
    return place[:depth]


def _moved(kept: Mapping[Place, list[int]]) -> tuple[tuple[str, str], ...]:
    """(place here, place in the file) of what comes after something that is gone."""
    moved = []
    for place, indices in kept.items():
        for old in indices:
            here = _here((*place, old), kept)
            if here != (*place, old):
                moved.append((place_text(here), place_text((*place, old))))
    return tuple(sorted(moved, key=lambda pair: -len(pair[0])))  # the innermost first


def _here(place: Place, kept: Mapping[Place, list[int]]) -> Place:
    return tuple(
        kept[place[:depth]].index(part) if isinstance(part, int) else part
        for depth, part in enumerate(place)
    )
