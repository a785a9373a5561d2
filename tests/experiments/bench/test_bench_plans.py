"""Rows of `bench optimal` for hours and placements: what is made, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from stowplan.experiments.bench import hours, placements
from stowplan.experiments.bench.rows import Clock
from stowplan.placement.packing.over_time.problem import moments


@pytest.mark.parametrize("name", hours.KINDS)
def test_jobs_over_time_are_the_same_each_time_and_within_their_servers(name):
    make, sizes = hours.KINDS[name]
    one, other = (make(np.random.default_rng([3, sizes[0]]), sizes[0]) for _ in range(2))
    assert (one.start_ms == other.start_ms).all()
    assert (one.end_ms == other.end_ms).all()
    assert len(one.kind) == sizes[0]
    assert (one.end_ms > one.start_ms).all()
    assert one.demand.min() > 0
    assert one.demand.max() <= one.types[0].capacity[0]
    assert len(moments(one).last) > sizes[0] // 2


def test_rows_over_time_say_how_many_are_proven(monkeypatch):
    few = {"few jobs": (hours.aydin(30, 75, 1.0), (8, 12))}
    monkeypatch.setattr(hours, "KINDS", few)
    rows = [
        row for row in hours.hours_rows(Clock(wall=False), 20.0, each=2) if not isinstance(row, str)
    ]
    assert [row.value for row in rows] == [2, 100, 0]
    assert "8 jobs: 1, 12 jobs: 1" in rows[0].against


@pytest.mark.parametrize("kind", ["ports", "all of it"])
def test_placements_are_proven_and_agree_with_the_textbooks_model(monkeypatch, kind):
    monkeypatch.setattr(placements, "KINDS", (kind,))
    rows = list(placements.placement_rows(Clock(wall=False), 20.0, seeds=2))
    figures = {row.case: row for row in rows if not isinstance(row, str)}
    assert figures["  optima that differ from CP-SAT's"].value == 0
    (counted,) = (row for case, row in figures.items() if kind in case)
    assert counted.unit.startswith("of ")


def test_the_textbooks_model_knows_the_rules_of_a_document():
    document = placements.mixed(0, "ports")
    document["service"] = [
        {"name": name, "task_definition": name, "desired_count": 2} for name in ("one", "two")
    ]
    port = [{"containerPort": 80, "hostPort": 80}]
    main = {"name": "main", "image": "m:1", "cpu": 256, "memory": 512, "portMappings": port}
    document["task_definitions"] = {
        name: {"family": name, "containerDefinitions": [main]} for name in ("one", "two")
    }
    group = {"name": "g", "instance_type": "large", "count": 3, "zones": ["a"]}
    document["fleet"] = [group]
    proven, points = placements.plain_cp_sat(document, Clock(wall=False), 5.0)
    # one task on each of three instances, all in one zone; the fourth has no port left
    assert (proven, points) == (True, 3 * placements.USED + placements.PLACED)
