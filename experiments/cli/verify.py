"""`stowplan verify`: a journal replays to the same commands and breaks no rule."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.record.journals import open_journal
from stowplan.placement.journal import Header

if TYPE_CHECKING:
    import pandas as pd


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan verify`."""
    parser.add_argument("journal", type=Path, nargs="+", help=".jsonl.gz, or a real run's .sqlite")
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
    """Check one journal, round by round as it is read; True where it breaks a rule."""
    from stowplan.experiments.report.progress_lines import with_progress
    from stowplan.experiments.runs.audit import judged
    from stowplan.experiments.runs.simulate import uncollected
    from stowplan.placement.audit.figures import differing

    with open_journal(journal) as (header, rounds), uncollected():
        own = load_strategies(header.strategies, folder)
        verdict = judged(
            header, rounds, own, lambda told, broken: with_progress(told, str(journal), broken)
        )
    for violation in verdict.violations:
        print(f"{journal}: {violation}", file=sys.stderr)
    if verdict.error:
        print(f"{journal}: {verdict.error}", file=sys.stderr)
        return True
    found = f"{verdict.rounds} rounds replay to the same commands"
    print(f"{journal}: {found}, {len(verdict.violations)} violations")
    for name in verdict.not_judged:
        what = "has code of its own, so nothing but the replay speaks for it"
        print(f"{journal}: not judged: constraint {name} {what}")
    said = _results_beside(journal, header)
    wrong = [] if said is None else differing(verdict.figures, said)
    for what in wrong:
        print(f"{journal}: {what}", file=sys.stderr)
    if said is not None and not wrong:
        print(f"{journal}: the numbers of its results are what the journal comes to")
    return bool(wrong) or not verdict.ok


def _results_beside(journal: Path, header: Header) -> Mapping[str, float] | None:
    """The row of a run in the results folder that its journal lies in; None: there is none.

    With what its tables of costs say. What was repeated with ties decided another way has its rows
    in a table of its own.
    """
    name = "results"
    keys: tuple[str, ...] = ("strategy", "layout", "faults")
    if "ties" in header.run:
        name, keys = "ties", (*keys, "ties", "draw")
    table = journal.absolute().parent.parent / f"{name}.parquet"
    if journal.absolute().parent.name != "journals" or not table.is_file():
        return None
    frame = _rows(table, keys, header)
    if len(frame) != 1:
        return None
    said = {str(n): float(v) for n, v in frame.select_dtypes("number").iloc[0].items()}
    costs = [table.with_name(f"{each}.parquet") for each in ("costs", "owner_costs")]
    if "ties" not in header.run and all(path.is_file() for path in costs):
        from stowplan.experiments.record.cost_frames import named_costs

        said |= named_costs(*(_rows(path, keys, header) for path in costs))
    return said


def _rows(table: Path, keys: Sequence[str], header: Header) -> pd.DataFrame:
    """The rows of a table that are about the run of a journal."""
    import pandas as pd

    frame = pd.read_parquet(table)
    for key in keys:
        frame = frame[frame[key].astype(str) == header.run.get(key)]
    return frame
