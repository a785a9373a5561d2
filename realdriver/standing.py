"""The described state of a cluster beside its journal: kept by the run, read by whoever looks.

A look need not live through the whole journal: the run keeps a snapshot now and then, and what came
after it is read from the rounds.
"""

from __future__ import annotations

from stowplan.placement.describe import Reader, State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.messages import Round
from stowplan.realdriver.journal import DurableJournal

ROUNDS_MOST = 200  # between two snapshots, of a state of few tasks


class KeptState:
    """Call it with every round, once that is in the journal. `state` is the cluster now.

    Args:
        every: rounds from one snapshot to the next, at least.
    """

    def __init__(self, journal: DurableJournal, every: int = ROUNDS_MOST) -> None:
        self._journal, self._every = journal, every
        self._reader = read_state(journal)
        self.state = self._reader.state
        self._next = self.state.rounds + every

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        self._reader(entry)
        if self.state.rounds >= self._next:
            self.keep()

    def keep(self) -> None:
        """Keep a snapshot now; a large state is kept less often."""
        self._next = self.state.rounds + max(self._every, len(self.state.tasks) // 10)
        self._journal.keep_snapshot(self.state.rounds, self.state.snapshot())


def read_state(journal: DurableJournal) -> Reader:
    """The state after the last round of a journal, from its snapshot on; it can go on from there.

    Without a snapshot that this program can read, from the beginning.
    """
    kept = journal.snapshot()
    state = None if kept is None else of_snapshot(kept)
    reader = Reader(State() if state is None else state)
    for entry in journal.rounds(reader.state.rounds):
        reader(entry)
    return reader
