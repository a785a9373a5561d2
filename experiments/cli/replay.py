"""`stowplan replay`: a journal as one HTML page, on which the run can be watched."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from stowplan.experiments.loading.load import load_strategies
from stowplan.experiments.record.journals import journal_stem, open_journal
from stowplan.experiments.record.refused import Refusal, Refused, tells_of_none
from stowplan.experiments.report.refused import cells
from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import embedded, page
from stowplan.experiments.runs.simulate import uncollected
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.journal import replay
from stowplan.placement.messages import Round
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES

# What names a run, of all that a journal's header says of it.
TITLE = ("scenario", "strategy", "layout", "faults")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan replay`."""
    parser.add_argument("journal", type=Path, help="a journal, .jsonl.gz or a real run's .sqlite")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="default: beside the journal")
    parser.add_argument(
        "--strategies",
        type=Path,
        default=Path(),
        help="folder that the journal's own strategies are named from (default: here)",
    )
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Write the page of a journal and say where it is."""
    journal = arguments.journal
    out = arguments.out or journal.with_name(journal_stem(journal) + ".html")
    page = replay_page(journal, folder=arguments.strategies)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SpecError([(f"--out {out}", error.strerror or str(error))]) from error
    print(f"replay: {out} ({max(1, len(page) // 1000):,} kB)")
    return 0


def replay_page(journal: Path | IO[bytes], name: str = "", folder: Path = Path()) -> str:
    """The page of a journal: it needs nothing else. Raises SpecError where that cannot be read.

    Args:
        name: what a journal that is a stream is called.
        folder: that its own strategies are named from, to say why tasks found no room.
    """
    frames, found_none = Frames(), False
    whole = str(journal) if isinstance(journal, Path) else name
    with open_journal(journal, whole) as (header, rounds):
        for entry in rounds:
            frames(entry)
            found_none = found_none or tells_of_none(entry)
    refused = _refusals(journal, whole, folder) if found_none else []
    title = " · ".join(header.run[key] for key in TITLE if key in header.run)
    title = title or Path(whole).name
    return page(title, embedded(frames), refused=[cells(each) for each in refused])


def _refusals(journal: Path | IO[bytes], name: str, folder: Path) -> list[Refusal]:
    """What found no room, explained by a scheduler that lives through the journal; nothing where
    its strategies are not there to do so."""
    if not isinstance(journal, Path):
        journal.seek(0)
    with open_journal(journal, name) as (header, rounds), uncollected():
        try:
            own = load_strategies(header.strategies, folder)
        except SpecError:
            return []
        scheduler = Scheduler(header.config, {**STRATEGIES, **own})
        refused = Refused(scheduler)

        def shown() -> Iterator[Round]:
            for entry in rounds:
                yield entry
                refused(entry)

        try:
            replay(scheduler, shown())
        except PlacementError:  # of another version: `verify` says what is wrong
            return []
    return refused.refusals()
