"""A look at a cluster takes little, and imports only what its answer needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stowplan.placement import messages as m
from stowplan.placement.journal import Header
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.realdriver.clusters import ID
from stowplan.realdriver.docker.config import ENGINES, EnginesTable
from stowplan.realdriver.journal import DurableJournal
from stowplan.realdriver.standing import KeptState
from tests.driving import definition, instance
from tests.realdriver.test_standing import lives

HEAVY = ("docker", "pydantic", "numba", "numpy", "scipy", "yaml")
ASK = """
import sys
from stowplan.experiments.cli.main import main
code = main(["status", "--cluster", "web", "--state", sys.argv[1]])
print("imported:", *[name for name in sys.argv[2:] if name in sys.modules])
sys.exit(code)
"""


@pytest.fixture
def status_of(tmp_path):
    """What `stowplan status` prints of a journal, and which heavy packages it imported."""

    def ask(rounds):
        journal = DurableJournal(tmp_path / "web" / "journal.sqlite")
        engines = EnginesTable.model_validate({"engine": [{"url": f"unix://{tmp_path}/nobody"}]})
        run = {ID: "r", "scenario": "s", ENGINES: engines.model_dump_json()}
        journal.begin(Header(SchedulerConfig(), run=run))
        kept = KeptState(journal)
        for entry in rounds:
            journal(entry)
            kept(entry)
        journal.close()
        command = [sys.executable, "-c", ASK, str(tmp_path), *HEAVY]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said, _, imported = done.stdout.partition("imported:")
        return said, imported.split()

    return ask


def test_a_cluster_without_tasks_is_shown_without_any_engine(status_of):
    an_hour_ms = 3_600_000
    rounds = [*lives(3), m.Round(2 * an_hour_ms, (), ())]
    said, imported = status_of(rounds)
    assert "i-0" in said
    assert "does not answer" not in said
    assert imported == []


def test_a_look_at_tasks_asks_engines_and_compiles_nothing(status_of):
    start = m.StartTasks("app:1", "family:app", (0,), (0,), request=0)
    first = m.Round(0, (definition(), instance(0)), ())
    said, imported = status_of([first, m.Round(1, (m.RunTask(0, "app", 1),), (start,))])
    assert "does not answer" in said
    assert "family:app" in said
    assert imported == ["docker", "pydantic"]
