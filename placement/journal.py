"""The journal: a header line, then a line of JSON for every round. It replays to the same commands.

The caller opens and closes the stream; nothing here knows of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace as replace_struct

from stowplan.placement.errors import PlacementError, check_format
from stowplan.placement.messages import CallRejected, Command, Round
from stowplan.placement.scheduler.config import SchedulerConfig

if TYPE_CHECKING:  # who only reads a journal needs none, and it takes its time to import
    from stowplan.placement.scheduler.scheduler import Scheduler

# The version that is written, and those that are read. It goes up when an older program would read
# a journal wrongly, or this one an older journal.
FORMAT = 1
FORMATS_READ = range(1, FORMAT + 1)


@dataclass(frozen=True, slots=True)
class Header:
    """What a replay needs before the first round, and what a reader wants to know of the run.

    `strategies` are the user's own, each as `file.py:Class`; `run` is free text.
    """

    config: SchedulerConfig
    run: Mapping[str, str] = field(default_factory=dict)
    strategies: tuple[str, ...] = ()
    format: int = FORMAT


class _Version(msgspec.Struct):
    """Of a header, what is known whatever the version; without it, it is the first."""

    format: Any = 1


class ByteSink(Protocol):
    """What a journal is written to: a binary file, a GzipFile."""

    def write(self, data: bytes, /) -> object: ...


class JournalWriter:
    """Appends rounds to a binary stream; call it with each round."""

    def __init__(self, stream: ByteSink, header: Header) -> None:
        self._stream = stream
        self._encoder = msgspec.json.Encoder()
        self._write(header)

    def __call__(self, entry: Round) -> None:
        """Append one round."""
        self._write(entry)

    def _write(self, value: Any) -> None:
        self._stream.write(self._encoder.encode(value) + b"\n")


def read_journal(lines: Iterable[bytes], place: str = "journal") -> tuple[Header, Iterator[Round]]:
    """The header and the rounds of a journal, read as they are asked for.

    Raises:
        PlacementError: a line does not parse, here or while iterating; it names `place` and line.
        SpecError: the journal's format version is too old or too new.
    """
    iterator = iter(lines)
    first = next(iterator, b"")
    # By itself: the header of another version may have another shape.
    version = _decode(first, _Version, place, 1).format
    check_format(place, "journals", version, FORMATS_READ)
    header = replace(_decode(first, Header, place, 1), format=version)
    return header, _rounds(iterator, place)


class ReplayError(PlacementError):
    """A recorded round, fed to a fresh scheduler, gave other commands."""


def replay(scheduler: Scheduler, rounds: Iterable[Round]) -> int:
    """Feed recorded rounds to a fresh scheduler and compare what it decides.

    Returns:
        the number of rounds, all of which gave the recorded commands.
    Raises:
        ReplayError: a round gave other commands; the message shows both.
    """
    count = 0
    for entry in rounds:
        for event in entry.events:
            scheduler.receive(event)
        commands = scheduler.decide(entry.now_ms)
        if commands != entry.commands and _without_codes(commands, entry) != entry.commands:
            raise ReplayError(
                f"round {count} at {entry.now_ms} ms replays differently:\n"
                f"recorded {entry.commands}\nreplayed {commands}"
            )
        count += 1
    return count


def _without_codes(commands: tuple[Command, ...], entry: Round) -> tuple[Command, ...]:
    """The commands as an older program would have written them: its rejections had no code."""
    recorded = (each for each in entry.commands if isinstance(each, CallRejected))
    if any(each.code for each in recorded):
        return commands
    return tuple(
        replace_struct(each, code="") if isinstance(each, CallRejected) else each
        for each in commands
    )


def _rounds(lines: Iterator[bytes], place: str) -> Iterator[Round]:
    for number, line in enumerate(lines, 2):
        yield _decode(line, Round, place, number)


def decode_round(line: bytes, place: str) -> Round:
    """One round of a journal by itself. Raises PlacementError where it does not parse."""
    found: Round = _decode(line, Round, place, 0)
    return found


def _decode(line: bytes, kind: type[Any], place: str, number: int) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise PlacementError(f"{place}:{number}: {error}") from error
