"""The durable journal: what was written is there, whoever died; one run at a time."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from stowplan.placement.driver import DriverError
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import FORMAT, Header
from stowplan.placement.messages import Round, StopTask
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from stowplan.realdriver.journal import Busy, ClusterLock, DurableJournal
from tests import driving

HEADER = Header(SchedulerConfig(seed=3), {"id": "x"})
ROUNDS = [
    Round(0, (driving.definition(), driving.instance(0)), ()),
    Round(5, (driving.run_task(),), ()),
]


def test_what_was_written_is_read_back_also_while_another_writes(tmp_path):
    journal = DurableJournal(tmp_path / "c" / "j.sqlite")
    assert journal.read() is None
    journal.begin(HEADER)
    for entry in ROUNDS:
        journal(entry)
    reader = DurableJournal(tmp_path / "c" / "j.sqlite", writing=False)
    assert reader.read() == (HEADER, ROUNDS)
    journal.close()
    more = DurableJournal(tmp_path / "c" / "j.sqlite")
    more(ROUNDS[1])
    assert reader.read() == (HEADER, [*ROUNDS, ROUNDS[1]])


def test_calls_of_others_are_heard_once_each_and_in_order(tmp_path):
    journal = DurableJournal(tmp_path / "j.sqlite")
    journal.leave_call(StopTask((1,)))
    journal.leave_call(StopTask((2,)))
    numbers = [number for number, _ in journal.calls(0)]
    assert numbers == [1, 2]
    assert [body for _, body in journal.calls(1)] == [b'{"message":"StopTask","tasks":[2]}']
    assert list(journal.calls(2)) == []


def test_a_file_that_is_no_journal_is_an_error_that_names_it(tmp_path):
    (tmp_path / "j.sqlite").write_text("no database" * 100)
    with pytest.raises(DriverError, match=r"j\.sqlite"):
        DurableJournal(tmp_path / "j.sqlite")


def versioned(file, version):
    """A journal of a run, with this version in the file."""
    journal = DurableJournal(file)
    journal.begin(HEADER)
    journal(ROUNDS[0])
    journal.close()
    database = sqlite3.connect(file)
    (before,) = database.execute("PRAGMA user_version").fetchone()
    assert before == FORMAT
    database.execute(f"PRAGMA user_version = {version}")
    database.close()


@pytest.mark.parametrize(("version", "age"), [(99, "new"), (-1, "old")])
@pytest.mark.parametrize("writing", [True, False])
def test_a_journal_of_another_format_is_refused_and_stays_as_it_is(tmp_path, version, age, writing):
    file = tmp_path / "j.sqlite"
    versioned(file, version)
    content = file.read_bytes()
    with pytest.raises(SpecError) as raised:
        DurableJournal(file, writing=writing)
    what = f"of format version {version}, which is too {age}: this stowplan reads journals of"
    assert raised.value.problems == ((str(file), f"{what} version {FORMAT}"),)
    assert file.read_bytes() == content


def test_a_journal_without_a_version_is_of_the_first_and_goes_on(tmp_path):
    versioned(tmp_path / "j.sqlite", 0)
    journal = DurableJournal(tmp_path / "j.sqlite")
    journal(ROUNDS[1])
    assert journal.read() == (HEADER, ROUNDS)


def test_every_round_that_was_recorded_outlives_kill_9(tmp_path):
    script = """
import sys
from pathlib import Path
from stowplan.realdriver.journal import *
from tests.realdriver.test_journal import *
lock = ClusterLock(Path(sys.argv[1]) / "lock")
journal = DurableJournal(Path(sys.argv[1]) / "j.sqlite")
journal.begin(HEADER)
for number in range(10**6):
    journal(ROUNDS[number % 2])
    print(number, flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    said = [int(process.stdout.readline()) for _ in range(50)]
    with pytest.raises(Busy, match="another run"):
        ClusterLock(tmp_path / "lock")
    os.kill(process.pid, signal.SIGKILL)
    said += [int(line) for line in process.stdout]
    process.wait()
    ClusterLock(tmp_path / "lock").close()
    _, rounds = DurableJournal(tmp_path / "j.sqlite", writing=False).read()
    assert len(rounds) >= said[-1] + 1
    assert rounds == [ROUNDS[number % 2] for number in range(len(rounds))]
