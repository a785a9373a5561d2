"""The goals of `optimize` against every placement of small worlds, booked through the engine."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.callers.client import Arrival
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.messages import CreateService, RegisterTaskDefinition, RunTask
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.optimal.asked import static_tasks
from stowplan.placement.optimal.demand import empty_cluster
from stowplan.placement.optimal.offers import choices, offers_of
from stowplan.placement.optimal.optimize import GOALS, optimize
from stowplan.placement.packing.problem import Limits
from stowplan.placement.scenario.scenario import Scenario, instance_specs

EXAMPLES = 15
TYPES = {
    "small": {"cpu": 1024, "memory": 1000, "price_microusd_hour": 40},
    "large": {"cpu": 2048, "memory": 2400, "price_microusd_hour": 90, "gpus": 1},
}
RULES = {
    "free": (),
    "distinct": (PlacementConstraint("distinctInstance"),),
    "two": (PlacementConstraint("maxPerInstance", "2"),),
    "zone a": (PlacementConstraint("memberOf", "attribute:ecs.availability-zone == a"),),
    "large": (PlacementConstraint("memberOf", "attribute:ecs.instance-type == large"),),
}


def scenario(fleet, **options):
    """Instances given as (type, zones, count)."""
    return Scenario.model_validate(
        {
            "name": "small",
            "duration": "1m",
            "instance_types": TYPES,
            "fleet": [
                {"name": f"g{i}", "instance_type": kind, "zones": list(zones), "count": count}
                for i, (kind, zones, count) in enumerate(fleet)
            ],
            "task_definitions": {},
            "optimize": options,
        }
    )


def calls(tasks):
    """Tasks given as dicts: cpu, memory, port, gpu, rule, count, and group for a RunTask."""
    found = []
    for number, task in enumerate(tasks):
        container = {"name": "app", "image": "app:1", "cpu": task["cpu"], "memory": task["memory"]}
        if task.get("port"):
            container["portMappings"] = [{"containerPort": 80, "hostPort": task["port"]}]
        if task.get("gpu"):
            container["resourceRequirements"] = [{"type": "GPU", "value": "1"}]
        name = f"t{number}"
        document = {"family": name, "containerDefinitions": [container]}
        found.append(Arrival(0, RegisterTaskDefinition(document)))
        rule = RULES[task.get("rule", "free")]
        if task.get("group"):
            call = RunTask(number, name, task["count"], task["group"], started_by=name,
                           placement_constraints=rule)  # fmt: skip
        else:
            call = CreateService(name, name, task["count"], rule)
        found.append(Arrival(0, call))
    return found


@st.composite
def task_lists(draw, most=4):
    count = draw(st.integers(1, 3))
    tasks = []
    for _ in range(count):
        left = most - sum(task["count"] for task in tasks)
        if left:
            tasks.append(
                {
                    "cpu": draw(st.sampled_from([128, 500, 700, 1024])),
                    "memory": draw(st.sampled_from([100, 400, 900, 1300])),
                    "count": draw(st.integers(1, min(3, left))),
                    "rule": draw(st.sampled_from(list(RULES))),
                    "port": draw(st.sampled_from([0, 0, 80, 81])),
                    "gpu": draw(st.sampled_from([0, 0, 0, 1])),
                    "group": draw(st.sampled_from(["", "", "shared"])),
                }
            )
    return tasks


fleets = st.lists(
    st.tuples(st.sampled_from(list(TYPES)), st.sampled_from(["a", "b", "ab"]), st.integers(1, 2)),
    min_size=1,
    max_size=2,
)


def reachable(specs, sets):
    """Every content (a tuple a row of tasks by set) that the engine can reach in some order."""
    cluster = empty_cluster(specs)
    engine = Engine(cluster, np.random.default_rng(0), kernels=False)
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


def complete(content, sets):
    return all(sum(row[i] for row in content) == each.count for i, each in enumerate(sets))


def points(content, sets, specs, objective):
    """The objective in its own words, for a content."""
    zones = [spec.attributes["ecs.availability-zone"] for spec in specs]
    empty = Engine(empty_cluster(specs), np.random.default_rng(0), kernels=False)
    total = 0
    for i, each in enumerate(sets):
        by_zone = {}
        for row, open_row in enumerate(empty.fixed_mask(each.kind).tolist()):
            if open_row:
                by_zone[zones[row]] = by_zone.get(zones[row], 0) + content[row][i]
        if by_zone:
            total += objective.get("spread", 0) * (max(by_zone.values()) - min(by_zone.values()))
        missing = each.count - sum(row[i] for row in content)
        total += objective.get("placed", 0) * missing
    for spec, row in zip(specs, content, strict=True):
        if any(row):
            total += objective.get("instances", 0)
            total += objective.get("cost", 0) * spec.price_microusd_hour
    return total


@settings(max_examples=EXAMPLES)
@given(
    fleets,
    task_lists(),
    st.sampled_from(
        [
            {"placed": 100, "instances": 10, "spread": 1},
            {"placed": 5, "instances": 10, "spread": 3},
            {"placed": 2, "spread": 4},
            {"instances": 1},
            {"cost": 1, "spread": 7},
        ]
    ),
)
def test_the_best_placement_is_the_best_of_all_that_the_engine_can_reach(fleet, tasks, objective):
    world = scenario(fleet, objective=objective)
    sets = static_tasks(calls(tasks), world.optimize)
    specs = instance_specs(world)
    all_of_them = [
        points(content, sets, specs, objective)
        for content in reachable(specs, sets)
        if "placed" in objective or complete(content, sets)
    ]

    found = optimize(world, calls(tasks), "placement")

    if all_of_them:
        assert (found.status, found.objective) == ("optimal", min(all_of_them))
    else:
        assert found.status == "infeasible"
        assert found.reasons


@settings(max_examples=EXAMPLES)
@given(fleets, task_lists(most=3), st.integers(0, 2))
def test_the_cheapest_fleet_is_the_cheapest_of_all(fleet, tasks, spot):
    world = scenario(fleet)
    offers = [
        {"instance_type": kind, "zones": list(zones), "limit": count}
        | ({"spot_price_microusd_hour": 30, "spot_limit": 1} if i < spot else {})
        for i, (kind, zones, count) in enumerate(fleet)
        if len(zones) == 1
    ]
    world = scenario(fleet, offer=offers)
    sets = static_tasks(calls(tasks), world.optimize)
    options = choices(world, offers_of(world))
    total = sum(each.count for each in sets)
    costs = []
    for number in range(total + 1):
        for bought in itertools.combinations_with_replacement(range(len(options)), number):
            chosen = [options[i] for i in bought]
            limits = [(options[i].limit, bought.count(i)) for i in set(bought)]
            cost = sum(choice.spec.price_microusd_hour for choice in chosen)
            if all(n is None or k <= n for n, k in limits) and (not costs or cost < min(costs)):
                contents = reachable([choice.spec for choice in chosen], sets)
                if any(complete(content, sets) for content in contents):
                    costs.append(cost)

    found = optimize(world, calls(tasks), "fleet")

    if costs:
        assert (found.status, found.objective) == ("optimal", min(costs))
        assert found.plan.price_microusd_hour == min(costs)
    else:
        assert found.status == "infeasible"


@settings(max_examples=EXAMPLES)
@given(task_lists(), st.sampled_from(["a", "ab"]), st.sampled_from(list(TYPES)))
def test_the_fewest_instances_are_the_fewest_of_all(tasks, zones, kind):
    world = scenario([("large", zones, 1)], instance_type=kind)
    sets = static_tasks(calls(tasks), world.optimize)
    total = sum(each.count for each in sets)
    fewest = None
    for number in range(1, total + 1):
        for where in itertools.combinations_with_replacement(zones, number):
            specs = instance_specs(scenario([(kind, zone, 1) for zone in where]))
            contents = reachable(specs, sets)
            if any(complete(content, sets) for content in contents):
                fewest = number
                break
        if fewest is not None:
            break

    found = optimize(world, calls(tasks), "instances")

    assert found.objective == fewest
    assert found.status == ("infeasible" if fewest is None else "optimal")


@settings(max_examples=EXAMPLES)
@given(
    fleets,
    task_lists(most=5),
    st.lists(st.sampled_from(["random", "binpack:memory", "spread:instanceId"]), max_size=2),
    st.integers(0, 2**31),
)
def test_no_chain_of_strategies_beats_the_best_placement(fleet, tasks, chain, seed):
    objective = {"placed": 100, "instances": 10, "spread": 1}
    world = scenario(fleet, objective=objective)
    sets = static_tasks(calls(tasks), world.optimize)
    specs = instance_specs(world)
    rng = np.random.default_rng(seed)
    cluster = empty_cluster(specs)
    strategies = tuple(PlacementStrategy(*text.split(":")) for text in chain)
    content = np.zeros((len(specs), len(sets)), int)
    queue = [i for i, each in enumerate(sets) for _ in range(each.count)]
    for i in rng.permutation(queue).tolist():
        kind = sets[i].kind
        kind = type(kind)(*(getattr(kind, name) for name in kind.__slots__[:7]), strategies)
        row = int(Engine(cluster, rng).place([kind]).instances[0])
        if row >= 0:
            content[row, i] += 1

    found = optimize(world, calls(tasks), "placement", Limits(work=50_000))

    assert found.objective <= points(content.tolist(), sets, specs, objective)


def test_what_cannot_be_placed_is_named_with_what_there_is():
    tasks = [{"cpu": 128, "memory": 40_000, "count": 2}]
    world = scenario([("small", "a", 1), ("large", "a", 1)])
    for goal in ("instances", "fleet"):
        (reason,) = optimize(world, calls(tasks), goal).reasons
        assert "task definition t0:1 (t0) needs 40,000 MiB of memory" in reason
    assert "2,400 (large)" in optimize(world, calls(tasks), "fleet").reasons[0]


def test_limits_that_are_too_low_name_the_service():
    world = scenario([("large", "a", 1)], offer=[{"instance_type": "large", "limit": 1}])
    found = optimize(world, calls([{"cpu": 2048, "memory": 900, "count": 2}]), "fleet")
    assert found.status == "infeasible"
    assert "t0 (t0:1)" in found.reasons[0]


def test_at_most_a_share_of_each_service_is_on_spot():
    offer = {"instance_type": "small", "spot_discount_percent": 70}
    world = scenario([("small", "a", 1)], offer=[offer], spot_percent_max=50)
    found = optimize(world, calls([{"cpu": 1024, "memory": 900, "count": 5}]), "fleet")
    assert found.objective == 3 * 40 + 2 * 12
    on_spot = [line.copies for line in found.plan.instances if line.purchase == "spot"]
    assert sum(on_spot) == 2


def test_zones_share_every_service_evenly_where_that_is_asked():
    world = scenario([("large", "abc", 3)], spread_zones=True)
    tasks = [{"cpu": 128, "memory": 100, "count": 7}, {"cpu": 1024, "memory": 900, "count": 4}]
    plan = optimize(world, calls(tasks), "fleet").plan
    for owner in range(2):
        zones = dict.fromkeys("abc", 0)
        for line in plan.instances:
            zones[line.zone] += dict(line.tasks).get(owner, 0) * line.copies
        assert max(zones.values()) - min(zones.values()) <= 1


def test_weights_decide_who_is_left_out():
    tasks = [{"cpu": 1024, "memory": 900, "count": 1}] * 2
    for heavy in ("t0", "t1"):
        world = scenario([("small", "a", 1)], weights={heavy: 3})
        plan = optimize(world, calls(tasks), "placement").plan
        (left,) = plan.left_out
        assert plan.tasks[left].owner != heavy


def test_a_constraint_on_what_is_running_is_refused():
    tasks = calls([{"cpu": 1, "memory": 64, "count": 1}])
    rule = (PlacementConstraint("memberOf", "task:group == x"),)
    tasks.append(Arrival(0, CreateService("late", "t0", 1, rule)))
    with pytest.raises(PlacementError, match="late: memberOf"):
        optimize(scenario([("small", "a", 1)]), tasks, "fleet")


def test_an_unknown_goal_names_those_there_are():
    with pytest.raises(PlacementError, match="known: " + ", ".join(GOALS)):
        optimize(scenario([("small", "a", 1)]), [], "happiness")


@pytest.mark.parametrize("goal", ["instances", "fleet", "placement"])
def test_the_same_work_gives_the_same_answer_and_no_tasks_need_nothing(goal):
    world = scenario([("large", "ab", 4)])
    tasks = calls(
        [{"cpu": 500, "memory": 400, "count": 5}, {"cpu": 700, "memory": 900, "count": 3}]
    )
    first, second = (optimize(world, tasks, goal, Limits(work=3_000, seed=1)) for _ in range(2))
    assert (first.objective, first.lower_bound, first.plan) == (
        second.objective, second.lower_bound, second.plan,
    )  # fmt: skip
    nothing = optimize(world, [], goal)
    assert (nothing.status, nothing.objective) == ("optimal", 0)
