"""`stowplan replay`: a journal as one HTML page, on which the run can be watched."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import IO

from stowplan.experiments.record.journals import open_journal
from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import embedded, page
from stowplan.placement.errors import SpecError

# What names a run, of all that a journal's header says of it.
TITLE = ("scenario", "strategy", "layout", "faults")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan replay`."""
    parser.add_argument("journal", type=Path, help="a journal (.jsonl.gz)")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="default: beside the journal")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Write the page of a journal and say where it is."""
    journal = arguments.journal
    out = arguments.out or journal.with_name(journal.name.removesuffix(".jsonl.gz") + ".html")
    page = replay_page(journal)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SpecError([(f"--out {out}", error.strerror or str(error))]) from error
    print(f"replay: {out} ({len(page) / 1e6:.1f} MB)")
    return 0


def replay_page(journal: Path | IO[bytes], name: str = "") -> str:
    """The page of a journal: it needs nothing else. Raises SpecError where that cannot be read.

    `name` is what a journal that is a stream is called.
    """
    frames = Frames()
    whole = str(journal) if isinstance(journal, Path) else name
    with open_journal(journal, whole) as (header, rounds):
        for entry in rounds:
            frames(entry)
    title = " · ".join(header.run[key] for key in TITLE if key in header.run)
    title = title or Path(whole).name
    return page(title, embedded(frames))
