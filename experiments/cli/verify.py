"""`stowplan verify`: a journal replays to the same commands and breaks no rule."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.record.journals import read_journal_file


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
    from stowplan.experiments.runs.audit import judged

    header, rounds = read_journal_file(journal)
    verdict = judged(header, rounds, load_strategies(header.strategies, folder))
    if verdict.error:
        print(f"{journal}: {verdict.error}", file=sys.stderr)
        return True
    for violation in verdict.violations:
        print(f"{journal}: {violation}", file=sys.stderr)
    found = f"{verdict.rounds} rounds replay to the same commands"
    print(f"{journal}: {found}, {len(verdict.violations)} violations")
    for name in verdict.not_judged:
        what = "has code of its own, so nothing but the replay speaks for it"
        print(f"{journal}: not judged: constraint {name} {what}")
    return not verdict.ok
