"""What users of capacity providers reported, and what cures it: measured on the scenarios we ship.

The numbers in comments are those of the run; assertions leave room for small changes of the models.
"""

from __future__ import annotations

from functools import cache
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from stowplan.experiments.cli.optimize import answer_scenario
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.result import RunResult
from stowplan.experiments.record.results import capacity_frame
from stowplan.experiments.report.console import print_table
from stowplan.experiments.report.report import write_report
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.errors import SpecError

FOLDER = SCENARIOS / "capacity"


@cache
def results(name: str) -> dict[str, RunResult]:
    """The runs of a scenario by strategy."""
    loaded = load_scenario(FOLDER / f"{name}.toml")
    return {run.strategy: simulate(loaded, run) for run in loaded.scenario.runs()}


def metric(name: str, strategy: str, what: str) -> float:
    value = results(name)[strategy].metrics[what]
    assert isinstance(value, int | float)
    return float(value)


def points(name: str, strategy: str) -> list[tuple[int, int, float]]:
    """(N, desired, metric) of each minute."""
    return [(n, desired, pct) for _, _, _, n, desired, pct in results(name)[strategy].points]


def test_a_group_of_several_types_grows_in_small_steps():
    waits = {s: metric("step_size", s, "service_provisioning_max_s") for s in results("step_size")}
    assert waits["several-types"] > 20 * 60  # 1,710 s, and some gave up before
    assert waits["larger-step"] < 8 * 60  # 450 s
    assert waits["one-type"] < 3 * 60  # 150 s
    sizes = [desired for _, desired, _ in points("step_size", "several-types")]
    steps = [b - a for a, b in pairwise(sizes) if b > a]
    assert len(steps) > 8
    assert max(steps) == steps[0] == 8  # 120 tasks on an m5.4xlarge


def test_a_start_from_zero_launches_two_instances_where_one_would_do():
    launches = {s: metric("from_zero", s, "launches") for s in results("from_zero")}
    assert launches == {"from-zero": 12, "one-at-most": 6, "one-stays": 1}
    hours = {s: metric("from_zero", s, "instance_hours") for s in results("from_zero")}
    assert hours["one-at-most"] < 0.7 * hours["from-zero"] < hours["one-stays"]
    assert metric("from_zero", "one-stays", "wait_p99_s") < 1 < 120
    assert metric("from_zero", "from-zero", "wait_p50_s") > 120


def test_the_metric_is_never_above_200_at_zero_so_forty_instances_come_in_two_steps():
    def sizes(strategy):
        return sorted({desired for _, desired, _ in points("ceiling", strategy)})

    assert sizes("from-zero") == [0, 2, 40]
    assert sizes("never-zero") == [1, 40]
    assert max(pct for n, _, pct in points("ceiling", "from-zero") if n == 0) == 200
    assert metric("ceiling", "from-zero", "service_provisioning_max_s") > 400  # 450 s
    assert metric("ceiling", "never-zero", "service_provisioning_max_s") == 150
    assert metric("ceiling", "short-warm-up", "service_provisioning_max_s") < 360
    assert metric("ceiling", "short-warm-up", "launches") == 40
    assert metric("ceiling", "too-short", "launches") == 80


def test_one_task_and_two_instances_come_and_go_until_they_are_protected():
    # 22 launches in four hours: both, every 20 minutes or so
    assert metric("oscillation", "unprotected", "launches") >= 16
    assert metric("oscillation", "unprotected", "lost") >= 14
    seen = [n for n, _, _ in points("oscillation", "unprotected")]
    falls = [m for m in range(1, len(seen)) if seen[m] == 0 < seen[m - 1]]
    assert all(15 <= b - a <= 25 for a, b in pairwise(falls))
    assert len(falls) >= 8
    assert metric("oscillation", "protected", "launches") == 2
    assert metric("oscillation", "protected", "lost") == 0


def test_a_deployment_launches_what_it_needs_for_a_while_unless_it_stops_tasks_first():
    launches = {s: metric("deployment", s, "launches") for s in results("deployment")}
    assert launches == {"start-first": 12, "one-more": 6, "stop-first": 4}
    assert metric("deployment", "start-first", "terminations") == 8
    peaks = {s: max(n for n, _, _ in points("deployment", s)) for s in launches}
    assert peaks == {"start-first": 8, "one-more": 5, "stop-first": 4}


def test_fifteen_minutes_until_scale_in_cost_more_than_the_jobs():
    hours = {s: metric("scale_in", s, "instance_hours") for s in results("scale_in")}
    assert hours["five-minutes"] < 0.5 * hours["fifteen-minutes"]  # 17.1 and 37.1
    assert hours["small-group"] < 0.5 * hours["fifteen-minutes"]  # 16.0
    waits = {s: metric("scale_in", s, "provisioning_max_s") for s in hours}
    assert waits["five-minutes"] == waits["fifteen-minutes"] < waits["small-group"]


def test_a_service_of_launch_type_ec2_does_not_move_the_metric():
    assert max(pct for _, _, pct in points("launch_type", "launch-type")) <= 100
    assert metric("launch_type", "launch-type", "launches") == 2
    assert metric("launch_type", "launch-type", "services_short_pct") > 80
    assert max(pct for _, _, pct in points("launch_type", "capacity-provider")) > 100
    assert metric("launch_type", "capacity-provider", "launches") == 10
    assert metric("launch_type", "capacity-provider", "services_short_pct") < 10


def test_nothing_scales_in_while_a_task_is_left_on_every_instance():
    spread, packed = results("spread")["spread"], results("spread")["zones-then-binpack"]
    assert (spread.metrics["launches"], spread.metrics["terminations"]) == (10, 0)
    assert [point[-1] for point in spread.points[-60:]] == [100.0] * 60
    # 16 tasks of a quarter vCPU, on ten instances that hold eight each
    assert spread.samples[-1][spread.sample_fields.index("present")] == 10
    assert packed.metrics["terminations"] == 8
    assert packed.samples[-1][packed.sample_fields.index("present")] == 2


def test_the_report_and_the_tables_show_capacity(tmp_path):
    loaded = load_scenario(FOLDER / "oscillation.toml")
    runs = list(results("oscillation").values())
    write_report(loaded.scenario, runs, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for words in (
        "CapacityProviderReservation",
        "0 to 4 of m5.large in 2 zones, on-demand, target 100 %, not protected",
        "asg: managed_termination_protection = True",
        "instance-hours",
    ):
        assert words in page
    frame = capacity_frame(runs)
    assert list(frame["percent"][:2]) == [100.0, 100.0]
    assert len(frame) == 2 * 240
    console = Console(width=120, record=True, file=StringIO())
    print_table(runs, console)
    shown = console.export_text()
    assert "launched" in shown
    assert "CapacityProviderReservation" in shown


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_what_is_up_is_paid_for(file):
    """Dollars are N, as the metric has it each minute, times the price, but for broken minutes."""
    loaded = load_scenario(file)
    for strategy, result in results(file.stem).items():
        types = loaded.scenario.capacity_provider[0].instance_types
        if len(types) > 1:
            types = types[:1]  # what the group launches where there is enough of it
        price = loaded.scenario.instance_types[types[0]].price_microusd_hour / 1e6
        hours = float(result.metrics["instance_hours"] or 0)
        assert result.metrics["dollars"] == pytest.approx(hours * price)
        by_minute = sum(n for _, _, _, n, _, _ in result.points) / 60
        changes = float(result.metrics["launches"] or 0) * 2
        assert abs(hours - by_minute) <= changes / 60 + 1e-9, strategy


def test_a_plan_for_instances_that_are_there_needs_some():
    scenario = load_scenario(FOLDER / "spread.toml").scenario
    with pytest.raises(SpecError, match="goal placement is about instances that are there"):
        answer_scenario(scenario, "placement")


def test_a_target_below_100_per_cent_keeps_room_for_who_comes_next():
    waits = {s: metric("headroom", s, "wait_p99_s") for s in results("headroom")}
    assert waits["no-reserve"] > 100  # 202 s: somebody waits for a boot of 90 s, and more
    assert waits["reserve"] < 20  # 3.7 s
    hours = {s: metric("headroom", s, "instance_hours") for s in results("headroom")}
    assert 1.3 < hours["reserve"] / hours["no-reserve"] < 2  # 45.5 and 27.8
