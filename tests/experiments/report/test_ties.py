"""What the report says of ties, from made results."""

from __future__ import annotations

from dataclasses import replace

from stowplan.experiments.report.findings import findings
from stowplan.experiments.report.ties import TITLE, ties_finding
from stowplan.placement.scenario.fields import parse_strategy
from tests.experiments.report.made_results import result, scenario

CHAINS = {name: (parse_strategy("binpack:cpu"),) for name in ("a", "b")}


def again(name, draw, **metrics):
    made = result(name, **metrics)
    return replace(made, run=replace(made.run, ties="random", draw=draw))


def found(runs, others, **changes):
    return ties_finding(scenario(**{"strategies": CHAINS} | changes), runs, others)


def test_what_changes_in_every_draw_is_told_in_numbers():
    runs = [result("a", instances_busy_mean=10.0, dollars_busy=3.0, wait_p99_s=5.0)]
    others = [
        again("a", 0, instances_busy_mean=12.5, dollars_busy=4.0, wait_p99_s=9.0),
        again("a", 1, instances_busy_mean=13.5, dollars_busy=4.0, wait_p99_s=5.0),
    ]
    finding = found(runs, others)
    told = "at random, 2 draws each: a: busy instances 10.0 → 12.5\N{EN DASH}13.5 (+25 to +35 %)"
    assert told in finding.text
    assert "dollars of busy instances 3.00 → 4.00 (+33 %)" in finding.text
    assert "waits" not in finding.text  # in one draw they are what they were
    assert finding.header[:2] == ("lowest → random", "busy, mean")
    assert finding.rows[0][:2] == ["a", "10.0 → 12.5\N{EN DASH}13.5"]


def test_where_nothing_changes_that_is_said():
    runs = [result("a"), result("b")]
    finding = found(runs, [again("a", 0), again("b", 0)])
    assert finding.text.endswith("at random, one draw: nothing changes by more than 2 %.")


def test_another_winner_is_named():
    runs = [result("a", instances_busy_mean=10.0), result("b", instances_busy_mean=12.0)]
    others = [again("a", 0, instances_busy_mean=15.0), again("b", 0, instances_busy_mean=12.0)]
    assert found(runs, others).text.endswith("So b has the fewest busy instances then, not a.")
    near = [again("a", 0, instances_busy_mean=11.0), again("b", 0, instances_busy_mean=12.0)]
    assert "So b" not in found(runs, near).text


def test_interrupted_repetitions_and_runs_count_for_nothing():
    runs = [result("a", instances_busy_mean=10.0)]
    short = replace(again("a", 0, instances_busy_mean=99.0), whole=False)
    assert "not tried" in found(runs, [short]).text


def test_with_ties_at_random_the_lowest_is_what_is_tried():
    finding = found([result("a")], [replace(again("a", 0), whole=True)], ties="random")
    assert (
        "here it is one of them at random. The same runs with the one of the lowest" in finding.text
    )
    assert finding.header[0] == "random → lowest"


def test_where_nothing_can_tie_nothing_is_said_and_else_it_is_one_of_the_findings():
    chance = {name: (parse_strategy("random"),) for name in CHAINS}
    assert found([result("a")], [], strategies=chance) is None
    made = scenario(strategies=CHAINS)
    assert TITLE in [each.title for each in findings(made, [result("a")])]
