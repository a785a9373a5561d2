"""A journal judged: does it replay to the same commands, and does it break no rule?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from stowplan.placement.audit.checkers import Violation, Watch
from stowplan.placement.audit.constraint_rules import Rule
from stowplan.placement.audit.figures import Figures
from stowplan.placement.constraints import CONSTRAINTS, check_of
from stowplan.placement.journal import Header, ReplayError, replay
from stowplan.placement.messages import CreateService, Round, RunTask, UpdateService
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory

Told = Callable[[Iterable[Round], Callable[[], int]], Iterable[Round]]


@dataclass(frozen=True)
class Verdict:
    """What a journal was found to be.

    Args:
        rounds: so many replay to the same commands; all of them unless there is an `error`.
        error: why it does not replay, "" where it does.
        violations: rules that were broken or could not be checked, in order.
        not_judged: types of constraints that have code, so nothing but the replay speaks for them.
        figures: the metrics, as the audit works them out for itself.
    """

    rounds: int
    error: str = ""
    violations: tuple[Violation, ...] = ()
    not_judged: tuple[str, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it replays and breaks no rule."""
        return not self.error and not self.violations


def judged(
    header: Header,
    rounds: Iterable[Round],
    own: Mapping[str, StrategyFactory],
    told: Told = lambda rounds, _: rounds,
) -> Verdict:
    """Replay a journal in a fresh scheduler and let the checkers read it, round by round.

    Args:
        rounds: read once.
        own: the user's own strategies that it names.
        told: passes the rounds on and says how far they are; its second argument answers how many
            violations there are so far.
    """
    registry = {**STRATEGIES, **own}
    watch, figures = Watch(stated=stated_by_class), Figures(stated_by_class)
    unknown: dict[str, None] = {}

    def before(entry: Round) -> None:
        unknown.update(dict.fromkeys(name for name in _named(entry) if name not in registry))
        watch(entry)

    error = ""
    try:
        read = told(rounds, lambda: len(watch.violations))
        replay(Scheduler(header.config, registry), _watched(read, before, figures))
    except ReplayError as found:
        error = str(found)
    lacking = [name for name, known in watch.not_judged.items() if not known]
    if unknown:
        return Verdict(0, f"STRATEGIES has no {', '.join(unknown)}, so it cannot be replayed")
    if lacking:
        what = f"CONSTRAINTS has no {', '.join(lacking)}, so it can be neither replayed nor judged"
        return Verdict(0, what)
    if error:
        return Verdict(0, error, tuple(watch.violations))
    not_judged = tuple(watch.not_judged)
    return Verdict(watch.rounds, "", tuple(watch.violations), not_judged, figures.row())


def _named(entry: Round) -> Iterator[str]:
    """The types of strategies that the calls of a round name."""
    for call in entry.accepted():
        if isinstance(call, RunTask | CreateService | UpdateService):
            for link in call.placement_strategy or ():
                yield link.type


def _watched(
    rounds: Iterable[Round], before: Callable[[Round], None], after: Callable[[Round], None]
) -> Iterator[Round]:
    """The same rounds, each shown to one before it is replayed, to the other once that went well.

    So what adds up figures meets no round that makes no sense.
    """
    for entry in rounds:
        before(entry)
        yield entry
        after(entry)


def stated_by_class(constraint: PlacementConstraint) -> Rule | None:
    """What the class of a constraint says of it; None where there is no such class."""
    if constraint.type not in CONSTRAINTS:
        return None
    check = check_of(constraint)
    query = None if check.query is None else check.query.expression
    return Rule(check.name, check.most, query, whole=check.code is None)
