"""The checkers: silent on what is sound, loud on every violation that is planted, never sure of
what they could not check."""

from __future__ import annotations

import pytest

from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import CHECKERS, check_rounds
from stowplan.placement.model import PlacementConstraint, StopCode, TaskStatus
from stowplan.placement.reasons import PROVISIONING_QUOTA, Failure
from tests.driving import (
    DISTINCT,
    Driven,
    definition,
    draining,
    gone,
    instance,
    launched,
    member_of,
    on,
    provider,
    run_task,
    running,
    stopped,
    terminated,
)

FULL = Failure("RESOURCE:CPU")
USER, SCHEDULER = StopCode.USER_INITIATED, StopCode.SERVICE_SCHEDULER_INITIATED
REASON = "Scaling activity initiated by (deployment ecs-svc/1)"


def told(*steps: tuple[list, list]) -> list[m.Round]:
    """Rounds a second apart, each of some events and commands, after a definition of a task."""
    begin = m.Round(0, (definition(),), ())
    rounds = [m.Round(1000 + n, tuple(es), tuple(cs)) for n, (es, cs) in enumerate(steps)]
    return [begin, *rounds]


def start(tasks, instances, request=0, **fields) -> m.StartTasks:
    fields.setdefault("group", "family:app")
    return m.StartTasks("app:1", tasks=tasks, instances=instances, request=request, **fields)


def stop(*tasks) -> m.StopTasks:
    return m.StopTasks(tasks, USER, "")


def failed(count=1, request=0) -> m.RunTaskFailed:
    return m.RunTaskFailed(request, count, FULL)


def waits(*tasks, request=0) -> m.TasksProvisioning:
    return m.TasksProvisioning(request, tasks, FULL)


def serve(tasks, instances, **fields) -> m.StartTasks:
    return start(tasks, instances, None, service="web", group="service:web", **fields)


def replaced(*tasks) -> m.StopTasks:
    reason = "Scaling activity initiated by (deployment ecs-svc/2)"
    return m.StopTasks(tasks, StopCode.SERVICE_SCHEDULER_INITIATED, reason)


def drained(*tasks, until_ms) -> m.StopTasks:
    return m.StopTasks(tasks, SCHEDULER, REASON, until_ms)


WEB = m.CreateService("web", "app", 2)
BEHIND = m.CreateService("web", "app", 2, load_balancer=m.LoadBalancer())
WAITING = run_task(capacity_provider="cp")
CP = instance(0, capacity_provider="cp")
SMALL_CP = instance(0, cpu=256, capacity_provider="cp")

GROUP, UP = provider(), launched(0)


ON_CP = {"capacity_provider": "cp"}
TIGHT = provider(desired_capacity=1, scaling={"target_capacity": 70, "instance_warmup_ms": 0})
BALANCED = m.CreateService("web", "app", 3, availability_zone_rebalancing=True)


def at(deployment: str, tasks, instances) -> m.StartTasks:
    return serve(tasks, instances, deployment=deployment)


def metric(needed: int, running: int, percent: float) -> m.CapacityProviderReservation:
    return m.CapacityProviderReservation("cp", needed, running, running, percent)


# Name of the checker that must speak up, what it must say, and what happened.
PLANTED = {
    "a definition that is deleted while it is ACTIVE": (
        "ended definitions",
        "DeleteTaskDefinition of app:1, which is ACTIVE",
        [([m.DeleteTaskDefinition("app:1")], [])],
    ),
    "a tag of AWS's own": (
        "tags",
        "is AWS's own",
        [([m.TagResource("cluster", "", (("aws:x", "y"),))], [])],
    ),
    "a task that is protected from scale-in": (
        "protected tasks",
        "stops task 1, which is protected",
        [
            ([instance(0), WEB], [serve((0, 1), (0, 0), deployment="ecs-svc/1")]),
            ([running(0, 1), m.UpdateTaskProtection((0, 1), True, 5)], []),
            ([m.UpdateTaskProtection((0,), False)], []),
            ([m.UpdateService("web", 0)], [drained(0, 1, until_ms=None)]),
        ],
    ),
    "never registered": (
        "registered hosts",
        "never registered",
        [([run_task()], [start((0,), (0,))])],
    ),
    "a gap between instances": ("registered hosts", "next number", [([instance(1)], [])]),
    "draining": (
        "eligible hosts",
        "is DRAINING",
        [([instance(0), draining(0), run_task()], [start((0,), (0,))])],
    ),
    "gone": (
        "eligible hosts",
        "is INACTIVE",
        [([instance(0)], []), ([gone(0), run_task()], [start((0,), (0,))])],
    ),
    "disconnected": (
        "eligible hosts",
        "no agent",
        [
            (
                [instance(0), m.AgentConnectionChanged((0,), False), run_task()],
                [start((0,), (0,))],
            )
        ],
    ),
    "outside its capacity provider": (
        "eligible hosts",
        "not of capacity provider cp",
        [([instance(0), WAITING], [start((0,), (0,))])],
    ),
    "too much in one command": (
        "resources",
        "has 0 CPU left of 512, the task takes 256",
        [([instance(0, cpu=512), run_task(count=3)], [start((0, 1, 2), (0, 0, 0))])],
    ),
    "too much over two rounds": (
        "resources",
        "has 0 CPU left",
        [
            ([instance(0, cpu=256), run_task()], [start((0,), (0,))]),
            ([run_task(1)], [start((1,), (0,), 1)]),
        ],
    ),
    "too much by an override": (
        "resources",
        "takes 2048",
        [([instance(0), run_task(cpu=2048)], [start((0,), (0,), cpu=2048)])],
    ),
    "a task runs before the one that stops is gone": (
        "really fits",
        "really holds 512 CPU of 256",
        [
            ([instance(0, cpu=256), run_task()], [start((0,), (0,))]),
            ([running(0), m.StopTask((0,))], [stop(0)]),
            ([run_task(1)], [start((1,), (0,), 1)]),
            ([running(1)], []),
        ],
    ),
    "a constraint broken": (
        "constraints",
        "distinctInstance allows 1",
        [
            (
                [instance(0), run_task(count=2, placement_constraints=DISTINCT)],
                [start((0, 1), (0, 0))],
            )
        ],
    ),
    "more than the most": (
        "constraints",
        "maxPerInstance allows 2",
        [
            (
                [
                    instance(0),
                    run_task(
                        count=3, placement_constraints=(PlacementConstraint("maxPerInstance", "2"),)
                    ),
                ],
                [start((0, 1, 2), (0, 0, 0))],
            )
        ],
    ),
    "not a member": (
        "constraints",
        "does not satisfy 'attribute:stack == prod'",
        [
            (
                [instance(0), run_task(placement_constraints=member_of("attribute:stack == prod"))],
                [start((0,), (0,))],
            )
        ],
    ),
    "not beside its neighbour": (
        "constraints",
        "does not satisfy 'task:group == other'",
        [
            (
                [instance(0), run_task(placement_constraints=member_of("task:group == other"))],
                [start((0,), (0,))],
            )
        ],
    ),
    "a device that is not there": (
        "devices",
        "task 0 was given devices (2,) of the 2 of instance 0",
        [([instance(0, devices=(1000, 1000)), run_task()], [start((0,), (0,), devices=((2,),))])],
    ),
    "a device twice": (
        "devices",
        "devices (1, 1)",
        [([instance(0, devices=(1000, 1000)), run_task()], [start((0,), (0,), devices=((1, 1),))])],
    ),
    "a gap between tasks": (
        "task numbers",
        "task 1 appears, 0 is the next number",
        [([instance(0), run_task()], [start((1,), (0,))])],
    ),
    "started twice": (
        "task lives",
        "StartTasks names task 0: PLACED",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([], [start((0,), (0,))]),
        ],
    ),
    "started again after its end": (
        "task lives",
        "StartTasks names task 0: STOPPED",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([stopped(0)], [start((0,), (0,))]),
        ],
    ),
    "started twice in one command": (
        "task lives",
        "StartTasks names task 0 2 times",
        [([instance(0), run_task(count=2)], [start((0, 0), (0, 0))])],
    ),
    "waiting again": (
        "task lives",
        "TasksProvisioning names task 0: PLACED",
        [([SMALL_CP, WAITING], [start((0,), (0,))]), ([WAITING], [waits(0)])],
    ),
    "stopped twice": (
        "task lives",
        "StopTasks names task 0: STOPPING",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([m.StopTask((0,))], [stop(0)]),
            ([m.StopTask((0,))], [stop(0)]),
        ],
    ),
    "stopped though it never was": ("task lives", "task 3: unknown", [([], [stop(3)])]),
    "given up for lost though its host lives": (
        "task lives",
        "TasksStopped names task 0: PLACED",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([], [m.TasksStopped((0,), StopCode.INFRASTRUCTURE_HEALTH, "")]),
        ],
    ),
    "a report of a task that never was": (
        "task lives",
        "TasksChanged names task 0: unknown",
        [([running(0)], [])],
    ),
    "a report of a task that waits": (
        "task lives",
        "TasksChanged names task 0: WAITING",
        [([WAITING], [waits(0)]), ([running(0)], [])],
    ),
    "a request without an answer": (
        "requests",
        "asked for 2 tasks, 1 were answered for",
        [([instance(0), run_task(count=2)], [start((0,), (0,))])],
    ),
    "both failed and placed": (
        "requests",
        "asked for 1 tasks, 2 were answered for",
        [([instance(0, cpu=256), run_task()], [start((0,), (0,)), failed()])],
    ),
    "both failed and waiting": (
        "requests",
        "asked for 1 tasks, 2 were answered for",
        [([WAITING], [waits(0), failed()])],
    ),
    "an answer to no request": ("requests", "asked for 0", [([], [failed(request=9)])]),
    "too many tasks of a service": (
        "service counts",
        "wants 2 tasks, has 3",
        [([instance(0), WEB], [serve((0, 1, 2), (0, 0, 0))])],
    ),
    "a service not scaled in": (
        "service counts",
        "wants 1 tasks, has 2",
        [
            ([instance(0), WEB], [serve((0, 1), (0, 0))]),
            ([m.UpdateService("web", 1)], []),
        ],
    ),
    "replaced before what replaces them is healthy": (
        "healthy floor",
        "a deployment leaves service web 0 healthy tasks of 2",
        [
            ([instance(0), WEB], [serve((0, 1), (0, 0), deployment="ecs-svc/1")]),
            ([running(0, 1)], []),
            (
                [m.UpdateService("web", force_new_deployment=True)],
                [serve((2, 3), (0, 0), deployment="ecs-svc/2")],
            ),
            ([running(2, 3)], [replaced(0, 1)]),
        ],
    ),
    "drained before what replaces it runs": (
        "healthy floor",
        "a drain leaves service web 1 running tasks of 2",
        [
            (
                [instance(0, cpu=256), instance(1, cpu=256), WEB],
                [serve((0, 1), (0, 1), deployment="ecs-svc/2")],
            ),
            ([running(0, 1)], []),
            ([draining(0)], [replaced(0)]),
        ],
    ),
    "refused though there was room": (
        "room",
        "a request failed (family:app), and instance 0 has room",
        [([instance(0), run_task()], [failed()])],
    ),
    "waiting though there is room": (
        "room",
        "tasks wait (family:app), and instance 0 has room",
        [([CP, WAITING], [waits(0)])],
    ),
    "waiting though room has come": (
        "room",
        "tasks wait",
        [([WAITING], [waits(0)]), ([CP], [])],
    ),
    "launched twice": (
        "money adds up",
        "launched twice",
        [([provider(desired_capacity=2), UP], []), ([UP], [])],
    ),
    "launched for nobody": ("money adds up", "more than the 0", [([GROUP, UP], [])]),
    "ended twice": (
        "money adds up",
        "which was not up",
        [([provider(desired_capacity=1), UP, terminated(0)], []), ([terminated(0)], [])],
    ),
    "registered without a launch": ("money adds up", "not up", [([GROUP, CP], [])]),
    "gone and still paid for": (
        "money adds up",
        "still paid for",
        [([provider(desired_capacity=1), UP, CP], []), ([gone(0)], [])],
    ),
    "an instance that nobody launched": (
        "capacity metric",
        "has 0 running, not 1",
        [([GROUP], [metric(0, 1, 0.0)])],
    ),
    "an empty instance is needed": (
        "capacity metric",
        "needs 0 instances, not 1",
        [([provider(desired_capacity=1), UP, CP], [metric(1, 1, 100.0)])],
    ),
    "a step beyond the step size": (
        "capacity metric",
        "needs 1 instances, not 2",
        [
            (
                [provider(scaling={"maximum_scaling_step_size": 1}), WAITING],
                [waits(0), metric(2, 0, 200.0)],
            )
        ],
    ),
    "fewer needed than the waiting tasks fill": (
        "capacity metric",
        "needs 2 instances, not 1",
        [
            (
                [GROUP, run_task(count=5, capacity_provider="cp")],
                [waits(*range(5)), metric(1, 0, 200.0)],
            )
        ],
    ),
    "a metric that is no quotient": (
        "capacity metric",
        "is at 0.0 %, not 50.0 %",
        [([provider(desired_capacity=1), UP, CP], [metric(0, 1, 50.0)])],
    ),
    "rounded down": (
        "group sizes",
        "shall have 2, by its metric 3; it had 1",
        [
            (
                [TIGHT, UP, CP, run_task(count=8, **ON_CP)],
                [start((0, 1, 2, 3), (0,) * 4), waits(4, 5, 6, 7), metric(2, 1, 200.0)],
            ),
            ([], [m.SetDesiredCapacity("cp", 2), metric(2, 1, 200.0)]),
        ],
    ),
    "a metric above the target that nobody follows": (
        "group sizes",
        "shall have 1, by its metric 3; it stays as it was",
        [
            (
                [TIGHT, UP, CP, run_task(count=8, **ON_CP)],
                [start((0, 1, 2, 3), (0,) * 4), waits(4, 5, 6, 7), metric(2, 1, 200.0)],
            ),
            ([], [metric(2, 1, 200.0)]),
        ],
    ),
    "balanced though zones differ by one": (
        "zone balance",
        "by task 3 where it has 1, and nowhere more than 2",
        [
            ([instance(0), instance(1, zone="b"), BALANCED], [at("1", (0, 1, 2), (0, 0, 1))]),
            ([running(0, 1, 2)], [at("1", (3,), (1,))]),
        ],
    ),
    "stopped without draining": (
        "load balancers",
        "task 0 may be stopped from None ms on, its target drains to 301002",
        [
            ([instance(0), BEHIND], [serve((0, 1), (0, 0))]),
            ([running(0, 1)], []),
            ([m.StopTask((0,))], [stop(0)]),
        ],
    ),
    "stopped before it has drained": (
        "load balancers",
        "task 1 stopped at 1003 ms, its target drains until 301002 ms",
        [
            ([instance(0), BEHIND], [at("1", (0, 1), (0, 0))]),
            ([running(0, 1)], []),
            ([m.UpdateService("web", 1)], [drained(1, until_ms=301_002)]),
            ([m.TasksChanged(TaskStatus.STOPPED, (1,), SCHEDULER, REASON)], []),
        ],
    ),
    "runs on what is gone": (
        "dead instances",
        "task 0 is RUNNING on instance 0, which is gone",
        [([instance(0), run_task()], [start((0,), (0,))]), ([gone(0), running(0)], [])],
    ),
    "judged on what is gone": (
        "dead instances",
        "task 0 is judged on instance 0, which is gone",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([gone(0), m.TasksHealthChanged(True, (0,))], []),
        ],
    ),
    "an agent of what is gone": (
        "dead instances",
        "the agent of instance 0 connects, which is gone",
        [([instance(0)], []), ([gone(0), m.AgentConnectionChanged((0,), True)], [])],
    ),
    "beyond its maximum": (
        "managed scaling",
        "allowed are 0 to 10",
        [
            ([GROUP, WAITING], [waits(0), metric(1, 0, 200.0)]),
            ([], [m.SetDesiredCapacity("cp", 11)]),
        ],
    ),
    "growth without need": (
        "managed scaling",
        "without a point above 100 %",
        [([GROUP], [m.SetDesiredCapacity("cp", 1)])],
    ),
    "scale-in too soon": (
        "managed scaling",
        "after 0 points of 15",
        [([provider(desired_capacity=1), UP], [m.SetDesiredCapacity("cp", 0)])],
    ),
    "scaled in with tasks": (
        "termination protection",
        "scaled in, and has tasks",
        [
            (
                [
                    provider(managed_termination_protection=True, desired_capacity=1),
                    *(UP, CP, WAITING),
                ],
                [start((0,), (0,))],
            ),
            ([m.InstancesTerminating(("i-0",), "scale-in")], []),
        ],
    ),
    "a service is deleted at a count, without force": (
        "endings",
        "was deleted at a count of 2",
        [([WEB], []), ([m.DeleteService("web")], [])],
    ),
    "an instance is deregistered with a task, without force": (
        "endings",
        "was deregistered with 1 tasks",
        [
            ([instance(0), run_task()], [start((0,), (0,))]),
            ([m.DeregisterContainerInstance(0)], []),
        ],
    ),
    "a capacity provider is deleted that a service names": (
        "endings",
        "['web'] name it",
        [
            ([GROUP, m.CreateService("web", "app", capacity_provider_strategy=on(cp=1))], []),
            ([m.DeleteCapacityProvider("cp")], []),
        ],
    ),
    "a cluster is deleted that holds an instance": (
        "endings",
        "deleted with 0 services, 1 hosts, 0 tasks",
        [([instance(0)], []), ([m.DeleteCluster()], [])],
    ),
    "a deleted service starts a task": (
        "the deleted",
        "service web starts tasks (0,), which was deleted",
        [
            ([instance(0), m.CreateService("web", "app", scheduling_strategy="DAEMON")], []),
            ([m.DeleteService("web")], []),
            ([], [serve((0,), (0,))]),
        ],
    ),
    "a task of an inactive definition": (
        "inactive definitions",
        "RunTask names app:1, which is INACTIVE",
        [
            ([instance(0), m.DeregisterTaskDefinition("app:1")], []),
            ([run_task(family="app:1")], [start((0,), (0,))]),
        ],
    ),
    "a built-in attribute is put": (
        "attributes",
        "is not a custom one",
        [([instance(0)], []), ([m.PutAttributes((m.Attribute("ecs.ami-id", 0, "x"),))], [])],
    ),
    "too many attributes are put": (
        "attributes",
        "has 11 custom attributes",
        [
            ([instance(0)], []),
            ([m.PutAttributes(tuple(m.Attribute(f"a{n}", 0) for n in range(11)))], []),
        ],
    ),
    "short though there is room": (
        "room",
        "service web is short (service:web), and instance 0 has room",
        [([instance(0), WEB], [serve((0,), (0,))])],
    ),
    "short though a task has ended": (
        "room",
        "service web is short",
        [
            ([instance(0, cpu=512), WEB], [serve((0, 1), (0, 0))]),
            ([running(0, 1)], []),
            ([stopped(0)], []),
        ],
    ),
    "still short a round after a stop made room": (
        "room",
        "service web is short",
        [
            ([instance(0, cpu=512), run_task()], [start((0,), (0,))]),
            ([WEB], [serve((1,), (0,))]),
            ([m.StopTask((0,))], [stop(0)]),
            ([], []),
        ],
    ),
}


@pytest.mark.parametrize(("checker", "says", "steps"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found_by_its_checker_and_by_no_other(checker, says, steps):
    found = check_rounds(told(*steps))
    assert {(v.checker, v.verdict) for v in found} == {(checker, "broken")}
    assert any(says in v.what for v in found), [str(v) for v in found]
    assert all(v.round == len(steps) for v in found), "it shows in the last round"


def test_host_ports_that_clash_are_found():
    events = (definition(host_port=80), instance(0), run_task(count=2))
    found = check_rounds([m.Round(0, events, (start((0, 1), (0, 0)),))])
    assert [(v.checker, v.what) for v in found] == [
        ("host ports", "task 1 started on instance 0, which has tcp port 80 taken")
    ]


def test_a_host_port_that_the_instance_reserves_is_taken():
    events = (definition(host_port=22), instance(0), run_task())
    found = check_rounds([m.Round(0, events, (start((0,), (0,)),))])
    assert [v.checker for v in found] == ["host ports"]


def test_attributes_and_zones_that_a_task_requires_are_looked_at():
    needs = definition(networkMode="awsvpc", runtimePlatform={"cpuArchitecture": "ARM64"})
    host = instance(0, resources={"ENI": 1}, attributes={"ecs.cpu-architecture": "x86_64"})
    events = (needs, host, run_task(zones=("b",)))
    found = check_rounds([m.Round(0, events, (start((0,), (0,)),))])
    assert {v.checker for v in found} == {"eligible hosts"}
    assert any("lacks attributes" in v.what for v in found)
    assert any("not in zones" in v.what for v in found)


def test_every_checker_has_a_planted_violation():
    planted = {checker for checker, _, _ in PLANTED.values()} | {"host ports"}
    assert planted == set(CHECKERS)


# --- what is sound -----------------------------------------------------------------------------

SOUND = {
    "a protected task beyond the count": [
        ([instance(0), WEB], [serve((0, 1), (0, 0), deployment="ecs-svc/1")]),
        ([running(0, 1), m.UpdateTaskProtection((1,), True, 5)], []),
        ([m.UpdateService("web", 0)], [drained(0, until_ms=None)]),
        ([m.DeleteService("web", True)], [drained(1, until_ms=None)]),
    ],
    "a service that was short and is deleted": [
        ([WEB], []),
        ([m.DeleteService("web", True)], []),
        ([instance(0)], []),
    ],
    "a service whose deployment has failed starts nothing": [
        (
            [WEB],
            [m.ServiceEvent("web", "(service web) (deployment ecs-svc/1) deployment failed: x")],
        ),
        ([instance(0)], []),
    ],
    "an instance is deregistered whose service was deleted just before": [
        ([instance(0), WEB], [serve((0, 1), (0, 0), deployment="ecs-svc/1")]),
        (
            [m.DeleteService("web", True), m.DeregisterContainerInstance(0)],
            [drained(0, 1, until_ms=None)],
        ),
    ],
    "a stop decided on before the event that ended the task": [
        ([instance(0), run_task()], [start((0,), (0,))]),
        ([m.StopTask((0,)), stopped(0)], [stop(0)]),
    ],
    "a stop decided on before its instance went": [
        ([instance(0), run_task()], [start((0,), (0,))]),
        ([m.StopTask((0,)), gone(0)], [stop(0)]),
    ],
    "running tasks of a service that their user stops": [
        ([instance(0), WEB], [serve((0, 1), (0, 0), deployment="ecs-svc/1")]),
        ([running(0, 1)], []),
        ([m.StopTask((0, 1))], [stop(0, 1), serve((2, 3), (0, 0), deployment="ecs-svc/1")]),
    ],
    "room that came too late for a service in this round": [
        ([instance(0, cpu=512), run_task()], [start((0,), (0,))]),
        ([WEB], [serve((1,), (0,))]),
        ([m.StopTask((0,))], [stop(0)]),
    ],
    "zones that differ by two are balanced": [
        ([instance(0), instance(1, zone="b"), BALANCED], [at("1", (0, 1, 2), (0, 0, 0))]),
        ([running(0, 1, 2)], [at("1", (3,), (1,))]),
    ],
    "an instance that was gone, and is back with a task": [
        ([instance(0), run_task()], [start((0,), (0,))]),
        ([gone(0), stopped(0)], []),
        ([instance(0), run_task(1)], [start((1,), (0,), 1)]),
        ([running(1)], []),
    ],
    "late and repeated reports": [
        ([instance(0), run_task()], [start((0,), (0,))]),
        ([running(0), running(0)], []),
        ([stopped(0), stopped(0), running(0)], []),
    ],
    "a quota that is used up though there is room": [
        ([CP, WAITING], [m.RunTaskFailed(0, 1, Failure(PROVISIONING_QUOTA))])
    ],
    "a request number used again": [
        ([instance(0), run_task()], [start((0,), (0,))]),
        ([run_task()], [start((1,), (0,))]),
    ],
    "a call that was rejected": [
        ([m.RunTask(5, "nobody", 3)], [m.CallRejected(0, m.RunTask(5, "nobody", 3), "unknown")]),
    ],
    "a task that waits beside an instance that is over-committed in what it does not ask for": [
        (
            [definition("free", cpu=0), instance(0, cpu=512), run_task(count=2)],
            [start((0, 1), (0, 0))],
        ),
        ([instance(0, cpu=256), run_task(1, family="free")], [failed(request=1)]),
    ],
    "an instance that registers again with its tasks on it": [
        ([instance(0, cpu=256), run_task()], [start((0,), (0,))]),
        ([instance(0, cpu=256), run_task(1)], [failed(request=1)]),
    ],
}


@pytest.mark.parametrize("steps", SOUND.values(), ids=SOUND)
def test_what_is_sound_is_left_in_peace(steps):
    assert check_rounds(told(*steps)) == []


def test_of_two_equal_calls_the_one_that_was_rejected_does_not_count():
    world = Driven()
    world.round(definition(), instance(0), WEB, WEB)
    world.round(gone(0), draining(0), instance(0, cpu=512), draining(0))
    assert [c.position for r in world.rounds for c in r.commands if type(c) is m.CallRejected] == [
        3,
        1,
    ]
    assert world.violations() == []


# --- what could not be checked -----------------------------------------------------------------


class Crashes:
    def __call__(self, history, seen):
        raise KeyError("lost")


def test_a_checker_that_crashes_says_unknown_once_and_others_go_on():
    rounds = told(*PLANTED["refused though there was room"][2], ([], []))
    found = check_rounds(rounds, {"crashes": Crashes, **CHECKERS})
    assert [(v.checker, v.verdict) for v in found] == [("crashes", "unknown"), ("room", "broken")]
    assert found[0].what == "KeyError: 'lost'"
    assert found[0].round == 0


def test_without_a_history_every_checker_says_unknown():
    rounds = [m.Round(0, (m.RunTask(0, "nobody", 1),), ())]
    found = check_rounds(rounds)
    assert {v.checker for v in found if v.verdict == "unknown"} == set(CHECKERS)
    assert all(v.verdict == "unknown" for v in found)


def test_a_constraint_that_no_rule_knows_is_unknown_not_kept():
    own = (PlacementConstraint("fullMoon"),)
    rounds = told(([instance(0), run_task(placement_constraints=own)], [start((0,), (0,))]))
    assert [(v.checker, v.verdict) for v in check_rounds(rounds)] == [("constraints", "unknown")]


def test_a_violation_says_where_it_is():
    (found,) = check_rounds(told(([instance(0), run_task()], [failed()])))
    assert str(found).startswith("room broken in round 1 at 1000 ms: a request failed")


def test_a_user_may_choose_the_checkers():
    rounds = told(*PLANTED["refused though there was room"][2])
    assert check_rounds(rounds, {"requests": CHECKERS["requests"]}) == []
