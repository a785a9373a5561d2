"""The described state of a run at a time, or when something last lacked room in it.

A journal, a simulation and a run that goes on are the same here: rounds, of which a reader keeps
the state. No scheduler lives through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from stowplan.experiments.loading.load import Loaded, load_strategies
from stowplan.experiments.runs.simulate import drive, uncollected, world
from stowplan.placement.describe import Reader, State
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.messages import Round
from stowplan.placement.scenario.scenario import Run
from stowplan.placement.scheduler.asked import Asked
from stowplan.placement.scheduler.described import Described
from stowplan.placement.scheduler.lacking import Lack
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory

Journal = Callable[[], AbstractContextManager[tuple[Header, Iterable[Round]]]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A cluster as it was described at a time.

    `lack` says what was asked about: one more task of it; None where nothing was.
    """

    described: Described
    at_ms: int
    lack: Lack | None


def moment_of(
    journal: Journal, folder: Path, name: str | None = None, at_ms: int | None = None
) -> Moment:
    """Read a journal to a time; None: to when `name` last lacked room, else to its end.

    Args:
        journal: opens the journal; it may be read twice.
        folder: that the journal's own strategies are named from.
        name: what is asked about, see `Asked`; None: nothing.
    Raises:
        SpecError: nothing is called `name`, or the journal ends before `at_ms`.
    """
    found = _read(journal, folder, name, at_ms)
    if at_ms is not None and not found.past and at_ms > found.state.now_ms:
        end = f"the journal ends after {found.state.now_ms / 1000:g} s"
        raise SpecError([("--at", end)])
    if at_ms is None and found.last is not None and found.last < found.state.rounds:
        found = _read(journal, folder, name, rounds_most=found.last)
    return found.moment(at_ms)


def moment_now(header: Header, state: State, folder: Path, name: str | None) -> Moment | None:
    """A state as it is. None: it does not say what is asked about, which the rounds may do."""
    return moment_in(state, name, _strategies(header, folder))


def moment_in(
    state: State, name: str | None, strategies: Mapping[str, StrategyFactory] = STRATEGIES
) -> Moment | None:
    """The same for a state that no journal is known of."""
    described = Described(state, strategies)
    lack = None if name is None else described.lack(name)
    if name is not None and lack is None:
        return None
    return Moment(described, state.now_ms, lack)


class _Watched:
    """A state, shown every round; `last`: after how many of them room lacked last, `past`: there
    were more than are meant."""

    def __init__(self, strategies: Mapping[str, StrategyFactory], name: str | None) -> None:
        self._reader, self._strategies = Reader(), strategies
        self._asked = None if name is None else Asked(name)
        self.last: int | None = None
        self.past = False

    @property
    def state(self) -> State:
        return self._reader.state

    def __call__(self, entry: Round) -> None:
        self._reader(entry)
        if self._asked is not None and self._asked.lacks(entry, self.state):
            self.last = self.state.rounds

    def moment(self, at_ms: int | None) -> Moment:
        described = Described(self.state, self._strategies)
        lack = None if self._asked is None else self._asked.lack(described)
        return Moment(described, self.state.now_ms if at_ms is None else at_ms, lack)


def _strategies(header: Header, folder: Path) -> dict[str, StrategyFactory]:
    return {**STRATEGIES, **load_strategies(header.strategies, folder)}


def _read(
    journal: Journal,
    folder: Path,
    name: str | None,
    at_ms: int | None = None,
    rounds_most: int | None = None,
) -> _Watched:
    with journal() as (header, rounds), uncollected():
        watched = _Watched(_strategies(header, folder), name)
        for entry in rounds:
            late = at_ms is not None and entry.now_ms > at_ms
            if late or watched.state.rounds == rounds_most:
                watched.past = True
                break
            watched(entry)
    return watched


class _Enough(Exception):
    """A simulation has come to the moment that is asked for."""


def simulated_moment(loaded: Loaded, run: Run, name: str, at_ms: int | None = None) -> Moment:
    """Simulate a run to a time; None: until `name` first lacks room, else to the end.

    Raises:
        SpecError: nothing is called `name`, or the scenario ends before `at_ms`.
    """
    duration = loaded.scenario.duration
    if at_ms is not None and at_ms > duration:
        raise SpecError([("--at", f"the scenario ends after {duration / 1000:g} s")])
    scheduler, driver = world(loaded, run, duration)
    watched = _Watched(loaded.strategies, name)

    def record(entry: Round) -> None:
        if at_ms is not None and entry.now_ms > at_ms:
            raise _Enough
        watched(entry)
        if watched.last is not None and at_ms is None:
            raise _Enough

    with uncollected(), suppress(_Enough):
        drive(loaded, run, scheduler, driver, record)
    end_ms = None if watched.last is not None else duration
    return watched.moment(end_ms if at_ms is None else at_ms)
