"""A predicted and a measured run held against each other, from made journals."""

import gzip
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stowplan.experiments.cli.compare import compared
from stowplan.experiments.cli.main import main
from stowplan.experiments.record.task_lives import History
from stowplan.placement import messages as m
from stowplan.placement.journal import Header, JournalWriter
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from stowplan.realdriver.journal import DurableJournal

EXITED = StopCode.ESSENTIAL_CONTAINER_EXITED


def joined(*names):
    return [m.InstanceRegistered(n, name, {"CPU": 1}, {}, 0) for n, name in enumerate(names)]


def placed(request, tasks, instances):
    return m.StartTasks("app:1", "g", tuple(tasks), tuple(instances), request=request)


def running(*tasks):
    return m.TasksChanged(TaskStatus.RUNNING, tasks)


def stopped(*tasks):
    return m.TasksChanged(TaskStatus.STOPPED, tasks, EXITED)


def rounds(slow=1, second=1, names=("a", "b")):
    """Two requests: the first's tasks start in 1 s and 2 s, the second's in 1 s; all times
    `slow`-fold from when they were placed; the second's task goes to instance `second`."""
    return [
        m.Round(0, tuple(joined(*names)), (placed(0, [0, 1], [0, 1]),)),
        m.Round(1000 * slow, (running(0),), ()),
        m.Round(2000 * slow, (running(1),), (placed(1, [2], [second]),)),
        m.Round(3000 * slow, (running(2),), ()),
        m.Round(9000 * slow, (stopped(0, 1),), ()),
        m.Round(10_000 * slow, (stopped(2),), ()),
    ]


def history(entries):
    found = History()
    for entry in entries:
        found(entry)
    return found


def test_the_history_of_a_run():
    run = history(rounds())
    assert run.starts_ms == [1000, 1000, 2000]
    assert run.makespan_ms == 10_000
    assert run.timeline() == [(0, 0), (1000, 1), (2000, 2), (3000, 3), (9000, 1), (10_000, 0)]
    assert run.instances == {"a", "b"}


def test_a_run_is_as_it_is_predicted():
    found = compared(history(rounds()), history(rounds()))
    assert [each.error_percent for each in found.figures] == [0, 0, 0]
    assert (found.tasks, found.same, found.comparable, found.agreeing) == (3, 3, 3, 3)
    assert found.within(0)


def test_errors_are_those_of_the_prediction():
    found = compared(history(rounds(slow=3)), history(rounds(slow=2)))
    assert [each.error_percent for each in found.figures] == pytest.approx([50, 50, 50])
    assert found.within(51)
    assert not found.within(49)


def test_another_choice_on_the_same_cluster_is_a_difference():
    found = compared(history(rounds()), history(rounds(second=0)))
    assert (found.same, found.comparable, found.agreeing) == (2, 3, 2)
    assert not found.within(1000)


def test_another_choice_after_another_order_of_events_is_none():
    """In the measured run the first task has ended when the second request comes."""
    entries = rounds(second=0)
    early = m.Round(1500, (stopped(0),), ())
    measured = [*entries[:2], early, *entries[2:4], m.Round(9000, (stopped(1),), ()), entries[5]]
    found = compared(history(rounds()), history(measured))
    assert (found.tasks, found.same, found.comparable, found.agreeing) == (3, 2, 2, 2)
    assert found.within(0)


def test_what_is_to_stop_or_lost_holds_nothing():
    def run(*more):
        begin = m.Round(0, tuple(joined("a", "b")), (placed(0, [0], [0]),))
        return history([begin, m.Round(5, *more), m.Round(9, (), (placed(1, [1], [1]),))])

    stop = run((), (m.StopTasks((0,), StopCode.USER_INITIATED, "enough"),))
    ended = run((stopped(0),), ())
    gone = run((m.InstancesGone((0,), "lost"),), ())
    assert stop.lives[1, 0].before == ended.lives[1, 0].before != gone.lives[1, 0].before


def test_figures_are_of_what_happened_in_both_runs():
    """The measured run was interrupted before the last task ran, and before any stopped."""
    found = compared(history(rounds()), history(rounds()[:3]))
    assert [each.error_percent for each in found.figures] == [0, 0, 0]
    assert [each.predicted_s for each in found.figures] == [2.0, 1.5, pytest.approx(1.95)]
    assert (found.apart, found.tasks) == (1, 3)
    assert found.left_out == "figures leave out 1 task that came to run in one of the runs alone"
    assert compared(history(rounds()), history(rounds())).left_out == ""


# --- the command ----------------------------------------------------------------------------------


def simulated(path, entries):
    with gzip.open(path, "wb") as stream:
        writer = JournalWriter(stream, Header(SchedulerConfig(), {"scenario": "made"}))
        for entry in entries:
            writer(entry)
    return str(path)


def durable(path, entries):
    journal = DurableJournal(path)
    journal.begin(Header(SchedulerConfig()))
    for entry in entries:
        journal(entry)
    journal.close()
    return str(path)


def test_a_simulations_journal_and_a_durable_one_make_a_page(tmp_path, capsys):
    sim = simulated(tmp_path / "sim.jsonl.gz", rounds(slow=2))
    real = durable(tmp_path / "real.sqlite", rounds())
    page = tmp_path / "page.html"
    assert main(["compare", sim, real, "--out", str(page)]) == 0
    assert "+100.0 %" in capsys.readouterr().out
    text = page.read_text()
    assert text.count("<svg") == 2
    assert "3 of 3 tasks are on the same instance" in text
    drawn = ElementTree.parse(tmp_path / "page.svg").getroot()
    assert [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")][:2] == [
        "predicted",
        "measured",
    ]
    assert "<title>made, predicted and measured" in text
    assert main(["compare", sim, real, "--within", "15"]) == 1
    assert "within 15 %: no, by makespan, start p50\n" in capsys.readouterr().out
    assert main(["compare", sim, sim, "--within", "15"]) == 0
    assert "within 15 %: yes\n" in capsys.readouterr().out


def test_what_cannot_be_compared_is_said(tmp_path, capsys):
    sim = simulated(tmp_path / "sim.jsonl.gz", rounds())
    other = durable(tmp_path / "other.sqlite", rounds(names=("e0", "e1")))
    empty = durable(tmp_path / "empty.sqlite", [])
    for real, said in (
        (other, "neither cpu nor memory"),
        (empty, "no task came to run"),
        (str(tmp_path / "none.sqlite"), "no such file"),
        (str(tmp_path / "none.gz"), "none.gz: no such file\n"),
    ):
        assert main(["compare", sim, real]) == 2
        assert said in capsys.readouterr().err
    assert Path(empty).exists()


def test_runs_whose_agents_wait_differently_are_not_compared(tmp_path, capsys):
    files = {}
    for kind in ("amazon-ecs-agent", "docker", None):
        run = {} if kind is None else {"agent": kind}
        files[kind] = tmp_path / f"{kind}.jsonl.gz"
        with gzip.open(files[kind], "wb") as stream:
            writer = JournalWriter(stream, Header(SchedulerConfig(), run))
            for entry in rounds():
                writer(entry)
    words = ["compare", str(files["amazon-ecs-agent"]), str(files["docker"])]
    assert main(words) == 2
    assert 'simulate with `agent = "docker"`' in capsys.readouterr().err
    assert main(["compare", str(files["docker"]), str(files["docker"])]) == 0
    assert main(["compare", str(files["amazon-ecs-agent"]), str(files[None])]) == 0
