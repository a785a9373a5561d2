"""Capacity providers: waiting, the metric, target tracking, protection, draining (section 6)."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.scheduler.capacity.strategy import deal
from tests.driving import (
    DISTINCT,
    Driven,
    definition,
    gone,
    instance,
    launched,
    member_of,
    of,
    on,
    provider,
    run_task,
    running,
    stopped,
    terminated,
)

CP = {"capacity_provider": "cp"}
MINUTE = 60_000


class Minutes(Driven):
    """A scheduler with a capacity provider, a minute at a time; what it said of the metric."""

    def __init__(self, *events: m.Event) -> None:
        super().__init__()
        self.round(definition(), *events, at_ms=0)

    def minute(self, *events: m.Event, times: int = 1) -> tuple[m.Command, ...]:
        """The commands of the last of so many minutes; events come in the first."""
        commands: tuple[m.Command, ...] = ()
        for number in range(times):
            at_ms = (self.now_ms // MINUTE + 1) * MINUTE
            commands = self.round(*(events if number == 0 else ()), at_ms=at_ms)
        assert self.violations() == []
        return commands

    def point(self, *events: m.Event) -> tuple[int, int, float]:
        """M, N and the metric after one more minute."""
        [point] = of(m.CapacityProviderReservation, self.minute(*events))
        return point.needed, point.running, point.percent


def sizes(commands: tuple[m.Command, ...]) -> list[int]:
    return [command.desired_capacity for command in of(m.SetDesiredCapacity, commands)]


def up(*numbers: int, **fields) -> list[m.Event]:
    """Instances of the group are launched and register."""
    return [launched(*numbers), *(instance(n, capacity_provider="cp", **fields) for n in numbers)]


# --- the metric ----------------------------------------------------------------------------------


def test_nothing_runs_and_nothing_waits_is_100():
    assert Minutes(provider()).point() == (0, 0, 100.0)


def test_nothing_runs_and_tasks_wait_is_200_and_launches_two():
    world = Minutes(provider(), run_task(count=40, **CP))
    assert world.point() == (10, 0, 200.0)
    assert sizes(world.minute()) == [2]


def test_instances_with_tasks_are_needed_and_those_with_daemons_alone_are_not():
    daemon = m.CreateService("log", "app", scheduling_strategy="DAEMON")
    world = Minutes(provider(desired_capacity=2), daemon, *up(0, 1))
    assert world.point() == (0, 2, 0.0)
    assert world.point(run_task(**CP)) == (1, 2, 50.0)


@pytest.mark.parametrize(
    ("task", "count", "needed"),
    [
        ({}, 5, 2),
        ({"placement_constraints": DISTINCT}, 5, 5),
        ({"cpu": 600}, 3, 3),
        ({"cpu": 2000}, 3, None),
        ({"placement_constraints": member_of("attribute:ecs.availability-zone == c")}, 3, None),
    ],
)
def test_waiting_tasks_need_as_many_instances_as_they_would_fill(task, count, needed):
    # A full instance is there, so all of them wait.
    world = Minutes(provider(desired_capacity=1), *up(0), run_task(count=4, **CP))
    point = world.point(run_task(1, count, **CP, **task))
    assert point == ((1, 1, 100.0) if needed is None else (1 + needed, 1, 100.0 * (1 + needed)))


def test_the_group_that_needs_most_counts_and_steps_are_bounded():
    small = {"minimum_scaling_step_size": 3, "maximum_scaling_step_size": 4}
    world = Minutes(provider(desired_capacity=1, scaling=small), *up(0), run_task(count=4, **CP))
    assert world.point(run_task(1, 1, **CP)) == (4, 1, 400.0)
    assert world.point(run_task(2, 60, cpu=128, **CP)) == (5, 1, 500.0)


def test_of_several_types_the_largest_counts_and_the_smallest_must_hold_a_task():
    large, small = (m.LaunchTemplate({"CPU": n, "MEMORY": n}, {}) for n in (4096, 1024))
    call = m.CreateCapacityProvider(
        "cp", (large, small), ("a",), 10, 1, 1, m.ManagedScaling(), managed_draining=False
    )
    world = Minutes(call, *up(0), run_task(count=4, **CP))
    assert world.point(run_task(1, count=20, **CP)) == (3, 1, 300.0)
    other = Minutes(call, *up(0), run_task(count=4, **CP))
    assert other.point(run_task(1, count=9, cpu=2048, **CP)) == (1, 1, 100.0)


# --- target tracking -----------------------------------------------------------------------------


def test_scale_out_waits_until_instances_are_warm():
    world = Minutes(provider(), run_task(count=40, **CP))
    assert [sizes(world.minute()) for _ in range(2)] == [[], [2]]
    world.minute(*up(0, 1))
    # Eight found a place; the rest needs eight more, but not before five minutes have passed.
    assert [sizes(world.minute()) for _ in range(6)] == [[], [], [], [], [10], []]


def test_scale_in_comes_after_fifteen_minutes_a_half_at_a_time():
    world = Minutes(provider(desired_capacity=8), *up(*range(8)))
    assert [sizes(world.minute()) for _ in range(16)] == [[]] * 15 + [[4]]
    assert sizes(world.minute(gone(*range(4)), terminated(*range(4)))) == [2]


def test_a_target_below_100_keeps_a_share_of_instances_empty():
    world = Minutes(provider(scaling={"target_capacity": 50}), run_task(count=8, **CP))
    world.minute(times=2)
    world.minute(*up(0, 1), times=6)
    assert sizes(world.rounds[-1].commands + world.minute()) == [4]
    assert world.point(*up(2, 3)) == (2, 4, 50.0)
    assert sizes(world.minute(times=20)) == []


def test_a_size_that_is_no_whole_number_is_rounded_up():
    # 3 needed at 70 % are 4.29 instances; 2 at 30 %, from nothing and to stay, 6.67.
    tight = provider(desired_capacity=1, max_size=20, scaling={"target_capacity": 70})
    world = Minutes(tight, *up(0), run_task(count=12, **CP))
    assert world.point() == (3, 1, 300.0)
    assert [sizes(world.minute()) for _ in range(4)] == [[], [], [], [5]]
    calm = Minutes(
        provider(desired_capacity=20, max_size=20, scaling={"target_capacity": 30}),
        *up(*range(20)),
        run_task(count=8, **CP),
    )
    assert sizes(calm.minute(times=16)) == [10]
    assert sizes(calm.minute(gone(*range(10, 20)), terminated(*range(10, 20)))) == [7]


def test_no_group_grows_beyond_its_maximum_or_shrinks_below_its_minimum():
    world = Minutes(provider(max_size=1), run_task(count=8, **CP))
    assert sizes(world.minute(times=2)) == [1]
    calm = Minutes(provider(min_size=2, desired_capacity=3), *up(0, 1, 2))
    assert sizes(calm.minute(times=16)) == [2]
    assert sizes(calm.minute(gone(2), terminated(2), times=20)) == []


def test_a_provider_without_managed_scaling_is_left_alone_and_lets_nothing_wait():
    world = Minutes(provider(managed_scaling=None))
    commands = world.minute(run_task(**CP))
    assert [c.count for c in of(m.RunTaskFailed, commands)] == [1]
    assert of(m.CapacityProviderReservation, world.minute()) == []


# --- who may go ----------------------------------------------------------------------------------


def test_termination_protection_lets_go_of_empty_instances_only():
    world = Minutes(provider(desired_capacity=3, managed_termination_protection=True), *up(0, 1, 2))
    world.minute(run_task(placement_constraints=DISTINCT, **CP))
    world.minute(times=14)
    commands = [c for c in world.minute() if not isinstance(c, m.CapacityProviderReservation)]
    free = m.SetInstanceProtection("cp", ("i-1", "i-2"), False)
    assert commands == [free, m.SetDesiredCapacity("cp", 2)]


def test_an_instance_that_drains_goes_when_its_tasks_have_stopped():
    world = Minutes(provider(desired_capacity=2, managed_draining=True), *up(0, 1))
    world.round(run_task(**CP))
    world.round(running(0))
    world.round(m.InstancesTerminating(("i-0",), "scale-in"))
    assert world.scheduler.cluster.is_draining(0)
    assert of(m.CompleteTermination, world.minute()) == []
    assert of(m.CompleteTermination, world.round(stopped(0))) == [m.CompleteTermination(("i-0",))]


def test_an_instance_that_drains_goes_after_two_days_at_last():
    world = Minutes(provider(desired_capacity=1, managed_draining=True), *up(0), run_task(**CP))
    world.round(m.InstancesTerminating(("i-0",), "scale-in"))
    late = world.round(at_ms=world.now_ms + 48 * 3_600_000)
    assert of(m.CompleteTermination, late) == [m.CompleteTermination(("i-0",))]


def test_an_instance_that_never_registered_goes_at_once():
    world = Minutes(provider(desired_capacity=1, managed_draining=True), launched(0))
    commands = world.round(m.InstancesTerminating(("i-0",), "scale-in"))
    assert of(m.CompleteTermination, commands) == [m.CompleteTermination(("i-0",))]


# --- strategies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "bases", "count", "have", "dealt"),
    [
        ((1, 4), (0, 0), 10, (0, 0), [2, 8]),
        ((1, 4), (3, 0), 13, (0, 0), [5, 8]),
        ((1, 1), (0, 0), 3, (0, 0), [2, 1]),
        ((1, 1), (0, 0), 2, (4, 0), [0, 2]),
        ((0, 1), (2, 0), 5, (1, 0), [1, 4]),
        ((0,), (0,), 7, (0,), [7]),
    ],
)
def test_tasks_are_dealt_by_base_and_weight(weights, bases, count, have, dealt):
    items = tuple(
        m.CapacityProviderStrategyItem(f"cp{n}", w, b)
        for n, (w, b) in enumerate(zip(weights, bases, strict=True))
    )
    assert deal(items, count, have) == dealt


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (on(a=0, b=0), "weight 0"),
        (on(a=1) + on(a=2), "twice"),
        (on(a=1001), "weight 0 to 1000"),
        (tuple(m.CapacityProviderStrategyItem(n, 1, 1) for n in "ab"), "only one"),
        (on(**{f"cp{n}": 1 for n in range(21)}), "20 allowed"),
    ],
)
def test_a_strategy_that_ecs_would_refuse_is_refused(strategy, words):
    world = Minutes()
    for call in (
        run_task(capacity_provider_strategy=strategy),
        m.CreateService("web", "app", 1, capacity_provider_strategy=strategy),
        m.PutClusterCapacityProviders(strategy),
    ):
        [rejected] = of(m.CallRejected, world.round(call))
        assert words in rejected.reason


def test_a_service_is_dealt_over_its_providers_and_waits_on_each():
    both = [provider(), provider("spot")]
    web = m.CreateService("web", "app", 5, capacity_provider_strategy=on(cp=1, spot=4))
    world = Minutes(*both)
    waits = of(m.TasksProvisioning, world.round(web))
    assert [(n.service, n.capacity_provider, len(n.tasks)) for n in waits] == [
        ("web", "cp", 1),
        ("web", "spot", 4),
    ]
    assert [p.percent for p in of(m.CapacityProviderReservation, world.minute())] == [200.0, 200.0]
    assert sizes(world.minute()) == [2, 2]
    placed = world.round(launched(0, name="spot"), instance(0, capacity_provider="spot"))
    assert world.places(placed) == [0, 0, 0, 0]


def test_the_default_strategy_is_for_calls_that_name_none():
    world = Minutes(provider(), m.PutClusterCapacityProviders(on(cp=1)))
    commands = world.round(run_task(), run_task(1, capacity_provider_strategy=()))
    assert [c.capacity_provider for c in of(m.TasksProvisioning, commands)] == ["cp"]
    assert [c.request for c in of(m.RunTaskFailed, commands)] == [1]


def test_scale_in_takes_tasks_that_wait_first():
    web = m.CreateService("web", "app", 6, capacity_provider_strategy=on(cp=1))
    world = Minutes(provider(desired_capacity=1), *up(0), web)
    world.round(running(0, 1, 2, 3))
    commands = world.round(m.UpdateService("web", 3))
    assert [c.tasks for c in of(m.TasksStopped, commands)] == [(5, 4)]
    assert len(of(m.StopTasks, commands)[0].tasks) == 1


def test_a_scale_in_amid_a_deployment_leaves_nothing_waiting_beyond_maximum_percent():
    # Found by the soak: four new tasks wait while eight old ones fill both instances; then two
    # healthy ones are enough, and what waited started in the room of the six others.
    web = m.CreateService("web", "app", 8, maximum_percent=150, capacity_provider_strategy=on(cp=1))
    world = Minutes(provider(desired_capacity=2), *up(0, 1), web)
    world.round(running(*range(8)))
    world.round(at_ms=world.now_ms + 40_000)
    world.round(definition(), m.UpdateService("web", task_definition="app"))
    service = world.scheduler.services["web"]
    assert len(service.tasks) == 12
    commands = world.round(m.UpdateService("web", 2))
    assert len(stops(commands)) == 6
    assert sum(len(c.tasks) for c in of(m.TasksStopped, commands)) == 3
    assert len(service.tasks) == 3 == service.ceiling
    assert world.violations() == []


def test_a_service_beyond_the_quota_waits_for_its_turn():
    web = m.CreateService("web", "app", 1_200, capacity_provider_strategy=on(cp=1))
    world = Minutes(provider(cpu=102_400, memory=102_400), web)
    assert [len(c.tasks) for c in of(m.TasksProvisioning, world.rounds[0].commands)] == [500]
    world.minute(launched(), times=2)
    world.round(launched(0, 1), *(instance(n, 102_400, 102_400, **CP) for n in (0, 1)))
    world.round(at_ms=world.scheduler.deadline_ms)
    service = world.scheduler.services["web"]
    assert len(service.tasks) == 1_200
    assert world.violations() == []


# --- task protection -----------------------------------------------------------------------------


def protected(*tasks: int, minutes: int = 120, on: bool = True) -> m.UpdateTaskProtection:
    return m.UpdateTaskProtection(tasks, on, minutes)


def serving(count: int = 3) -> Minutes:
    world = Minutes(instance(0, 4096, 4096), m.CreateService("web", "app", count))
    world.round(running(*range(count)))
    return world


def stops(commands: tuple[m.Command, ...]) -> list[int]:
    return [task for command in of(m.StopTasks, commands) for task in command.tasks]


def test_scale_in_leaves_protected_tasks_alone_until_that_expires():
    world = serving()
    world.round(protected(1, 2, minutes=10))
    commands = world.round(m.UpdateService("web", 0))
    assert stops(commands) == [0]
    assert any("protected" in e.text for e in of(m.ServiceEvent, commands))
    ends_ms = world.scheduler.deadline_ms
    assert ends_ms == 2_000 + 600_000
    assert sorted(stops(world.round(at_ms=ends_ms))) == [1, 2]


def test_protection_can_be_taken_back():
    world = serving()
    world.round(protected(0, 1, 2), m.UpdateService("web", 1))
    assert sorted(stops(world.round(protected(1, 2, on=False)))) == [1, 2]


def test_a_deployment_leaves_protected_tasks_of_the_old_one_running():
    world = serving()
    world.round(protected(0))
    world.round(m.UpdateService("web", force_new_deployment=True))
    world.round(running(3, 4, 5))
    assert sorted(stops(world.round(at_ms=world.now_ms + 60_000))) == [1, 2]
    assert sorted(stops(world.round(protected(0, on=False)))) == [0]


@pytest.mark.parametrize(
    "call", [protected(9), protected(0, minutes=0), protected(0, minutes=2881)]
)
def test_protection_that_makes_no_sense_is_refused(call):
    world = serving()
    assert len(of(m.CallRejected, world.round(call))) == 1


def test_a_task_of_no_service_cannot_be_protected():
    world = Minutes(instance(0), run_task())
    assert len(of(m.CallRejected, world.round(protected(0)))) == 1


# --- calls that make no sense ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        provider(max_size=0),
        provider(min_size=3, desired_capacity=2),
        provider(desired_capacity=11),
        provider(managed_scaling=None, managed_termination_protection=True),
        provider(scaling={"target_capacity": 101}),
        provider(scaling={"minimum_scaling_step_size": 5, "maximum_scaling_step_size": 4}),
    ],
)
def test_a_capacity_provider_that_makes_no_sense_is_refused(call):
    assert len(of(m.CallRejected, Minutes().round(call))) == 1


def test_a_name_is_given_once_and_launches_are_for_a_known_one():
    world = Minutes(provider())
    rejected = of(m.CallRejected, world.round(provider(), launched(0, name="other")))
    assert ["exists already" in r.reason for r in rejected] == [True, False]
