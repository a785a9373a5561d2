"""`stowplan replay`: a journal as one HTML page, on which the run can be watched."""

from __future__ import annotations

import argparse
import base64
import gzip
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from stowplan.experiments.cli.simulate import open_journal
from stowplan.experiments.paths import TEMPLATES
from stowplan.experiments.report.replay_frames import Frames
from stowplan.placement.errors import SpecError

# Of the data in the page, compressed and in base64.
BYTES_MAX, FRAMES_MIN = 9_000_000, 20

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


def replay_page(journal: Path) -> str:
    """The page of a journal: it needs nothing else. Raises SpecError where that cannot be read."""
    frames = Frames()
    with open_journal(journal) as (header, rounds):
        for entry in rounds:
            frames(entry)
    title = " · ".join(header.run[key] for key in TITLE if key in header.run) or journal.name
    return page(title, embedded(frames))


def embedded(frames: Frames) -> str:
    """The document of `frames`, gzip in base64, with as many frames as fit in `BYTES_MAX`."""
    while True:
        document = frames.document()
        data = gzip.compress(msgspec.json.encode(document), 6, mtime=0)
        text = base64.b64encode(data).decode()
        if len(text) <= BYTES_MAX or len(document["frames"]["ms"]) <= FRAMES_MIN:
            return text
        frames.halve()


def page(title: str, data: str = "", live: str = "") -> str:
    """The page around `data` (as `embedded` has it), or one that follows a run.

    Args:
        live: where the page fetches `Frames.document()` as JSON, every two seconds.
    """
    environment: Any = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("replay.html.j2")
    return str(template.render(title=title, data=data, live=live))
