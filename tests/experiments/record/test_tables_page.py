"""Every column of every table has its row in the docs, in the order of the table, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stowplan.experiments.record.keys import KEYS
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.results import TABLES, Results, ties_frame, write_csv
from tests.experiments.report.made_results import results

PAGE = (Path(__file__).parents[3] / "docs" / "tables.md").read_text(encoding="utf-8")
SECTIONS = {
    part.split("\n", 1)[0]: re.findall(r"^\| `(\w+)` \| (.+) \|$", part, re.MULTILINE)
    for part in PAGE.split("\n## ")[1:]
}


def test_every_table_has_a_section():
    assert list(SECTIONS) == [*TABLES, "ties"]
    assert set(SECTIONS) == set(Results.__dataclass_fields__)


@pytest.mark.parametrize("name", TABLES)
def test_every_column_has_a_row(name):
    columns = [each for each in TABLES[name](results()).columns if each not in KEYS]
    assert [column for column, _ in SECTIONS[name]] == columns


def test_ties_has_the_columns_of_results_and_its_own():
    columns = [each for each in ties_frame(results()).columns if each not in KEYS]
    own, of_results = ({column for column, _ in SECTIONS[name]} for name in ("ties", "results"))
    assert set(columns) == own | of_results


def test_a_metric_is_what_it_says_itself():
    said = dict(SECTIONS["results"])
    for name, metric in METRICS.items():
        unit = f" ({metric.unit})" if metric.unit else ""
        assert said[name] == f"{metric.about}{unit}", name


def test_csv_has_the_same_tables(tmp_path):
    write_csv(results(), tmp_path)
    for name in TABLES:
        header = (tmp_path / f"{name}.csv").read_text().split("\n", 1)[0].split(",")
        assert header == list(TABLES[name](results()).columns)
