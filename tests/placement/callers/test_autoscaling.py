"""Target tracking by hand: when it scales, how far, and what holds it back."""

from __future__ import annotations

from itertools import pairwise

import pytest

from stowplan.placement import messages as m
from stowplan.placement.callers.autoscaling import (
    Autoscaler,
    LoadCurve,
    ScheduledAction,
    TargetTracking,
)
from stowplan.placement.model import StopCode
from tests.driving import running, stopped

MINUTE = 60_000


class World:
    """An autoscaler of the service `web`, minute by minute, with tasks that start at once."""

    def __init__(self, load, *, desired=4, start=True, **policy):
        points = load if isinstance(load, LoadCurve) else LoadCurve(((0, float(load)),))
        fields = {"target": 10.0, "min_capacity": 1, "max_capacity": 100} | policy
        self.scaler = Autoscaler({"web": TargetTracking(points, **fields)})
        self.scaler.take([m.CreateService("web", "app", desired)])
        self.tasks, self.starting, self.minute = 0, start, 0
        self.living = []
        self.start(desired)
        self.tell("(service web) (deployment 1) deployment completed.")

    def tell(self, text):
        self.scaler.take([m.ServiceEvent("web", text)])

    def start(self, count):
        new = tuple(range(self.tasks, self.tasks + count))
        self.tasks += count
        self.living += new
        command = m.StartTasks("app:1", "service:web", new, (0,) * count, service="web")
        self.scaler.take([command, running(*new), running(*new), command])  # orders may repeat

    def stop(self, count):
        gone, self.living = self.living[:count], self.living[count:]
        self.scaler.take([stopped(*gone)])

    def until(self, minute):
        """Go on to a minute; (minute, desired count) of every call, carried out if `starting`."""
        found = []
        while self.minute < minute:
            self.minute += 1
            for call in self.scaler.due(self.minute * MINUTE):
                found.append((self.minute, call.desired_count))
                self.scaler.take([call])
                if self.starting:
                    more = call.desired_count - len(self.living)
                    self.start(more) if more > 0 else self.stop(-more)
        return found


def test_a_high_load_scales_out_in_proportion_after_three_minutes():
    assert World(60).until(60) == [(3, 6)]
    assert World(61).until(60) == [(3, 7)]


def test_a_load_at_the_target_or_just_below_it_changes_nothing():
    for load in (40, 36, 36.5):
        assert World(load).until(120) == []


def test_a_low_load_scales_in_after_fifteen_minutes_rounded_up():
    assert World(35.9, desired=4).until(60) == []
    assert World(21, desired=4).until(60) == [(15, 3)]


def test_a_scale_in_that_rounding_undoes_is_none():
    # 3 tasks at 8.9 of 10: below 90 %, but two would be over the target.
    assert World(26.7, desired=3).until(60) == []


def test_capacity_stays_within_its_limits():
    assert World(10_000, max_capacity=9).until(30) == [(3, 9)]
    assert World(0, min_capacity=2).until(60) == [(15, 2)]


def test_one_minute_back_at_the_target_begins_the_count_anew():
    spiky = LoadCurve(((0, 80.0), (119_999, 80.0), (120_000, 40.0), (179_999, 40.0)), 180_000)
    assert World(spiky).until(60) == []


def test_scale_in_waits_for_the_cooldown_of_the_last_one():
    falling = LoadCurve(((0, 200.0), (120 * MINUTE, 0.0)))
    calls = World(falling, desired=20, scale_in_cooldown_ms=20 * MINUTE).until(120)
    times = [minute for minute, _ in calls]
    assert len(times) > 3
    assert all(b - a >= 20 for a, b in pairwise(times))


def test_a_scale_out_within_the_cooldown_counts_what_the_last_one_added():
    # Tasks never start: two run, and the load on them asks for ten in all, again and again.
    slow = World(100, desired=2, start=False, scale_out_cooldown_ms=30 * MINUTE)
    assert slow.until(32) == [(3, 10)]
    # When the cooldown has passed, what was asked for is what the metric is multiplied with.
    assert slow.until(40) == [(33, 50)]


def test_a_larger_scale_out_happens_within_the_cooldown():
    rising = LoadCurve(((0, 40.0), (10 * MINUTE, 140.0)))
    calls = World(rising, scale_out_cooldown_ms=60 * MINUTE, start=False).until(10)
    counts = [count for _, count in calls]
    assert counts == sorted(set(counts))
    assert len(counts) > 2
    assert counts[-1] == 14


def test_nothing_is_scaled_in_during_a_deployment_but_scale_out_goes_on():
    world = World(10)
    world.scaler.take([m.UpdateService("web", task_definition="app:2")])
    assert world.until(40) == []
    world.tell("(service web) (deployment 2) deployment completed.")
    assert world.until(41) == [(41, 1)]
    busy = World(80)
    busy.scaler.take([m.UpdateService("web", force_new_deployment=True)])
    assert busy.until(5) == [(3, 8)]


def test_a_rollback_is_a_deployment_and_a_failed_one_is_over():
    world = World(10)
    world.scaler.take([m.UpdateService("web", task_definition="app:2")])
    world.tell("(service web) (deployment 2) deployment failed: tasks failed to start.")
    world.tell("(service web) rolling back to deployment 1.")
    assert world.until(40) == []
    world.tell("(service web) (deployment 1) deployment completed.")
    assert world.until(41) == [(41, 1)]


def test_scale_in_can_be_turned_off():
    assert World(1, disable_scale_in=True).until(60) == []


def test_without_a_running_task_there_is_no_data_and_nothing_happens():
    world = World(100)
    world.stop(4)
    assert world.until(30) == []


def test_tasks_that_go_with_their_instance_count_no_more():
    world = World(40)
    world.living = world.living[2:]
    lost = m.TasksStopped((0, 1), StopCode.INFRASTRUCTURE_HEALTH, "gone")
    world.scaler.take([lost, stopped(0, 1)])
    assert world.until(3) == [(3, 8)]


def test_other_services_are_none_of_its_business():
    world = World(40)
    world.scaler.take([m.CreateService("api", "app", 9), m.UpdateService("api", 1)])
    world.scaler.take([m.StartTasks("app:1", "service:api", (90,), (0,), service="api")])
    world.scaler.take([running(90), stopped(90)])
    assert world.until(20) == []
    assert Autoscaler({}).next_ms is None


def test_a_call_of_somebody_else_is_what_it_goes_on_from():
    world = World(60)
    world.scaler.take([m.UpdateService("web", 6)])
    world.start(2)
    assert world.until(10) == []


@pytest.mark.parametrize(
    ("now", "load"),
    [(0, 5), (10, 5), (15, 10), (20, 15), (30, 15), (99, 15)],
)
def test_a_curve_is_straight_between_its_points_and_level_outside(now, load):
    assert LoadCurve(((10, 5.0), (20, 15.0))).at(now) == load


@pytest.mark.parametrize(
    ("now", "load"), [(0, 0), (30, 30), (60, 60), (80, 30), (100, 0), (130, 30)]
)
def test_a_curve_that_repeats_leads_back_to_its_beginning(now, load):
    assert LoadCurve(((0, 0.0), (60, 60.0)), 100).at(now) == load


def scheduled(minute, **fields):
    return ScheduledAction(minute * MINUTE, **fields)


def test_a_scheduled_action_brings_the_count_between_its_bounds_at_once():
    actions = (scheduled(5, min_capacity=8), scheduled(7, max_capacity=6, min_capacity=2))
    world = World(40, scheduled=actions, disable_scale_in=True)
    assert world.until(30) == [(5, 8), (7, 6)]


def test_a_scheduled_action_at_a_time_between_minutes_is_carried_out_then():
    action = ScheduledAction(90_500, min_capacity=8)
    world = World(40, scheduled=(action,))
    assert world.scaler.next_ms == MINUTE
    world.until(1)
    assert world.scaler.next_ms == 90_500
    assert not world.scaler.due(90_499)
    [call] = world.scaler.due(90_500)
    assert call.desired_count == 8


def test_a_scheduled_action_comes_again():
    hour = 60 * MINUTE
    morning = scheduled(10, every_ms=hour, min_capacity=6, max_capacity=100)
    evening = scheduled(40, every_ms=hour, min_capacity=1, max_capacity=3)
    world = World(30, scheduled=(morning, evening), disable_scale_in=True)
    assert world.until(129) == [(10, 6), (40, 3), (70, 6), (100, 3)]


def test_target_tracking_goes_on_between_scheduled_bounds():
    world = World(10, scheduled=(scheduled(2, min_capacity=3),))
    assert world.until(40) == [(15, 3)], "a load for one task, but three are the least"
