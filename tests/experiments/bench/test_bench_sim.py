"""`stowplan bench sim` on sizes that take a moment: the cases run, and what they count is true."""

import json

from stowplan.experiments.bench import queue_rows as queue_rows_module
from stowplan.experiments.bench import sim as bench_sim
from stowplan.experiments.bench.queue_rows import queue_rows
from stowplan.experiments.bench.queues import simpy_queue
from stowplan.experiments.cli.main import main


def test_events_are_counted_as_the_jobs_say():
    found = bench_sim.run_bare(bench_sim.churn(3, 2, 5, 4))
    assert found.tasks > 0
    assert found.running == 0
    assert found.events == 3 * found.tasks, "asked for, RUNNING, STOPPED"
    assert found.seconds > 0


def test_the_large_cases_do_what_they_are_named_after():
    c2m = bench_sim.run_whole(bench_sim.c2m(0.001))
    assert (c2m.tasks, c2m.running) == (2_000, 2_000)
    day = bench_sim.day(0.002)
    assert (len(day.service), day.fleet[0].count) == (1, 20)
    assert day.service[0].autoscaling
    assert day.service[0].deploy


def test_every_row_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_sim, "large_rows", lambda scale: iter(()))
    monkeypatch.setattr(bench_sim, "single_rows", lambda scale: iter(()))
    assert main(["bench", "sim", "--scale", "0.01", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["bar"] for row in rows] == [0.4, 1.5]
    assert "bare SimPy timeouts" in capsys.readouterr().out


def test_single_tasks_have_their_peers_beside_them():
    rows = list(queue_rows(0.001, bench_sim.scenario, bench_sim.run_whole, repeats=1))
    assert all(row.value and row.value > 0 for row in rows)
    assert [row.bar for row in rows[1:]] == [1.5, 120, 1.2, 150]
    assert "SimPy" in rows[0].against


def test_everybody_is_served_in_our_queue_and_in_simpys():
    made = queue_rows_module.queue(bench_sim.scenario, 4, 0.9, 500)
    found = bench_sim.run_whole(made)
    assert found.running == 0
    assert found.tasks == found.events - found.tasks
    assert simpy_queue(4, 0.9, 500) > 0
