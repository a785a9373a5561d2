"""What each goal of `optimize` makes of each key of a scenario: kept, of no matter, or refused.

`verdict` answers for any key of the reference; a test holds the table to the reference, so a new
key needs a line here. `check_keys` refuses a scenario that says what the goal cannot keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.key_uses import (
    Uses,
    faulty,
    mixed_policies,
    mixed_providers,
    mixed_types,
    provider_tables,
    rebalanced,
    rebalanced_unless_even,
    scaled_by_load,
    share_on_spot,
    spread_asked,
    workload_behaviour,
)
from stowplan.placement.scenario.scenario import Scenario

BUY = ("instances", "fleet")
AT_ONCE = (*BUY, "placement")
PLANNED = (*AT_ONCE, "hours")  # what is asked for is planned, nothing is run
ALL_GOALS = (*PLANNED, "repack")
# A goal that makes of every key what another one makes of it, and takes the same options.
LIKE: Mapping[str, str] = {}

Kind = Literal["kept", "irrelevant", "refused"]


@dataclass(frozen=True)
class Verdict:
    """What a goal makes of a key.

    Args:
        why: for "irrelevant" the reason, for "refused" what the refusal says.
        uses: for "refused", the places at which a scenario uses the key in a way that is refused;
            any other use is kept or changes nothing.
    """

    kind: Kind
    why: str = ""
    uses: Callable[[Scenario], Uses] | None = None


KEPT = Verdict("kept")
WORDS = "words for people"
WAITING = "nothing waits in a plan"
MOMENT = "all are placed at once, whenever they are asked for"
ALL_THERE = "the plan is for when they are all there"
BOUGHT = "how many there are to be is what the goal asks"
SIZED = "how large the group is to be is what the goal asks, not how it gets there"
TIMES = "a plan knows no waiting for machines, pulls and starts"
STRATEGY = "the plan chooses the places; whether these strategies reach it is tried out and said"
ROLLOUT = "a plan is of whole services, not of what runs beside them while one is deployed"
CLIENT = "nothing fails and nothing is lost in a plan, so no client asks again"
OTHER_GOAL = "the reference names the goals that read it"
RUN_KEPT = KEPT  # goal repack begins with a run, and a run keeps every key

NO_PROVIDERS = (
    "this goal is about instances that are there, and which ones a capacity provider launches "
    "is not known before: name them in fleet, or take --goal fleet"
)
MIXED_TYPES = (
    "its group launches the first type that is to be had, so no plan may mix them: "
    "give one type, or list each with its limit in optimize.offer"
)
MIXED_STRATEGY = (
    "with several capacity providers the share of each depends on what runs when; "
    "goal hours takes one"
)
BY_LOAD = "its count follows the load; a plan takes a desired_count"
REBALANCED = (
    "ECS would move tasks until zones are even, and away from a plan that is not: "
    "say spread_zones in optimize with --goal fleet or instances, or turn it off"
)
FAULTS = "every run has faults, and a plan is for a run without: add none = [] to faults"
SPREAD = "this goal knows no zones that must be even: {}"
ON_SPOT = "this goal buys nothing, so nothing of it is on spot: leave it out"
BEHAVIOUR = "goal hours takes the run times of workloads as they arrive, not those of containers"


def _row(
    keys: str, goals: tuple[str, ...], kind: Kind = "kept", why: str = "", uses: object = None
) -> dict[tuple[str, str], Verdict]:
    """A verdict for each of the keys (with blanks between) and goals."""
    made = Verdict(kind, why, uses)  # type: ignore[arg-type]
    return {(key, goal): made for key in keys.split() for goal in goals}


_LAUNCHED = (
    "capacity_provider capacity_provider.name capacity_provider.instance_types "
    "capacity_provider.zones capacity_provider.max_size capacity_provider.market "
    "capacity_provider.discount_percent capacity_provider.attributes capacity_provider.resources "
    "capacity_provider.awsvpc_trunking"
)
_SIZES = (
    "capacity_provider.instances capacity_provider.instances.* "
    "capacity_provider.min_size capacity_provider.desired_size capacity_provider.managed_scaling "
    "capacity_provider.managed_termination_protection capacity_provider.managed_draining "
    "capacity_provider.managed_scaling.*"
)
_MIXED = "capacity_provider.mixed capacity_provider.mixed.*"
_PULLED = "capacity_provider.image_pull_behavior capacity_provider.cached_images"
_SERVICE = (
    "service service.name service.task_definition service.desired_count service.constraints "
    "service.zones service.scale service.scale.* service.scheduling_strategy"
)
_WORKLOAD = (
    "workload workload.name workload.task_definition workload.kind workload.file workload.until "
    "workload.constraints workload.zones workload.capacity_provider workload.group "
    "workload.overrides workload.options workload.options.*"
)
_ITEMS = (
    "cluster.default_capacity_provider_strategy service.capacity_provider_strategy "
    "workload.capacity_provider_strategy item.*"
)
_OFFER = (
    "optimize.offer optimize.offer.instance_type optimize.offer.zones optimize.offer.attributes "
    "optimize.offer.resources optimize.offer.capacity_provider optimize.offer.awsvpc_trunking"
)
_OFFER_PRICES = (
    "optimize.offer.limit optimize.offer.price_microusd_hour "
    "optimize.offer.spot_price_microusd_hour optimize.offer.spot_discount_percent "
    "optimize.offer.spot_limit"
)

# Later lines replace earlier ones. A key that ends in `*` is all keys of its table.
TABLE: Mapping[tuple[str, str], Verdict] = {
    **_row("name question", ALL_GOALS, "irrelevant", WORDS),
    **_row("seed cluster instance_types region prices fleet task_definitions settings "
           "layouts", ALL_GOALS),
    **_row("instance_types.cpu instance_types.memory instance_types.gpus instance_types.eni_slots "
           "instance_types.eni_slots_trunk instance_types.architecture "
           "instance_types.price_microusd_hour instance_types.resources optimize", ALL_GOALS),
    **_row("duration", ALL_GOALS),
    **_row("running running.* fleet.ec2_instance_ids", PLANNED, "irrelevant", MOMENT),
    **_row("running running.* fleet.ec2_instance_ids", ("repack",)),
    **_row("strategies service.strategy workload.strategy ties", PLANNED, "irrelevant", STRATEGY),
    **_row("strategies service.strategy workload.strategy ties", ("repack",)),
    # the cluster
    **_row("cluster.provisioning_quota cluster.provisioning_timeout", PLANNED, "irrelevant",
           WAITING),
    **_row("cluster.provisioning_quota cluster.provisioning_timeout", ("repack",)),
    **_row(_ITEMS, ALL_GOALS),
    **_row(_ITEMS, ("hours",), "refused", MIXED_STRATEGY, mixed_providers),
    # instances
    **_row("fleet.name", ALL_GOALS, "irrelevant", WORDS),
    **_row("fleet.instance_type fleet.zones fleet.attributes fleet.resources "
           "fleet.capacity_provider fleet.awsvpc_trunking", ALL_GOALS),
    **_row("fleet.count", ("placement", "repack")),
    **_row("fleet.count", (*BUY, "hours"), "irrelevant", BOUGHT),
    **_row("fleet.at", PLANNED, "irrelevant", ALL_THERE),
    **_row("fleet.image_pull_behavior fleet.cached_images", PLANNED, "irrelevant", TIMES),
    **_row("fleet.at fleet.image_pull_behavior fleet.cached_images", ("repack",)),
    **_row(f"{_LAUNCHED} {_SIZES} {_PULLED}", ("repack",)),
    **_row(f"{_LAUNCHED} {_SIZES} {_PULLED}", ("placement", "hours"), "refused", NO_PROVIDERS,
           provider_tables),
    **_row(_LAUNCHED, BUY),
    **_row(_SIZES, BUY, "irrelevant", SIZED),
    **_row("capacity_provider.max_size", ("instances",), "irrelevant", BOUGHT),
    **_row(_PULLED, BUY, "irrelevant", TIMES),
    **_row("capacity_provider.instance_types", ("fleet",), "refused", MIXED_TYPES, mixed_types),
    **_row(_MIXED, ("repack",)),
    **_row(_MIXED, ("placement", "hours"), "refused", NO_PROVIDERS, provider_tables),
    **_row(_MIXED, BUY, "refused", MIXED_TYPES, mixed_policies),
    # services and workloads
    **_row(_SERVICE, ALL_GOALS),
    **_row("service.at service.scale.at", AT_ONCE, "irrelevant", MOMENT),
    **_row("service.at service.deploy service.deploy.*", ("hours", "repack")),
    **_row("service.deploy service.deploy.task_definition", AT_ONCE),
    **_row("service.deploy.at", AT_ONCE, "irrelevant", MOMENT),
    **_row("service.minimum_healthy_percent service.maximum_percent service.circuit_breaker "
           "service.circuit_breaker.*", PLANNED, "irrelevant", ROLLOUT),
    **_row("service.minimum_healthy_percent service.maximum_percent service.circuit_breaker "
           "service.circuit_breaker.*", ("repack",)),
    **_row("service.load_balancer service.load_balancer.* service.health_check_grace_period",
           PLANNED, "irrelevant", ROLLOUT),
    **_row("service.load_balancer service.load_balancer.* service.health_check_grace_period",
           ("repack",)),
    **_row("service.availability_zone_rebalancing", ("repack",)),
    **_row("service.availability_zone_rebalancing", BUY, "refused", REBALANCED,
           rebalanced_unless_even),
    **_row("service.availability_zone_rebalancing", ("placement", "hours"), "refused", REBALANCED,
           rebalanced),
    **_row("service.autoscaling service.autoscaling.*", PLANNED, "refused", BY_LOAD,
           scaled_by_load),
    **_row("service.autoscaling service.autoscaling.*", ("repack",)),
    **_row(_WORKLOAD, ALL_GOALS),
    **_row("workload.retry workload.retry_max workload.resubmit", PLANNED, "irrelevant", CLIENT),
    **_row("workload.expected", PLANNED, "irrelevant", STRATEGY),
    **_row("workload.retry workload.retry_max workload.resubmit workload.expected", ("repack",)),
    # what goes wrong, and how long things take
    **_row("faults faults.*", PLANNED, "refused", FAULTS, faulty),
    **_row("faults faults.*", ("repack",)),
    **_row("models models.* images images.* pulls pulls.* agent time.*", PLANNED, "irrelevant",
           TIMES),
    **_row("models models.* images images.* pulls pulls.* agent time.*", ("repack",)),
    **_row("behaviour behaviour.*", AT_ONCE, "irrelevant", MOMENT),
    **_row("behaviour behaviour.*", ("hours",), "refused", BEHAVIOUR, workload_behaviour),
    **_row("behaviour behaviour.*", ("repack",)),
    # what is said for optimize itself
    **_row("optimize.instance_type optimize.objective optimize.weights", ALL_GOALS, "irrelevant",
           OTHER_GOAL),
    **_row("optimize.instance_type", ("instances",)),
    **_row("optimize.objective optimize.weights", ("placement",)),
    **_row("optimize.tasks", PLANNED),
    **_row("optimize.tasks", ("repack",), "irrelevant", "what runs is repacked, whatever it is of"),
    **_row(f"{_OFFER} {_OFFER_PRICES}", ALL_GOALS, "irrelevant", OTHER_GOAL),
    **_row(f"{_OFFER} {_OFFER_PRICES}", ("fleet",)),
    **_row(_OFFER, ("instances",)),
    **_row("optimize.offer.limit optimize.offer.spot_limit", ("instances",), "irrelevant", BOUGHT),
    **_row("optimize.spread_zones", (*BUY, "repack")),
    **_row("optimize.spread_zones", ("placement",), "refused",
           SPREAD.format("weigh spread in its objective"), spread_asked),
    **_row("optimize.spread_zones", ("hours",), "refused",
           SPREAD.format("take --goal fleet or instances"), spread_asked),
    **_row("optimize.spot_percent_max", BUY),
    **_row("optimize.spot_percent_max", ("placement", "hours", "repack"), "refused", ON_SPOT,
           share_on_spot),
    **_row("optimize.hours", AT_ONCE),
    **_row("optimize.hours", ("hours", "repack"), "irrelevant", OTHER_GOAL),
}  # fmt: skip


def base(goal: str) -> str:
    """The goal whose verdicts and options a goal has: itself, but for those in `LIKE`."""
    return LIKE.get(goal, goal)


def verdict(key: str, goal: str) -> Verdict:
    """What a goal makes of a key, written with its table: `service.scale.at`, `item.weight`.

    Raises:
        KeyError: the table has no line for it.
    """
    goal = base(goal)
    found, table = TABLE.get((key, goal)), key
    while found is None and "." in table:
        table = table.rpartition(".")[0]
        found = TABLE.get((f"{table}.*", goal))
    if found is None:
        raise KeyError(f"no line for {key} and the goal {goal}")
    return found


def check_keys(scenario: Scenario, goal: str) -> None:
    """Raises SpecError with every place at which a scenario says what the goal cannot keep."""
    problems = dict.fromkeys(_problems(scenario, goal))
    if problems:
        raise SpecError(list(problems))


def _problems(scenario: Scenario, goal: str) -> Iterator[tuple[str, str]]:
    for (_, of), found in TABLE.items():
        if of == base(goal) and found.uses is not None:
            for place in found.uses(scenario):
                yield place, f"--goal {goal}: {found.why}"
