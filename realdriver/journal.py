"""A durable journal: the same rounds as `placement.journal`, in SQLite, committed one by one.

A round is on disk before its commands are carried out, so a run that starts again knows at least
all that was asked of the world. One run at a time: a lock that the system lifts when its holder
dies.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from stowplan.placement.driver import DriverError
from stowplan.placement.errors import PlacementError, check_format
from stowplan.placement.journal import (
    FORMAT,
    FORMATS_READ,
    Header,
    decode_round,
    read_journal,
)
from stowplan.placement.messages import Round

_SCHEMA = """
CREATE TABLE IF NOT EXISTS header (only INTEGER PRIMARY KEY CHECK (only = 1), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rounds (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot (
    only INTEGER PRIMARY KEY CHECK (only = 1), rounds INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS calls (number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL);
"""


class DurableJournal:
    """The journal in `file`. Call it with each round, as any journal.

    Args:
        file: made where it is missing, unless `writing` is false: then it must be there, and is
            only read, which may be while another process writes.

    Raises:
        DriverError: it cannot be opened, or is no journal.
        SpecError: its format version is too old or too new; nothing in it is changed then.
    """

    def __init__(self, file: Path, *, writing: bool = True) -> None:
        self._encoder = msgspec.json.Encoder()
        try:
            if writing:
                private_file(file)
            mode = "rwc" if writing else "rw"
            self._db = sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", 10, uri=True)
            self._db.isolation_level = None
            self._check_format(file)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            # Rounds are numbered without gaps; to count them all would read them all.
            (last,) = self._db.execute("SELECT max(number) FROM rounds").fetchone()
            self._count = 0 if last is None else last + 1
        except (sqlite3.Error, OSError) as error:
            raise DriverError(f"{file}: {error}") from error
        self._file = file

    def _check_format(self, file: Path) -> None:
        """A new file gets our version; one that has tables and no version is of the first."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version == 0 and tables == 0:
            self._db.execute(f"PRAGMA user_version = {FORMAT}")
            return
        try:
            check_format(str(file), "journals", version or 1, FORMATS_READ)
        except PlacementError:
            self._db.close()
            raise

    def __call__(self, entry: Round) -> None:
        """Append one round; when this returns it is on disk."""
        self._write("INSERT INTO rounds VALUES (?, ?)", self._count, self._encoder.encode(entry))
        self._count += 1

    def begin(self, header: Header) -> None:
        """Write the header, in place of one that no round followed."""
        assert self._count == 0, "the header of rounds is never changed"
        self._write("REPLACE INTO header VALUES (1, ?)", self._encoder.encode(header))

    def read(self) -> tuple[Header, list[Round]] | None:
        """What is written so far; None before the first `begin`."""
        header = self.header()
        return None if header is None else (header, list(self.rounds()))

    def header(self) -> Header | None:
        """The header alone; None before the first `begin`."""
        head = self._one("SELECT body FROM header")
        return None if head is None else read_journal(head, str(self._file))[0]

    def rounds(self, first: int = 0) -> Iterator[Round]:
        """The rounds from number `first` on, read one by one."""
        query = "SELECT body FROM rounds WHERE number >= ? ORDER BY number"
        try:
            for (body,) in self._db.execute(query, (first,)):
                yield decode_round(body, str(self._file))
        except sqlite3.Error as error:
            raise DriverError(f"{self._file}: {error}") from error

    def keep_snapshot(self, rounds: int, body: bytes) -> None:
        """Keep what somebody made of the first `rounds` rounds, in place of what was kept."""
        self._write("REPLACE INTO snapshot VALUES (1, ?, ?)", rounds, body)

    def snapshot(self) -> bytes | None:
        """What was kept last; None: nothing, or not of these rounds."""
        kept = self._one("SELECT body FROM snapshot WHERE rounds <= ?", self._count)
        return None if kept is None else kept[0]

    def _one(self, query: str, *values: Any) -> tuple[bytes] | None:
        try:
            found: tuple[bytes] | None = self._db.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise DriverError(f"{self._file}: {error}") from error
        return found

    def leave_call(self, call: Any) -> None:
        """Leave a call (an event of `placement.messages`) for the run that holds the lock."""
        self._write("INSERT INTO calls (body) VALUES (?)", self._encoder.encode(call))

    def calls(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Calls that were left with a number above `after`: (number, JSON)."""
        try:
            query = "SELECT number, body FROM calls WHERE number > ? ORDER BY number"
            yield from self._db.execute(query, (after,)).fetchall()
        except sqlite3.Error as error:
            raise DriverError(f"{self._file}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _write(self, statement: str, *values: Any) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise DriverError(f"{self._file}: {error}") from error


def private_folder(folder: Path) -> None:
    """Make a folder that nobody else may look into, and those above it that are missing.

    What tasks are given, passwords among it, stands in journals in plain words.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def private_file(file: Path) -> None:
    """See that a file is there that nobody else may read; SQLite's files beside it follow it."""
    private_folder(file.parent)
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    for each in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):  # another's: it is theirs to guard
            each.chmod(0o600)


class Busy(PlacementError):
    """Another run holds the cluster."""


class ClusterLock:
    """At most one run on a cluster. Held until `close`, or until the process is gone."""

    def __init__(self, file: Path) -> None:
        try:
            private_folder(file.parent)
            with suppress(PermissionError):
                file.parent.chmod(0o700)
            self._stream = file.open("ab")
        except OSError as error:
            raise DriverError(f"{file}: {error.strerror}") from error
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._stream.close()
            raise Busy(f"cluster {file.parent.name} is driven by another run") from None

    def close(self) -> None:
        """Let the next one in."""
        self._stream.close()
