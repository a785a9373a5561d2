"""Where runs on real engines keep their journals: a folder for each cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stowplan.placement.describe import State
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.messages import Round
from stowplan.realdriver.journal import ClusterLock, DurableJournal
from stowplan.realdriver.standing import read_state

ID, SCENARIO = "id", "digest"
PLAYED_BY = "played by"  # in a header, as JSON: instance -> what plays it, for people


def state_folder(given: Path | None) -> Path:
    """The folder of all clusters: as given, else the one of the user's state."""
    if given is not None:
        return given
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "stowplan"


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """The files of one cluster."""

    folder: Path

    @property
    def name(self) -> str:
        """The label of its containers."""
        return self.folder.name

    @property
    def journal(self) -> Path:
        """The journal of the run that goes on, or was broken off."""
        return self.folder / "journal.sqlite"

    def lock(self) -> ClusterLock:
        """The right to run it. Raises stowplan.realdriver.journal.Busy."""
        return ClusterLock(self.folder / "lock")

    def read(self) -> tuple[Header, list[Round]] | None:
        """What its journal holds; None where there is none."""
        if not self.journal.exists():
            return None
        journal = DurableJournal(self.journal, writing=False)
        try:
            return journal.read()
        finally:
            journal.close()

    def look(self) -> tuple[Header, State] | None:
        """The header of its journal, and its state as it is now; None where there is none."""
        if not self.journal.exists():
            return None
        journal = DurableJournal(self.journal, writing=False)
        try:
            header = journal.header()
            return None if header is None else (header, read_state(journal).state)
        finally:
            journal.close()

    def discard(self) -> Path:
        """Put a journal aside that cannot be read; returns its new path."""
        target = self.journal.with_suffix(".unreadable")
        self.journal.rename(target)
        return target

    def retire(self) -> Path:
        """Put the journal of a run that is over aside; returns its new path."""
        numbers = [int(p.stem.split("-")[1]) for p in self.folder.glob("journal-*.sqlite")]
        target = self.folder / f"journal-{max(numbers, default=0) + 1}.sqlite"
        # What the write-ahead log still holds goes into the file first.
        DurableJournal(self.journal).close()
        self.journal.rename(target)
        return target


def find_cluster(state: Path, name: str | None) -> ClusterFolder:
    """The cluster of this name; without one, the only one that has a journal.

    Raises:
        SpecError: there is none, or more than one.
    """
    known = sorted(path.parent.name for path in state.glob("*/journal.sqlite"))
    if name is None and len(known) == 1:
        return ClusterFolder(state / known[0])
    if name is not None and name in known:
        return ClusterFolder(state / name)
    what = f"the clusters are {', '.join(known)}" if known else f"no cluster runs (in {state})"
    raise SpecError([(f"--cluster {name}" if name else "--cluster", what)])
