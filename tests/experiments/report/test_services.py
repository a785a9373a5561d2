"""What is told of services on a terminal and on a page."""

import io
from dataclasses import replace

from rich.console import Console

from stowplan.experiments.record.availability import UpTime
from stowplan.experiments.record.daemon_log import Coverage
from stowplan.experiments.record.deployment_log import DeploymentRecord
from stowplan.experiments.record.stops import Stop, StopCount
from stowplan.experiments.report.console import print_table
from stowplan.experiments.report.report import write_report
from stowplan.experiments.report.services import crash_loops, service_tables
from tests.experiments.report.made_results import result, scenario

STUCK = DeploymentRecord("web", "ecs-svc/2", "web:2", 60_000, waits_for="room for 3 tasks")
CURED = replace(STUCK, state="COMPLETED", ended_ms=90_000, waits_for="")
EXITED = "EssentialContainerExited", "Essential container in task exited: c exit code 1", 1


def shown(*runs):
    console = Console(width=100, file=io.StringIO())
    print_table(runs, console)
    return console.file.getvalue()


def test_a_stuck_deployment_and_its_cure_read_differently():
    stuck, cured = (shown(replace(result(), deployments=[d])) for d in (STUCK, CURED))
    assert "web:2 IN_PROGRESS 1 min so far room for 3 tasks" in stuck
    assert "IN_PROGRESS" not in cured
    assert "web:2 COMPLETED 30 s" in cured


def test_where_there_are_many_what_is_amiss_is_shown_and_the_rest_is_counted():
    many = [replace(CURED, service=f"s{n}") for n in range(40)]
    run = replace(result(), deployments=[*many, STUCK])
    (table,) = [t for t in service_tables([run], 12) if t.caption == "Deployments"]
    assert [row[1] for row in table.rows] == ["web"]
    assert table.rest == "40 other deployments were COMPLETED, the longest in 30 s"
    run = replace(result(), deployments=[STUCK] * 40)
    (table,) = [t for t in service_tables([run], 12) if t.caption == "Deployments"]
    assert (len(table.rows), table.rest) == (12, "28 more like these")


def test_daemons_stops_and_crash_loops_are_told():
    run = replace(
        result(),
        daemons=[Coverage("logs", 0, 3, 1, 2, 300, 100)],
        stops={Stop("loop", True, *EXITED): StopCount(1026)},
        crash_loops={"loop": (1026, 3)},
    )
    text = " ".join(shown(run).split())
    assert "logs 3 1 2 33.3" in text
    assert "loop 1,026 of 1,026 EssentialContainerExited Essential container in task exited" in text
    assert "crash loop: tasks of loop ended 1,026 times within 10 min" in text
    assert "about 342 for each of its 3 places" in text
    assert crash_loops([result()]) == []


def test_the_truth_stands_before_what_ecs_believed(tmp_path):
    up = UpTime(0, 1000, 6, 6, 6, 690, 700, 0, 980, 990)
    run = replace(result(), services={("web", ""): up}, deployments=[STUCK])
    assert "6 of 6 70.00 69.00 99.00 and 98.00" in " ".join(shown(run).split())
    page = tmp_path / "report.html"
    write_report(scenario(), [run], page)
    html = page.read_text()
    for cell in ("6 of 6", "70.00", "99.00 and 98.00", "1 min so far", "room for 3 tasks"):
        assert f">{cell}</td>" in html
    assert '<td class="amiss">IN_PROGRESS</td>' in html


def test_a_share_that_is_not_all_never_reads_as_all():
    up = UpTime(0, 10_000_000, 6, 6, 6, 9_999_999, 10_000_000, 0, 9_999_999, 10_000_000)
    (table, *_) = service_tables([replace(result(), services={("web", ""): up})], 12)
    assert table.rows[0][3:] == ("100", "99.99", "the same")
