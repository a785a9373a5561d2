"""Journals of runs as files: gzip JSON lines of a simulation, SQLite of a run on real engines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, read_journal
from stowplan.placement.messages import Round
from stowplan.realdriver.journal import DurableJournal

SUFFIXES = (".jsonl.gz", ".sqlite")
_SQLITE = b"SQLite format 3\0"  # how such a file begins, whatever its name


@contextmanager
def open_journal(
    journal: Path | IO[bytes], name: str = ""
) -> Iterator[tuple[Header, Iterator[Round]]]:
    """A journal's header and its rounds, read one by one; SpecError where it cannot be read.

    That of a real run may be read while the run goes on; rounds that come later are not seen.
    `name` is what errors call a journal that is a stream.
    """
    name = name or str(journal)
    try:
        if isinstance(journal, Path) and _is_durable(journal):
            with closing(DurableJournal(journal, writing=False)) as durable:
                header = durable.header()
                if header is None:
                    raise SpecError([(name, "its run has not begun yet")])
                yield header, durable.rounds()
            return
        with gzip.open(journal) as stream:
            yield read_journal(stream, name)
    except FileNotFoundError as error:
        raise SpecError([(name, "no such file")]) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SpecError([(name, f"not a journal of stowplan ({error})")]) from error
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise SpecError([(name, what)]) from error


def _is_durable(journal: Path) -> bool:
    with journal.open("rb") as stream:
        return stream.read(len(_SQLITE)) == _SQLITE


def journal_stem(journal: Path) -> str:
    """The name of a journal's file without what says how it is written."""
    name = journal.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def read_journal_file(journal: Path) -> tuple[Header, list[Round]]:
    """Header and all rounds of a journal. Raises as `open_journal` does."""
    with open_journal(journal) as (header, rounds):
        return header, list(rounds)
