import json
from pathlib import Path

import pytest

from tests.experiments.scenarios import STRATEGY, TRACE, definition


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with all the files that `sound` names; we are in it."""
    monkeypatch.chdir(tmp_path)
    Path("web.json").write_text(json.dumps(definition()))
    Path("trace.csv").write_text(TRACE + "1,0,9,0.5,0.01,7,8,2,0\n")
    Path("mine.py").write_text(STRATEGY)
    return tmp_path
