"""Journals of runs as files: gzip JSON lines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, read_journal
from stowplan.placement.messages import Round


@contextmanager
def open_journal(
    journal: Path | IO[bytes], name: str = ""
) -> Iterator[tuple[Header, Iterator[Round]]]:
    """A journal's header and its rounds, read one by one; SpecError where it cannot be read.

    `name` is what errors call a journal that is a stream.
    """
    name = name or str(journal)
    try:
        with gzip.open(journal) as stream:
            yield read_journal(stream, name)
    except FileNotFoundError as error:
        raise SpecError([(name, "no such file")]) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SpecError([(name, f"not a journal of stowplan ({error})")]) from error
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise SpecError([(name, what)]) from error


def read_journal_file(journal: Path) -> tuple[Header, list[Round]]:
    """Header and all rounds of a journal (.jsonl.gz). Raises as `open_journal` does."""
    with open_journal(journal) as (header, rounds):
        return header, list(rounds)
