"""For how long a service had the tasks it was to have: a part of `placement.audit.figures`.

The time of a service falls into stretches between the moments at which something changed. First
its climbs are found, then each stretch is judged by the climb that it is part of.

A climb begins with the service, or with a higher count, and ends once as many tasks are up. It is
excused if it gets there, or if a mishap ends it; not if the count is taken back or the run ends.
Nobody watches an excused first climb; in a later one the service is held to what it had before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

Asked = tuple[int, int]  # desired count, minimum healthy percent


@dataclass(slots=True)
class Story:
    """What befell a service, each with the ms: counts asked for, tasks come (1) or gone (-1), and
    mishaps, which are tasks that ended though nobody stopped them."""

    asked: list[tuple[int, Asked]] = field(default_factory=list)
    changes: list[tuple[int, int]] = field(default_factory=list)
    mishaps: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Climb:
    first: bool
    level: int
    excused: bool = False


@dataclass(slots=True)
class _Stretch:
    """From a moment to the next: tasks up, count and percent asked for, the climb that goes on."""

    ms: int
    up: int = 0
    asked: Asked = (0, 100)
    climb: _Climb | None = None
    level: int = 0  # what it was held to before the climb, and not less asked since


def longest_below(story: Story, end_ms: int) -> int:
    """The longest time without a break, in ms, in which fewer than minimum healthy were up."""
    stretches = list(_stretches(story))
    longest = since_ms = 0
    below = False
    for each, until_ms in zip(
        stretches, [*(each.ms for each in stretches[1:]), end_ms], strict=True
    ):
        held, excused = each.asked[0], each.climb is not None and each.climb.excused
        if excused and each.climb is not None:
            held = 0 if each.climb.first else each.level
        short = 100 * each.up < held * each.asked[1]
        since_ms = since_ms if below else each.ms
        below = short
        longest = max(longest, until_ms - since_ms) if short else longest
    return longest


def shares(story: Story, end_ms: int) -> tuple[float, float]:
    """Percent of the time watched with the desired count up, and with minimum healthy."""
    stretches = list(_stretches(story))
    ends = [each.ms for each in stretches[1:]] + [end_ms]
    watched = at_desired = at_minimum = 0
    for each, until_ms in zip(stretches, ends, strict=True):
        held = each.asked[0]
        if each.climb is not None and each.climb.excused:
            if each.climb.first:
                continue
            held = each.level
        ms = until_ms - each.ms
        watched += ms
        at_desired += ms * (each.up >= held)
        at_minimum += ms * (100 * each.up >= held * each.asked[1])
    watched = max(1, watched)
    return 100 * at_desired / watched, 100 * at_minimum / watched


def _stretches(story: Story) -> Iterator[_Stretch]:
    """Climbs that go on may still come to be excused: read them when all are there."""
    told: list[tuple[int, int, Asked | int]] = [(ms, 0, asked) for ms, asked in story.asked]
    told += [(ms, 1, 0) for ms in story.mishaps]
    told += [(ms, 2, change) for ms, change in story.changes]
    told.sort(key=lambda each: each[:2])
    climb: _Climb | None = _Climb(True, 0)
    asked: Asked = (0, 100)
    up = 0
    for ms, those in groupby(told, key=lambda each: each[0]):
        before, mishap = up, False
        for _, kind, what in those:
            if isinstance(what, tuple):
                climb, asked = _asks(climb, asked[0], what[0], before), what
            elif kind == 1:
                mishap = True
            else:
                up += what
        if climb is not None:
            # Nothing can go wrong with the first climb of a service that is to have no tasks.
            ends_it = mishap and (asked[0] > 0 or not climb.first)
            if ends_it or up >= asked[0]:
                climb.excused, climb = True, None
        yield _Stretch(ms, up, asked, climb, 0 if climb is None else climb.level)


def _asks(climb: _Climb | None, old: int, new: int, up: int) -> _Climb | None:
    """The climb that goes on once a count is asked for, of a service that has `up` tasks."""
    if climb is None:
        return _Climb(False, old) if new > old else None
    if not climb.first and new < old and up >= new:
        return None  # taken back
    climb.level = min(climb.level, new)
    return climb
