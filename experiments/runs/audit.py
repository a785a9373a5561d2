"""A journal judged: does it replay to the same commands, and does it break no rule?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stowplan.placement.audit.checkers import Violation, check_rounds
from stowplan.placement.audit.constraint_rules import Rule, not_judged
from stowplan.placement.constraints import CONSTRAINTS, check_of
from stowplan.placement.journal import Header, ReplayError, replay
from stowplan.placement.messages import CreateService, Round, RunTask, UpdateService
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory


@dataclass(frozen=True)
class Verdict:
    """What a journal was found to be.

    Args:
        rounds: so many replay to the same commands; all of them unless there is an `error`.
        error: why it does not replay, "" where it does.
        violations: rules that were broken or could not be checked, in order.
        not_judged: types of constraints that have code, so nothing but the replay speaks for them.
    """

    rounds: int
    error: str = ""
    violations: tuple[Violation, ...] = ()
    not_judged: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it replays and breaks no rule."""
        return not self.error and not self.violations


def judged(header: Header, rounds: Sequence[Round], own: Mapping[str, StrategyFactory]) -> Verdict:
    """Replay a journal in a fresh scheduler, then let the checkers read it.

    Args:
        own: the user's own strategies that it names.
    """
    registry = {**STRATEGIES, **own}
    unknown = [name for name in _strategies(rounds) if name not in registry]
    if unknown:
        return Verdict(0, f"STRATEGIES has no {', '.join(unknown)}, so it cannot be replayed")
    unjudged = not_judged(rounds, stated_by_class)
    unknown = [name for name, known in unjudged.items() if not known]
    if unknown:
        what = f"CONSTRAINTS has no {', '.join(unknown)}, so it can be neither replayed nor judged"
        return Verdict(0, what)
    try:
        count = replay(Scheduler(header.config, registry), rounds)
    except ReplayError as error:
        return Verdict(0, str(error))
    violations = check_rounds(rounds, stated=stated_by_class)
    return Verdict(count, "", tuple(violations), tuple(unjudged))


def _strategies(rounds: Sequence[Round]) -> dict[str, None]:
    """The types of strategies that calls name, in order."""
    return dict.fromkeys(
        link.type
        for entry in rounds
        for call in entry.accepted()
        if isinstance(call, RunTask | CreateService | UpdateService)
        for link in call.placement_strategy or ()
    )


def stated_by_class(constraint: PlacementConstraint) -> Rule | None:
    """What the class of a constraint says of it; None where there is no such class."""
    if constraint.type not in CONSTRAINTS:
        return None
    check = check_of(constraint)
    query = None if check.query is None else check.query.expression
    return Rule(check.name, check.most, query, whole=check.code is None)
