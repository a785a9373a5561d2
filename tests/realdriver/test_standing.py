"""The described state beside a durable journal: kept now and then, and read from there on."""

from __future__ import annotations

from pathlib import Path

from stowplan.placement import messages as m
from stowplan.placement.describe import Reader
from stowplan.placement.journal import Header
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.realdriver.journal import DurableJournal
from stowplan.realdriver.standing import KeptState, read_state
from tests.driving import definition, instance, running, stopped


def lives(count: int):
    """Rounds of so many tasks, one after the other, of which each ends."""
    yield m.Round(0, (definition(), instance(0)), ())
    for task in range(count):
        now_ms = 1_000 * task
        start = m.StartTasks("app:1", "family:app", (task,), (0,), request=task)
        yield m.Round(now_ms, (m.RunTask(task, "app", 1),), (start,))
        yield m.Round(now_ms + 10, (running(task),), ())
        yield m.Round(now_ms + 20, (stopped(task),), ())


def journal_of(folder: Path, rounds, every: int) -> DurableJournal:
    journal = DurableJournal(folder / "journal.sqlite")
    journal.begin(Header(SchedulerConfig()))
    kept = KeptState(journal, every)
    for entry in rounds:
        journal(entry)
        kept(entry)
    return journal


def test_a_look_is_the_same_with_a_snapshot_and_without(tmp_path):
    rounds = list(lives(100))
    journal = journal_of(tmp_path, rounds, 50)
    reader = Reader()
    for entry in rounds:
        reader(entry)
    assert read_state(journal).state == reader.state
    assert journal.snapshot() is not None
    journal.keep_snapshot(1, b"of another version")
    assert read_state(journal).state == reader.state


def test_a_look_reads_only_what_came_after_the_snapshot(tmp_path, monkeypatch):
    rounds = list(lives(300))
    journal = journal_of(tmp_path, rounds, 50)
    seen = []
    monkeypatch.setattr(Reader, "__call__", lambda self, entry: seen.append(entry))
    read_state(journal)
    assert len(seen) <= 50
    assert seen == rounds[len(rounds) - len(seen) :]


def test_a_run_that_goes_on_keeps_the_state_of_all_rounds(tmp_path):
    rounds = list(lives(60))
    journal_of(tmp_path, rounds[:100], 30).close()
    journal = DurableJournal(tmp_path / "journal.sqlite")
    kept = KeptState(journal, 30)
    for entry in rounds[100:]:
        journal(entry)
        kept(entry)
    kept.keep()
    assert kept.state.rounds == len(rounds)
    assert all(task.last_status is TaskStatus.STOPPED for task in kept.state.tasks.values())
    assert read_state(journal).state == kept.state
