"""`stowplan bench serve` at a small scale: it measures, and says what it measured."""

import json

import pytest

from stowplan.experiments.cli.main import main


@pytest.mark.long
def test_it_measures_both_servers(tmp_path):
    scale = ["--instances", "30", "--tasks", "100", "--peer-calls", "10", "--churn", "800"]
    file = tmp_path / "figures.json"
    assert main(["bench", "serve", *scale, "--json", str(file)]) in (0, 1)
    rows = {row["case"]: row for row in json.loads(file.read_text())["rows"]}
    for operation in ("RunTask", "DescribeTasks"):
        assert rows[f"{operation} of 10 tasks"]["value"] > 0
        assert rows[f"{operation}: times moto's server"]["value"] > 0
    assert rows["memory with all tasks"]["value"] > 10


def test_a_scale_of_nothing_is_refused(capsys):
    assert main(["bench", "serve", "--instances", "0"]) == 2
    assert "10 of each at least" in capsys.readouterr().err
