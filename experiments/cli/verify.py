"""`stowplan verify`: a journal replays to the same commands and breaks no rule."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.record.journals import read_journal_file
from stowplan.placement.journal import ReplayError, replay
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan verify`."""
    parser.add_argument("journal", type=Path, nargs="+", help="journals (.jsonl.gz)")
    parser.add_argument(
        "--strategies",
        type=Path,
        default=Path(),
        help="folder that the journal's own strategies are named from (default: here)",
    )
    parser.set_defaults(command=verify)


def verify(arguments: argparse.Namespace) -> int:
    """`stowplan verify`: each journal replays to the same commands and breaks no rule."""
    broken = [_verify_one(journal, arguments.strategies) for journal in arguments.journal]
    return 1 if any(broken) else 0


def _verify_one(journal: Path, folder: Path) -> bool:
    """Check one journal; True where it breaks a rule."""
    from stowplan.experiments.runs.audit import stated_by_class
    from stowplan.placement.audit.checkers import check_rounds
    from stowplan.placement.audit.constraint_rules import not_judged

    header, rounds = read_journal_file(journal)
    own = load_strategies(header.strategies, folder)
    unjudged = not_judged(rounds, stated_by_class)
    unknown = [name for name, known in unjudged.items() if not known]
    if unknown:
        what = f"CONSTRAINTS has no {', '.join(unknown)}, so it can be neither replayed nor judged"
        print(f"{journal}: {what}", file=sys.stderr)
        return True
    try:
        count = replay(Scheduler(header.config, {**STRATEGIES, **own}), rounds)
    except ReplayError as error:
        print(f"{journal}: {error}", file=sys.stderr)
        return True
    violations = check_rounds(rounds, stated=stated_by_class)
    for violation in violations:
        print(f"{journal}: {violation}", file=sys.stderr)
    print(f"{journal}: {count} rounds replay to the same commands, {len(violations)} violations")
    for name in unjudged:
        what = "has code of its own, so nothing but the replay speaks for it"
        print(f"{journal}: not judged: constraint {name} {what}")
    return bool(violations)
