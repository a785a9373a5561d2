"""Small scenarios, one for each key of a scenario file that a goal of `optimize` keeps.

The world: boxes of 1000 units and 1000 MiB for 10 millionths of a dollar an hour, and a service of
four tasks of 500 units and 100 MiB for an hour. So two boxes do. Each case says how many it takes
once a key says otherwise; the numbers were worked out by hand.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

BUY = ("instances", "fleet")
AT_ONCE = (*BUY, "placement")
PLANNED = (*AT_ONCE, "hours")
NONE = None  # no plan: a goal refuses, or leaves all tasks out

AWSVPC = {"networkMode": "awsvpc"}
PROVIDED = [{"capacity_provider": "cp"}]
BOTH = [{"capacity_provider": "cp", "weight": 3}, {"capacity_provider": "dp", "weight": 1}]
BURST = {"name": "w", "task_definition": "t", "kind": "burst",
         "options": {"count": 6, "run": {"mean": "2h"}}}  # fmt: skip
WEB = "attribute:pool == web"


def definition(family: str, cpu: int = 500, **more: Any) -> dict[str, Any]:
    """A task definition of one container; `container` has more of its keys."""
    container = {"name": "c", "image": "x", "cpu": cpu, "memory": 100, **more.pop("container", {})}
    return {"family": family, "containerDefinitions": [container], **more}


BASE: dict[str, Any] = {
    "name": "case",
    "duration": "1h",
    "instance_types": {
        "box": {"cpu": 1000, "memory": 1000, "price_microusd_hour": 10},
        "half": {"cpu": 500, "memory": 1000, "price_microusd_hour": 10},
    },
    "fleet": [{"name": "f", "instance_type": "box", "count": 6, "zones": ["a", "b"]}],
    "task_definitions": {"t": definition("t")},
    "service": [{"name": "s", "task_definition": "t", "desired_count": 4}],
    "strategies": {"pack": "binpack:cpu"},
    "optimize": {"objective": {"placed": 1000, "instances": 1}},
}
ASG = {"name": "cp", "instance_types": ["box"], "zones": ["a"], "max_size": 6}


class Case(NamedTuple):
    """`changes` by path (`service.0.at`; None deletes), and the boxes that it takes by goal.

    `cost` replaces 10 for each box, in the goals fleet and hours.
    """

    changes: dict[str, Any]
    boxes: int | None
    goals: tuple[str, ...] = PLANNED
    cost: float | None = None


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The base with some of it changed."""
    made = copy.deepcopy(BASE)
    for path, value in changes.items():
        *way, last = path.split(".")
        at: Any = made
        for step in way:
            at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
        if isinstance(at, list):
            at[int(last) : int(last) + 1] = [value]
        elif value is None:
            del at[last]
        else:
            at[last] = copy.deepcopy(value)
    return made


def _asg(boxes: int | None, cost: float | None = None, more: Any = None, **table: Any) -> Case:
    """A capacity provider in place of the fleet, which the cluster's default names."""
    changes = {"fleet": [], "capacity_provider": [{**ASG, **table}],
               "cluster.default_capacity_provider_strategy": PROVIDED, **(more or {})}  # fmt: skip
    return Case(changes, boxes, BUY, cost)


def _offer(boxes: int | None, cost: float | None = None, more: Any = None, **table: Any) -> Case:
    """An offer in place of the fleet."""
    offer = {"instance_type": "box", "zones": ["a"], **table}
    changes = {"fleet": [], "optimize.offer": [offer], **(more or {})}
    return Case(changes, boxes, ("fleet",), cost)


_GPU = {"task_definitions.t": definition(
    "t", container={"resourceRequirements": [{"type": "GPU", "value": "1"}]})}  # fmt: skip
_ENI = {"task_definitions.t": definition("t", **AWSVPC)}
_TRUNK = {**_ENI, "instance_types.box.eni_slots": 1, "instance_types.box.eni_slots_trunk": 2}
_ARM = {"task_definitions.t": definition("t", runtimePlatform={"cpuArchitecture": "ARM64"})}
_TWO = {"task_definitions.u": definition("u"), "service": []}
_W = {"service": [], "workload": [BURST]}
_ON_WEB = {"service.0.constraints": [WEB]}
_SMALL = {"MEMORY": 100}
_ELSEWHERE = {"fleet.0.capacity_provider": "cp", "service.0.capacity_provider_strategy": PROVIDED}
_BOXES = {"instance_type": "box", "count": 6, "zones": ["a"]}
_CPS = [{"name": name, **_BOXES, "capacity_provider": name} for name in ("cp", "dp")]
_MIXED = {"fleet": _CPS, "service.0.capacity_provider_strategy": BOTH}


def _workloads(**more: Any) -> dict[str, Any]:
    one = {"kind": "burst", "options": {"count": 2, "run": {"mean": "2h"}},
           "constraints": ["distinctInstance"], **more}  # fmt: skip
    return {**_TWO, "workload": [{"name": "w", "task_definition": "t", **one},
                                 {"name": "v", "task_definition": "u", **one}]}  # fmt: skip


CASES: dict[str, list[Case]] = {
    "duration": [Case({"workload": [{**BURST, "options": {**BURST["options"], "at": ["30m"]}}],
                       "duration": "20m"}, 2, AT_ONCE),
                 Case({"duration": "30m"}, 2, ("hours",), 10)],
    "task_definitions": [
        Case({"task_definitions.t": definition(
            "t", container={"portMappings": [{"containerPort": 80, "hostPort": 80}]})}, 4),
        Case({"task_definitions.t": definition("t", placementConstraints=[
            {"type": "memberOf", "expression": WEB}])}, NONE)],
    "settings": [Case({"settings": {"pack": {"s": {"desired_count": 6}}}}, 3)],
    "layouts": [Case({"layouts": {"l": {"s": ["distinctInstance"]}}}, 4)],
    "cluster.default_capacity_provider_strategy": [
        Case({"fleet": _CPS[:1], "cluster.default_capacity_provider_strategy": PROVIDED}, 2),
        Case({"cluster.default_capacity_provider_strategy": PROVIDED}, NONE)],
    "service.capacity_provider_strategy": [
        Case(_ELSEWHERE, 2), Case({**_ELSEWHERE, "fleet.0.capacity_provider": "dp"}, NONE),
        Case({"cluster.default_capacity_provider_strategy": PROVIDED,
              "service.0.capacity_provider_strategy": []}, 2)],
    "workload.capacity_provider_strategy": [
        Case({**_W, "workload.0.capacity_provider_strategy": PROVIDED}, NONE)],
    "item.capacity_provider": [Case({**_ELSEWHERE, "fleet.0.capacity_provider": "dp"}, NONE)],
    "item.weight": [Case(_MIXED, 3, AT_ONCE)],
    "item.base": [Case({"fleet": _CPS, "service.0.capacity_provider_strategy": [
        {**BOTH[0], "base": 4}, BOTH[1]]}, 2, AT_ONCE)],
    "instance_types.cpu": [Case({"instance_types.box.cpu": 500}, 4)],
    "instance_types.memory": [Case({"instance_types.box.memory": 100}, 4)],
    "instance_types.gpus": [Case({**_GPU, "instance_types.box.gpus": 1}, 4), Case(_GPU, NONE)],
    "instance_types.eni_slots": [Case({**_ENI, "instance_types.box.eni_slots": 1}, 4)],
    "instance_types.eni_slots_trunk": [Case({**_TRUNK, "fleet.0.awsvpc_trunking": True}, 2)],
    "instance_types.architecture": [Case({**_ARM, "instance_types.box.architecture": "arm64"}, 2),
                                    Case(_ARM, NONE)],
    "instance_types.price_microusd_hour": [
        Case({"instance_types.box.price_microusd_hour": 7}, 2, PLANNED, 14)],
    "instance_types.resources": [Case({"instance_types.box.resources": _SMALL}, 4)],
    "fleet.instance_type": [Case({"fleet.0.instance_type": "half"}, 4)],
    "fleet.zones": [Case({"service.0.constraints": ["attribute:ecs.availability-zone == c"],
                          "fleet.0.zones": [zone]}, n) for zone, n in (("a", NONE), ("c", 2))],
    "fleet.attributes": [Case({**_ON_WEB, "fleet.0.attributes": {"pool": pool}}, n)
                         for pool, n in (("web", 2), ("batch", NONE))],
    "fleet.resources": [Case({"fleet.0.resources": _SMALL}, 4)],
    "fleet.capacity_provider": [Case(_ELSEWHERE, 2)],
    "fleet.awsvpc_trunking": [Case({**_TRUNK, "fleet.0.awsvpc_trunking": True}, 2),
                              Case(_TRUNK, 4)],
    "fleet.count": [Case({"fleet.0.count": 1}, 1, ("placement",))],
    "capacity_provider.name": [
        _asg(2), _asg(NONE, more={"service.0.capacity_provider_strategy": [
            {"capacity_provider": "other"}]})],
    "capacity_provider.instance_types": [
        _asg(4, instance_types=["half"])._replace(goals=("instances", "fleet"))],
    "capacity_provider.zones": [
        _asg(n, more={"service.0.constraints": ["attribute:ecs.availability-zone == b"]},
             zones=[zone]) for zone, n in (("a", NONE), ("b", 2))],
    "capacity_provider.max_size": [_asg(NONE, max_size=1)._replace(goals=("fleet",))],
    "capacity_provider.market": [_asg(2, 10, market="spot", discount_percent=50)],
    "capacity_provider.discount_percent": [_asg(2, 8, market="spot", discount_percent=60)],
    "capacity_provider.attributes": [_asg(2, more=_ON_WEB, attributes={"pool": "web"}),
                                     _asg(NONE, more=_ON_WEB)],
    "capacity_provider.resources": [_asg(4, resources=_SMALL)],
    "capacity_provider.awsvpc_trunking": [_asg(2, more=_TRUNK, awsvpc_trunking=True),
                                          _asg(4, more=_TRUNK)],
    "service.name": [Case({"service.0.name": "q", "layouts": {"l": {"q": ["distinctInstance"]}}},
                          4)],
    "service.task_definition": [Case({"task_definitions.u": definition("u", 1000),
                                      "service.0.task_definition": "u"}, 4)],
    "service.desired_count": [Case({"service.0.desired_count": 6}, 3)],
    "service.constraints": [Case({"service.0.constraints": ["distinctInstance"]}, 4),
                            Case(_ON_WEB, NONE)],
    "service.zones": [Case({**_ENI, "instance_types.box.eni_slots": 9, "service.0.zones": [zone]},
                           n) for zone, n in (("z", NONE), ("a", 2))],
    "service.at": [Case({"service.0.at": "30m"}, 2, ("hours",), 10)],
    "service.scale.at": [Case({"service.0.scale": [{"at": "15m", "desired_count": 8}]}, 4,
                              ("hours",), 35)],
    "service.scale.desired_count": [
        Case({"service.0.scale": [{"at": "15m", "desired_count": 8}]}, 4, AT_ONCE),
        Case({"service.0.scale": [{"at": "30m", "desired_count": 0}]}, 2, ("hours",), 10)],
    "service.deploy.at": [Case({"task_definitions.u": definition("t", 1000), "service.0.deploy": [
        {"at": "15m", "task_definition": "u"}]}, 4, ("hours",), 35)],
    "service.deploy.task_definition": [
        Case({"task_definitions.u": definition("t", 1000), "service.0.deploy": [
            {"at": "30m", "task_definition": "u"}]}, 4, ("hours",), 30),
        Case({"task_definitions.u": definition("t"), "service.0.deploy": [
            {"at": "30m", "task_definition": "u"}]}, 2)],
    "service.scheduling_strategy": [Case({"task_definitions.u": definition("u"), "service.1": {
        "name": "d", "task_definition": "u", "scheduling_strategy": "DAEMON"}}, 4)],
    "workload.name": [Case({**_W, "workload.0.name": "q",
                            "layouts": {"l": {"q": ["distinctInstance"]}}}, 6)],
    "workload.task_definition": [Case({**_W, "workload.0.task_definition": "u",
                                       "task_definitions.u": definition("u", 1000)}, 6)],
    "workload.kind": [Case({**_W, "workload.0": {
        **BURST, "kind": "waves", "until": "30m",
        "options": {"every": "40m", "count": 4, "run": {"mean": "2h"}}}}, 2)],
    "workload.until": [Case({**_W, "workload.0.until": "30m", "workload.0.options.at":
                             ["0s", "40m"]}, 3)],
    "workload.constraints": [Case({**_W, "workload.0.constraints": ["maxPerInstance: 1"]}, 6)],
    "workload.zones": [Case({**_W, **_ENI, "instance_types.box.eni_slots": 9,
                             "workload.0.zones": ["z"]}, NONE)],
    "workload.capacity_provider": [Case({**_W, "workload.0.capacity_provider": "cp"}, NONE)],
    "workload.group": [Case(_workloads(group="g"), 4), Case(_workloads(), 2)],
    "workload.overrides": [
        Case({**_W, "workload.0.overrides": {
            "containerOverrides": [{"name": "c", "cpu": 1000}]}}, 6),
        Case({**_W, "workload.0.overrides": {"cpu": "250"}}, 2)],
    "workload.options.*": [Case(_W, 3), Case({**_W, "workload.0.options.count": 2}, 1)],
    "optimize.instance_type": [Case({"optimize.instance_type": "half"}, 4, ("instances",))],
    "optimize.tasks": [Case({"workload": [BURST], "optimize.tasks": "services"}, 2),
                       Case({"workload": [BURST], "optimize.tasks": "all"}, 5)],
    "optimize.objective": [
        Case({"optimize.objective": {"placed": 1, "instances": 3}}, NONE, ("placement",)),
        Case({"optimize.objective": {"instances": 3}}, 2, ("placement",))],
    "optimize.weights": [Case({"optimize.objective": {"placed": 1, "instances": 3},
                               "optimize.weights": {"s": 2}}, 2, ("placement",))],
    "optimize.offer.instance_type": [
        _offer(4, instance_type="half")._replace(goals=BUY)],
    "optimize.offer.limit": [_offer(NONE, limit=1)],
    "optimize.offer.price_microusd_hour": [_offer(2, 14, price_microusd_hour=7)],
    "optimize.offer.spot_price_microusd_hour": [_offer(2, 6, spot_price_microusd_hour=3)],
    "optimize.offer.spot_discount_percent": [_offer(2, 8, spot_discount_percent=60)],
    "optimize.offer.spot_limit": [_offer(2, 13, spot_price_microusd_hour=3, spot_limit=1)],
    "optimize.offer.zones": [
        _offer(n, more={"service.0.constraints": ["attribute:ecs.availability-zone == b"]},
               zones=[zone])._replace(goals=BUY) for zone, n in (("a", NONE), ("b", 2))],
    "optimize.offer.attributes": [
        _offer(2, more=_ON_WEB, attributes={"pool": "web"})._replace(goals=BUY)],
    "optimize.offer.resources": [_offer(4, resources=_SMALL)._replace(goals=BUY)],
    "optimize.offer.capacity_provider": [
        _offer(n, more={"service.0.capacity_provider_strategy": PROVIDED},
               capacity_provider=name)._replace(goals=BUY)
        for name, n in (("cp", 2), ("dp", NONE))],
    "optimize.offer.awsvpc_trunking": [
        _offer(2, more=_TRUNK, awsvpc_trunking=True)._replace(goals=BUY)],
    "optimize.spread_zones": [Case({"service.0.desired_count": 2,
                                    "optimize.spread_zones": even}, n, BUY)
                              for even, n in ((True, 2), (False, 1))],
    "optimize.spot_percent_max": [
        _offer(2, 13, more={"optimize.spot_percent_max": 50}, spot_price_microusd_hour=3),
        _asg(NONE, more={"optimize.spot_percent_max": 50}, market="spot")],
}  # fmt: skip

# Kept by reading them at all: what the cases of the keys below them say.
_TABLES = (
    "cluster", "instance_types", "fleet", "capacity_provider", "service", "workload", "optimize",
    "workload.options", "service.scale", "service.deploy", "optimize.offer",
)  # fmt: skip

# What is of no matter: by key or table, a value that is not the default; the answer stays as it is.
_PROVIDED: dict[str, Any] = {
    "fleet": [],
    "capacity_provider": [ASG],
    "cluster.default_capacity_provider_strategy": PROVIDED,
}
_OFFERED = {"optimize.offer": [{"instance_type": "box", "zones": ["a"], "limit": 1}]}
IRRELEVANT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "name": ({}, {"name": "another"}),
    "question": ({}, {"question": "why?"}),
    "strategies": ({}, {"strategies": {"pack": "spread:instanceId"}}),
    "ties": ({}, {"ties": "random"}),
    "agent": ({}, {"agent": "docker"}),
    "service.strategy": ({}, {"service.0.strategy": "random"}),
    "workload.strategy": (_W, {"workload.0.strategy": "spread:instanceId"}),
    "cluster.provisioning_quota": ({}, {"cluster.provisioning_quota": 1}),
    "cluster.provisioning_timeout": ({}, {"cluster.provisioning_timeout": "1m"}),
    "fleet.name": ({}, {"fleet.0.name": "another"}),
    "fleet.count": ({}, {"fleet.0.count": 1}),
    "running": ({"fleet.0.ec2_instance_ids": [f"i-{n}" for n in range(6)]},
                {"running": [{"instance": "i-5", "services": {"s": 2}}]}),
    "fleet.ec2_instance_ids": (
        {}, {"fleet.0.ec2_instance_ids": [f"i-{n}" for n in range(6)]}),
    "fleet.at": ({}, {"fleet.0.at": "5m"}),
    "fleet.image_pull_behavior": ({}, {"fleet.0.image_pull_behavior": "always"}),
    "fleet.cached_images": ({"images.x.layers": {"l": 1}}, {"fleet.0.cached_images": ["x"]}),
    "capacity_provider.instances": (_PROVIDED, {"capacity_provider.0.instances": [
        {"ec2_instance_id": "i-0", "instance_type": "box", "zone": "a"}]}),
    "capacity_provider.min_size": (_PROVIDED, {"capacity_provider.0.min_size": 5}),
    "capacity_provider.desired_size": (_PROVIDED, {"capacity_provider.0.desired_size": 5}),
    "capacity_provider.max_size": (_PROVIDED, {"capacity_provider.0.max_size": 1}),
    "capacity_provider.managed_scaling": (
        _PROVIDED, {"capacity_provider.0.managed_scaling": {"target_capacity": 50}}),
    "capacity_provider.managed_termination_protection": (
        _PROVIDED, {"capacity_provider.0.managed_termination_protection": True}),
    "capacity_provider.managed_draining": (
        _PROVIDED, {"capacity_provider.0.managed_draining": False}),
    "capacity_provider.image_pull_behavior": (
        _PROVIDED, {"capacity_provider.0.image_pull_behavior": "once"}),
    "capacity_provider.cached_images": (_PROVIDED, {"capacity_provider.0.cached_images": ["x"]}),
    "service.at": ({}, {"service.0.at": "5m"}),
    "service.scale.at": (
        {"service.0.scale": [{"at": "5m", "desired_count": 6}]}, {"service.0.scale.0.at": "9m"}),
    "service.deploy.at": ({}, {"service.0.deploy": [{"at": "5m"}]}),
    "service.minimum_healthy_percent": ({}, {"service.0.minimum_healthy_percent": 50}),
    "service.maximum_percent": ({}, {"service.0.maximum_percent": 150}),
    "service.circuit_breaker": ({}, {"service.0.circuit_breaker": {"rollback": True}}),
    "service.load_balancer": ({}, {"service.0.load_balancer": {"registration": "9s"}}),
    "service.health_check_grace_period": (
        {"service.0.load_balancer": {}},
        {"service.0.load_balancer": {}, "service.0.health_check_grace_period": "9s"}),
    "workload.retry": (_W, {"workload.0.retry": "9s"}),
    "workload.retry_max": (_W, {"workload.0.retry_max": "9m"}),
    "workload.resubmit": (_W, {"workload.0.resubmit": False}),
    "workload.expected": (_W, {"workload.0.expected": "oracle"}),
    "models": ({}, {"models": {"boot": {"mean": "5m"}, "start": {"mean": "9s"}}}),
    "images": ({}, {"images": {"x": {"layers": {"l": 1000}}}}),
    "pulls": ({}, {"pulls": {"latency": "20s"}}),
    "behaviour": ({}, {"behaviour": {"t": {"c": {"run": {"mean": "1m"}}}}}),
    "optimize.instance_type": ({}, {"optimize.instance_type": "half"}),
    "optimize.objective": ({}, {"optimize.objective": {"cost": 5}}),
    "optimize.weights": ({}, {"optimize.weights": {"s": 5}}),
    "optimize.hours": ({}, {"optimize.hours": 9}),
    "optimize.offer": ({}, _OFFERED),
    "optimize.offer.limit": (
        {**_OFFERED, "fleet": []}, {"optimize.offer.0.limit": 9}),
    "optimize.offer.spot_limit": (
        {"fleet": [], "optimize.offer": [{"instance_type": "box", "zones": ["a"],
                                          "spot_discount_percent": 50, "spot_limit": 1}]},
        {"optimize.offer.0.spot_limit": 2}),
}  # fmt: skip

# By the name of a function in `key_uses`: a scenario that uses the key, and one that does not.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "provider_tables": ({"capacity_provider": [ASG]}, {}),
    "mixed_types": (
        {"capacity_provider": [{**ASG, "instance_types": ["box", "half"]}]},
        {"capacity_provider": [ASG]},
    ),
    "mixed_policies": ({"capacity_provider": [{**ASG, "mixed": {}}]}, {"capacity_provider": [ASG]}),
    "mixed_providers": (_MIXED, _ELSEWHERE),
    "scaled_by_load": (
        {"service.0.autoscaling": {"load": [{"at": "0s", "value": 1}], "target": 1.0,
                                   "min_capacity": 1, "max_capacity": 9}}, {}),
    "rebalanced": ({"service.0.availability_zone_rebalancing": True},
                   {"service.0.availability_zone_rebalancing": True, "fleet.0.zones": ["a"]}),
    "rebalanced_unless_even": (
        {"service.0.availability_zone_rebalancing": True},
        {"service.0.availability_zone_rebalancing": True, "optimize.spread_zones": True}),
    "faulty": ({"faults": {"zone": [{"kind": "zone-loss", "zone": "a", "at": "5m"}]}},
               {"faults": {"none": [], "zone": [{"kind": "zone-loss", "zone": "a", "at": "5m"}]}}),
    "workload_behaviour": (
        {**_W, "behaviour": {"t": {"c": {"run": {"mean": "1m"}}}}},
        {"behaviour": {"t": {"c": {"run": {"mean": "1m"}}}}}),
    "spread_asked": ({"optimize.spread_zones": True}, {}),
    "share_on_spot": ({"optimize.spot_percent_max": 99}, {}),
}  # fmt: skip


def is_table(key: str) -> bool:
    """Whether a key is a table whose own keys have cases."""
    return key in _TABLES
