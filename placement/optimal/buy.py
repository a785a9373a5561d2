"""Goals that buy instances for all tasks at once: fewest of one type, and the cheapest mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stowplan.placement.callers.client import Arrival
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.asked import Asked, TaskSet, asked
from stowplan.placement.optimal.demand import Encoded, empty_cluster, encode, start_daemons
from stowplan.placement.optimal.known import KnownFleet, KnownInstances, task_names
from stowplan.placement.optimal.offers import (
    Choice,
    choices,
    fleet_zones,
    merged,
    offers_of,
    offers_of_type,
    reasons_against,
    reasons_short,
)
from stowplan.placement.optimal.plan import Plan, PlannedInstances, check_plan
from stowplan.placement.packing.fleet.known import Fleet, cheapest_known, cost_of
from stowplan.placement.packing.fleet.problem import BinType, FleetBins, FleetProblem
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.problem import (
    IntArray,
    Limits,
    PackedBins,
    PackingProblem,
    ProgressCallback,
)
from stowplan.placement.packing.solve import solve_packing
from stowplan.placement.scenario.scenario import Offer, Scenario

ANY_ZONE = "any"


def fewest_instances(
    scenario: Scenario,
    calls: Sequence[Arrival],
    limits: Limits,
    progress: ProgressCallback | None = None,
) -> Answer[Plan]:
    """The fewest instances of one type that hold all tasks at once, whatever the fleet's counts."""
    offers = offers_of_type(scenario, scenario.optimize.instance_type)
    market = _market(scenario, calls, offers)
    where = f"the type {offers[0].instance_type}"
    reasons = market.reasons(where)
    if reasons:
        return Answer("instances", "instances", "infeasible", None, 0, None, reasons)
    if len(market.groups) > 1 or len(market.zones) > 1:
        # which instance stands where matters: its zones are not the same to all tasks, or are
        # to be even
        return _fleet_answer("instances", "instances", market, market.problem(1), limits, progress)
    capacity = market.encoded.capacity[market.groups[0][0]]
    result = solve_packing(
        PackingProblem(market.encoded.demand, market.encoded.counts, capacity), limits, progress
    )
    plan = None
    if result.bins is not None:
        plan = market.plan([(0, bins, ANY_ZONE) for bins in result.packing])
    return Answer(
        "instances", "instances", result.status, result.bins, result.lower_bound, plan,
        seconds=result.seconds, interrupted=result.interrupted, log=result.log,
    )  # fmt: skip


def cheapest_fleet(
    scenario: Scenario,
    calls: Sequence[Arrival],
    limits: Limits,
    progress: ProgressCallback | None = None,
    known: Sequence[KnownFleet] = (),
) -> Answer[Plan]:
    """The cheapest mix of instances on offer that holds all tasks at once.

    Args:
        known: fleets of earlier answers; those that still hold all tasks, none dearer is given.
    """
    market = _market(scenario, calls, offers_of(scenario))
    reasons = market.reasons("what is on offer")
    if reasons:
        return Answer("fleet", "microusd/h", "infeasible", None, 0, None, reasons)
    fleets = [fleet for each in known if (fleet := market.fleet(each)) is not None]
    problem = market.problem()
    answer = _fleet_answer("fleet", "microusd/h", market, problem, limits, progress, fleets)
    first = cheapest_known(problem, fleets)
    if first is None:
        return answer
    dollars = cost_of(problem, first) / 1e6
    return replace(
        answer, notes=(f"began with an earlier answer's fleet, ${dollars:,.4f} an hour",)
    )


def fleet_problem(scenario: Scenario, calls: Sequence[Arrival]) -> FleetProblem:
    """What `cheapest_fleet` hands to `solve_fleet`."""
    return _market(scenario, calls, offers_of(scenario)).problem()


@dataclass(frozen=True)
class _Market:
    """Tasks and what can be bought for them.

    Args:
        encoded: rows of `tasks` and of `found`.
        on_spot: (tasks,) how many of each task set may be on spot.
        groups: choices that are one type to the solver: zones that are alike.
        zones: over which every row is dealt evenly; none: stands where it is cheapest.
    """

    asked: Asked
    found: list[Choice]
    encoded: Encoded
    on_spot: IntArray
    groups: list[list[int]]
    zones: tuple[str, ...]

    @property
    def tasks(self) -> tuple[TaskSet, ...]:
        """The task sets."""
        return self.asked.tasks

    def reasons(self, where: str) -> tuple[str, ...]:
        """Why some tasks fit on nothing that can be bought; none where all do."""
        cluster = empty_cluster([choice.spec for choice in self.found])
        engine = Engine(cluster, np.random.default_rng(0), kernels=False)
        start_daemons(engine, self.asked.daemons)
        spot = np.array([choice.purchase == "spot" for choice in self.found])
        off_spot = self.on_spot < self.encoded.counts
        return reasons_against(self.tasks, self.encoded, engine, where, off_spot, spot)

    def problem(self, price: int | None = None) -> FleetProblem:
        """For `solve_fleet`; `price` replaces all prices, and then limits do not count."""
        types = tuple(
            BinType(
                self.found[first].instance_type,
                self.encoded.capacity[first],
                self.found[first].spec.price_microusd_hour if price is None else price,
                self.found[first].limit if price is None else None,
                self.found[first].purchase == "spot",
            )
            for first, *_ in self.groups
        )
        zones = max(1, len(self.zones))
        return FleetProblem(self.encoded.demand, self.encoded.counts, types, zones, self.on_spot)

    def fleet(self, known: KnownFleet) -> Fleet | None:
        """A known fleet as bins of the problem; None where some of it is not on offer."""
        rows = {name: row for row, name in enumerate(task_names(self.tasks))}
        fleet = []
        for line in known:
            groups = [g for g, group in enumerate(self.groups) if self._offers(group, line)]
            if not groups or any(name not in rows for name, _ in line.tasks):
                return None
            contents = np.zeros(len(rows), np.int64)
            for name, n in line.tasks:
                contents[rows[name]] = n
            zone = self.zones.index(line.zone) if self.zones else 0
            best = min(groups, key=lambda g: self.found[self.groups[g][0]].spec.price_microusd_hour)
            fleet.append(FleetBins(zone, best, PackedBins(contents, line.copies)))
        return tuple(fleet)

    def _offers(self, group: list[int], line: KnownInstances) -> bool:
        """Instances like these are among the choices of a group."""
        choice = self.found[group[0]]
        if (choice.instance_type, choice.purchase) != (line.instance_type, line.purchase):
            return False
        zones = set(self.zones) or {self.found[i].zone for i in group} | {ANY_ZONE}
        return line.zone in zones

    def plan(self, bins: Sequence[tuple[int, PackedBins, str]]) -> Plan:
        """The checked plan of (group, bins, zone)."""
        lines = []
        for group, packed, zone in bins:
            members = self.groups[group]
            alike = [i for i in members if self.found[i].zone == zone] or members
            choice = self.found[alike[0]]
            held = np.flatnonzero(packed.contents)
            tasks = tuple((int(i), int(packed.contents[i])) for i in held)
            zone = choice.zone if len(alike) == 1 else ANY_ZONE
            lines.append(
                PlannedInstances(
                    choice.spec, packed.copies, tasks, choice.instance_type, zone, choice.purchase,
                    zones=tuple(self.found[i].zone for i in alike),
                    daemons=tuple(np.flatnonzero(self.encoded.daemons[:, alike[0]]).tolist()),
                )
            )  # fmt: skip
        plan = Plan(self.tasks, tuple(lines), daemons=self.asked.daemons)
        check_plan(plan)
        return plan


def _market(scenario: Scenario, calls: Sequence[Arrival], offers: Sequence[Offer]) -> _Market:
    wanted = asked(calls, scenario.optimize, scenario.duration)
    found = choices(scenario, offers)
    cluster = empty_cluster([choice.spec for choice in found])
    encoded = encode(wanted.tasks, cluster, wanted.daemons)
    zones = fleet_zones(scenario) if scenario.optimize.spread_zones else ()
    groups = merged(np.column_stack([encoded.capacity, encoded.daemons.T]), found)
    heads = [(found[g[0]].offer, found[g[0]].purchase) for g in groups]
    for head, group in zip(heads, groups, strict=True):
        name, choice = offers[head[0]].instance_type, found[group[0]]
        if len(zones) > 1 and {found[i].zone for i in group} != set(zones):
            raise PlacementError(
                f"to spread evenly, {name} must be on offer in every zone and the same to all tasks"
            )
        if choice.limit is not None and heads.count(head) > 1:
            raise PlacementError(
                f"the limit on {name} spans zones that are not the same to all tasks; "
                "list an offer for each zone"
            )
    percent = scenario.optimize.spot_percent_max
    return _Market(wanted, found, encoded, encoded.counts * percent // 100, groups, zones)


def _fleet_answer(
    goal: str,
    unit: str,
    market: _Market,
    problem: FleetProblem,
    limits: Limits,
    progress: ProgressCallback | None,
    known: Sequence[Fleet] = (),
) -> Answer[Plan]:
    result = solve_fleet(problem, limits, progress, known)
    reasons: tuple[str, ...] = ()
    if result.status == "infeasible":
        sizes = np.array([kind.capacity for kind in problem.types], np.int64)
        most = [kind.limit for kind in problem.types]
        found = reasons_short(market.tasks, market.encoded, sizes, most, result.unplaceable)
        reasons = tuple(f"limits on offers: {why}" for why in found)
    plan = None
    if result.cost is not None:
        zones = market.zones or (ANY_ZONE,)
        plan = market.plan([(b.type, b.bins, zones[b.zone]) for b in result.fleet])
    return Answer(
        goal, unit, result.status, result.cost, result.lower_bound, plan, reasons,
        result.seconds, result.interrupted, result.log,
    )  # fmt: skip
