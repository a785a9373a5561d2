"""A journal is read the same, whichever of the two ways it is written in."""

from __future__ import annotations

import shutil

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.record.journals import read_journal_file
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.realdriver.journal import DurableJournal
from tests.experiments.record.test_made_before import SMALL


@pytest.fixture
def both(tmp_path):
    """A simulation's journal, and the same rounds as a real run writes them."""
    file = tmp_path / "run.jsonl.gz"
    shutil.copy(SMALL, file)
    header, rounds = read_journal_file(file)
    durable = DurableJournal(tmp_path / "run.sqlite")
    durable.begin(header)
    for entry in rounds:
        durable(entry)
    durable.close()
    return file, tmp_path / "run.sqlite"


def test_both_hold_the_same_and_say_the_same(both, capsys):
    plain, durable = both
    assert read_journal_file(plain)[1] == read_journal_file(durable)[1]
    said = []
    for file in both:
        assert main(["verify", str(file)]) == 0
        assert main(["replay", str(file)]) == 0
        assert main(["regret", str(file)]) == 0
        said.append(capsys.readouterr().out.replace(str(file), "FILE"))
    assert plain.with_name("run.html").is_file()
    assert said[0].splitlines()[0] == said[1].splitlines()[0]


def test_a_journal_that_has_no_header_yet_is_one_error(tmp_path):
    DurableJournal(tmp_path / "j.sqlite").close()
    with pytest.raises(SpecError, match="its run has not begun yet"):
        read_journal_file(tmp_path / "j.sqlite")
    durable = DurableJournal(tmp_path / "j.sqlite")
    durable.begin(Header(SchedulerConfig()))
    durable.close()
    assert read_journal_file(tmp_path / "j.sqlite")[1] == []
