"""The file of a journal, which a full disk does not take the run with it."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from stowplan.experiments.record.output import is_full


class _UntilFull(io.RawIOBase):
    """Writes to a file while the disk has room; from then on it takes everything and keeps nothing,
    and gives back the room that it had."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.full = False

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object, /) -> int:
        """Take all of the bytes. Raises OSError where something else than room is lacking."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(view) and not self.full:
            try:
                done += self._file.write(view[done:]) or 0
            except OSError as error:
                if not is_full(error):
                    raise
                self.full = True
                self._file.truncate(0)
        return len(view)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def journal_file(path: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """A file to write a journal to. On a full disk the run goes on without one, and says so.

    A stream that is open already is what it is, and stays open.
    """
    if not isinstance(path, Path):
        yield path
        return
    with _UntilFull(path) as stream:
        yield cast(IO[bytes], stream)
    if stream.full:
        path.unlink()
        said = f"no space left on the disk for {path.name}: the run goes on without its journal"
        print(f"stowplan: {said}", file=sys.stderr, flush=True)
