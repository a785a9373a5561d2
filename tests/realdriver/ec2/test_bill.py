"""Money and calls, without an account: bills, limits, and how orders are cut into calls."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.realdriver.ec2.bill import Bill, Limits, Line
from stowplan.realdriver.ec2.orders import start_calls
from stowplan.realdriver.ec2.tags import first_of, started_by
from stowplan.realdriver.ec2.watch import lease_until

LINE = Line("i-1", "m5.large", "a", "on-demand", 96_000, launched_s=1_000)


def limits(**more) -> Limits:
    return Limits(1_000, 300, {"m5.large on-demand": 96_000}, "a test", **more)


def test_an_instance_costs_by_the_second_and_a_minute_at_least():
    assert LINE.usd(1_010) == pytest.approx(0.096 / 60)
    assert LINE.usd(4_600) == pytest.approx(0.096)
    bill = Bill({})
    bill.take(LINE, 1_005, gone=False)
    assert bill.take(LINE, 1_010, gone=False) is None
    assert bill.usd_hour() == pytest.approx(0.096)
    bill.take(LINE, 2_800, gone=True)
    assert bill.take(LINE, 9_999, gone=True) is None  # it ended once
    assert bill.usd(9_999) == pytest.approx(0.096 / 2)
    assert bill.usd_hour() == 0


def test_a_run_ends_while_ending_it_is_within_its_limits():
    bill = Bill({LINE.id: LINE})
    dollar = limits(max_usd=0.096)  # an hour of it
    assert bill.over(dollar, 1_000 + 3_600 - 301) == ""
    assert "--max-usd 0.096" in bill.over(dollar, 1_000 + 3_600 - 300)
    hour = limits(max_hours=1)
    assert bill.over(hour, 1_000 + 3_600 - 301) == ""
    assert "--max-hours 1" in bill.over(hour, 1_000 + 3_600 - 300)
    assert bill.over(limits(), 1e12) == ""


def test_a_switch_is_never_set_behind_the_end_of_the_run():
    assert lease_until(1_000, 900, None) == 1_900
    assert lease_until(1_000, 900, limits(max_hours=0.2).ends_s) == 1_720


def test_orders_are_cut_into_calls_that_say_which_task_is_which():
    tasks = tuple(range(100, 125))
    order = m.StartTasks("app:1", "service:s", tasks, tuple(n % 12 for n in range(25)))
    calls = list(start_calls(order))
    assert calls == list(start_calls(order))
    assert sorted(t for call in calls for t in call.tasks.values()) == list(tasks)
    assert max(len(call.tasks) for call in calls) == 10
    assert len({call.first for call in calls}) == len(calls)
    for call in calls:
        for instance, task in call.tasks.items():
            assert instance == (task - 100) % 12
    asked = calls[0].request("arn", ["a"], "by", [])
    assert asked["group"] == "stowplan-service:s"


def test_started_by_fits_and_is_read_again():
    run = "0123456789abcdef" * 2
    text = started_by(run, 10**18)
    assert len(text) <= 36
    assert first_of(text, run) == 10**18
    assert first_of(text, "f" * 32) is None
    assert first_of("somebody", run) is None
