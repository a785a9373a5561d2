"""DAEMON services in every goal, against all placements of small worlds that ECS reaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.callers.client import Arrival
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import CreateService, RegisterTaskDefinition
from stowplan.placement.model import PlacementConstraint
from stowplan.placement.optimal.asked import asked
from stowplan.placement.optimal.demand import empty_cluster
from stowplan.placement.optimal.offers import choices, offers_of
from stowplan.placement.optimal.optimize import optimize
from stowplan.placement.packing.problem import Limits
from stowplan.placement.scenario.scenario import Scenario, instance_specs

from .test_optimize import calls, complete, fleets, points, scenario, task_lists

EXAMPLES = 12
HOUR_MS = 3_600_000
LARGE = (PlacementConstraint("memberOf", "attribute:ecs.instance-type == large"),)

daemon_lists = st.lists(
    st.fixed_dictionaries(
        {
            "cpu": st.sampled_from([100, 400, 900]),
            "memory": st.sampled_from([50, 300, 1500]),
            "port": st.sampled_from([0, 0, 80]),
            "rule": st.sampled_from([(), (), LARGE]),
        }
    ),
    min_size=1,
    max_size=2,
)


def daemon_calls(daemons):
    """A DAEMON service for each of these."""
    found = []
    for number, daemon in enumerate(daemons):
        container = {"name": "d", "image": "d"} | {k: daemon[k] for k in ("cpu", "memory")}
        if daemon.get("port"):
            container["portMappings"] = [{"containerPort": 1, "hostPort": daemon["port"]}]
        document = {"family": f"d{number}", "containerDefinitions": [container]}
        found.append(Arrival(0, RegisterTaskDefinition(document)))
        rules, name = daemon.get("rule", ()), f"d{number}"
        call = CreateService(name, name, 0, rules, scheduling_strategy="DAEMON")
        found.append(Arrival(0, call))
    return found


def reachable(specs, sets, daemons):
    """Every content that the engine reaches once ECS has started the daemons where they fit."""
    cluster = empty_cluster(specs)
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
    for daemon in daemons:
        for row in range(len(specs)):
            engine.place_on(daemon.kind, row)
    seen = set()

    def go(content):
        if content in seen:
            return
        seen.add(content)
        for i, each in enumerate(sets):
            if sum(row[i] for row in content) == each.count:
                continue
            for row in np.flatnonzero(engine.allowed(each.kind)).tolist():
                cluster.reserve(each.kind, row)
                mine = (*content[row][:i], content[row][i] + 1, *content[row][i + 1 :])
                go((*content[:row], mine, *content[row + 1 :]))
                cluster.release(each.kind, row)

    go(((0,) * len(sets),) * len(specs))
    return seen


def world(fleet, tasks, daemons, **options):
    made = scenario(fleet, **options)
    both = [*daemon_calls(daemons), *calls(tasks)]
    wanted = asked(both, made.optimize)
    return made, both, wanted.tasks, wanted.daemons


@settings(max_examples=EXAMPLES)
@given(fleets, task_lists(), daemon_lists)
def test_the_best_placement_beside_daemons_is_the_best_of_all(fleet, tasks, daemons):
    objective = {"placed": 100, "instances": 10, "spread": 1}
    made, both, sets, staff = world(fleet, tasks, daemons, objective=objective)
    specs = instance_specs(made)
    least = min(points(c, sets, specs, objective) for c in reachable(specs, sets, staff))

    found = optimize(made, both, "placement")

    assert (found.status, found.objective) == ("optimal", least)
    assert not found.trial.refused


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(["small", "large"]), task_lists(most=3), daemon_lists)
def test_the_fewest_instances_beside_daemons_are_the_fewest_of_all(kind, tasks, daemons):
    made, both, sets, staff = world([(kind, "a", 3)], tasks, daemons)
    specs = instance_specs(made)
    whole = [c for c in reachable(specs, sets, staff) if complete(c, sets)]
    fewest = min((sum(map(any, content)) for content in whole), default=None)

    found = optimize(made, both, "instances")
    over_time = optimize(made, both, "hours", Limits(work=500))

    assert found.objective == fewest
    assert found.status == ("infeasible" if fewest is None else "optimal")
    if fewest is not None:
        assert found.trial.refused == {}
        assert over_time.lower_bound <= fewest * specs[0].price_microusd_hour * made.duration
        assert over_time.objective >= fewest * specs[0].price_microusd_hour * made.duration
        assert over_time.trial.refused == {}
    else:
        assert over_time.status == "infeasible"


@settings(max_examples=EXAMPLES)
@given(fleets, task_lists(most=3), daemon_lists)
def test_the_cheapest_fleet_beside_daemons_is_the_cheapest_of_all(fleet, tasks, daemons):
    offers = [{"instance_type": kind, "zones": ["a"], "limit": n} for kind, _, n in fleet]
    made, both, sets, staff = world(fleet, tasks, daemons, offer=offers)
    specs = [choice.spec for choice in choices(made, offers_of(made)) for _ in range(choice.limit)]
    whole = [c for c in reachable(specs, sets, staff) if complete(c, sets)]
    costs = [
        sum(s.price_microusd_hour for s, row in zip(specs, c, strict=True) if any(row))
        for c in whole
    ]

    found = optimize(made, both, "fleet")

    assert found.objective == min(costs, default=None)


@pytest.mark.parametrize(
    ("daemon", "count", "task_cpu", "boxes"),
    [
        (128, 8, 1024, 8),  # two would fit on 2048 units, were there no daemon
        (128, 9, 640, 3),  # three of 640 beside 128: 2048 to the unit
        (129, 9, 640, 5),
        (0, 8, 1024, 4),
    ],
)
@pytest.mark.parametrize("goal", ["instances", "fleet", "hours"])
def test_a_daemon_takes_its_room_on_every_instance(daemon, count, task_cpu, boxes, goal):
    tasks = calls([{"cpu": task_cpu, "memory": 300, "count": count}])
    daemons = daemon_calls([{"cpu": daemon, "memory": 60}])
    found = optimize(big(), [*daemons, *tasks], goal)
    unit = {"instances": 1, "fleet": 96, "hours": 96 * HOUR_MS}[goal]
    assert (found.status, found.objective) == ("optimal", boxes * unit)
    assert found.trial.reached
    assert found.trial.left == {}


def big(**more):
    types = {"big": {"cpu": 2048, "memory": 7680, "price_microusd_hour": 96}}
    fleet = [{"name": "f", "instance_type": "big", "count": 2, "zones": ["a"]}]
    options = {"name": "big", "duration": "1h", "instance_types": types, "fleet": fleet,
               "task_definitions": {}, **more}  # fmt: skip
    return Scenario.model_validate(options)


def test_a_daemon_that_fits_nowhere_is_gone_without_and_named():
    from stowplan.experiments.report.optimize import summary

    tasks = calls([{"cpu": 1024, "memory": 300, "count": 4}])
    daemons = daemon_calls([{"cpu": 4000, "memory": 60}, {"cpu": 10, "memory": 10}])
    found = optimize(big(), [*daemons, *tasks], "instances")
    # ECS starts what fits: the second daemon leaves 2038 units, so one task
    assert found.objective == 4
    assert found.plan.without(0) == 4
    assert "daemon d0: a task on 0 instances; on 4 instances it has no room" in summary(
        found, big()
    )


def test_the_room_that_a_daemon_leaves_is_what_the_reason_names():
    tasks = calls([{"cpu": 2000, "memory": 300, "count": 1}])
    daemons = daemon_calls([{"cpu": 100, "memory": 60}])
    for goal in ("instances", "fleet"):
        (why,) = optimize(big(), [*daemons, *tasks], goal).reasons
        assert "leaves beside its daemons is 1,948 (big)" in why


def test_a_port_of_a_daemon_is_taken_on_every_instance():
    tasks = calls([{"cpu": 10, "memory": 30, "count": 1, "port": 80}])
    daemons = daemon_calls([{"cpu": 10, "memory": 10, "port": 80}])
    for goal in ("instances", "fleet", "hours"):
        assert optimize(big(), [*daemons, *tasks], goal).status == "infeasible"


def test_a_daemon_that_depends_on_what_else_runs_is_refused():
    rule = (PlacementConstraint("memberOf", "task:group == service:t0"),)
    daemons = daemon_calls([{"cpu": 10, "memory": 10, "rule": rule}])
    tasks = calls([{"cpu": 10, "memory": 30, "count": 1}])
    for goal in ("instances", "fleet", "placement", "hours"):
        with pytest.raises(PlacementError, match="d0: memberOf"):
            optimize(big(), [*daemons, *tasks], goal)
