"""Rows of `stowplan bench optimal` for the plans of `stowplan optimize`: fleets, and repacking."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stowplan.experiments.bench.fleets import dlrm, twenty_definitions
from stowplan.experiments.bench.market_held import broken, cost
from stowplan.experiments.bench.market_rules import cheapest_by_rules
from stowplan.experiments.bench.markets import Shape, market, scenario
from stowplan.experiments.bench.rows import Clock, Row, at_most
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement.engine.engine import Engine
from stowplan.placement.optimal.optimize import optimize
from stowplan.placement.optimal.repack import free_instances
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.outlook import Running
from stowplan.placement.packing.fleet.solve import solve_fleet
from stowplan.placement.packing.problem import Limits
from stowplan.placement.testing import make_cluster, make_kind

MARKETS = (
    Shape(40, 26, 3, 50),
    Shape(20, 8, 1, 0, rules=True),
    Shape(30, 11, 2, 100, wide=True, daemon=True),
    Shape(60, 26, 3, 70, rules=True, limits=True),
    Shape(40, 60, 3, 50, wide=True, rules=True, daemon=True),
    Shape(40, 200, 3, 50, daemon=True),
    Shape(60, 200, 2, 30, wide=True, rules=True, limits=True),
    Shape(20, 8, 3, 100),
    Shape(50, 11, 1, 30, limits=True),
    Shape(60, 60, 2, 0, rules=True, daemon=True),
    Shape(40, 200, 3, 50),
    Shape(25, 26, 2, 50, wide=True, rules=True),
)
FEW_OFFERS, FEW_OFFERS_GAP, MANY_OFFERS_GAP = 26, 1.0, 3.0  # gaps in percent
FIRST_PLAN_SECONDS = 2.0
DLRM_TIMES = 5  # as long a limit as the others
CPU_UNITS = (128, 256, 512, 1024, 2048)
MEMORY_MIB = (256, 512, 1024, 2048, 3072, 4096, 8192)


def fleet_rows(clock: Clock, seconds: float) -> Iterator[Row]:
    """How far the cheapest fleet found is from the proven bound."""
    for zones, bar in ((1, 0.02), (3, 0.1)):
        problem = twenty_definitions(np.random.default_rng(0), zones)
        result = solve_fleet(problem, Limits(seconds, clock=clock.now))
        case = f"fleet: 20 definitions, 10,000 tasks, 8 types, {zones} zone{'s' * (zones > 1)}, gap"
        yield _gap(case, result.gap, bar, f"its own bound, within {seconds:.0f} s")
    trace = dlrm()
    case = "fleet: alibaba_dlrm, gap"
    if trace is None:
        yield Row(case, None, "%", 1, True, "the trace is not there")
        return
    result = solve_fleet(trace, Limits(DLRM_TIMES * seconds, clock=clock.now))
    yield _gap(case, result.gap, 1, f"its own bound, within {DLRM_TIMES * seconds:.0f} s")


def repack_rows(clock: Clock, seconds: float) -> Iterator[Row]:
    """How far the moves that free as many instances as can be are from the fewest."""
    state = fragmented(0, 100, 1_000, 15, (14_000, 45_000))
    answer = free_instances(state, limits=Limits(seconds, clock=clock.now))
    plan = answer.plan
    case = "repack: 100 instances, 1,000 tasks, moves, gap"
    yield _gap(case, answer.gap, 2, f"its own bound, within {seconds:.0f} s")
    if plan is not None and plan.used_at_least is not None:
        more = plan.used - plan.used_at_least
        yield at_most("the same, instances above the proven least", more, "", 0)


def market_rows(clock: Clock, seconds: float) -> Iterator[Row | str]:
    """Fleets as people ask for them: the gap, the best greedy rule beside it, what is not kept."""
    for seed, shape in enumerate(MARKETS):
        document = market(seed, shape)
        bought = scenario(document)
        calls = list(arrivals(bought, next(bought.runs())))
        case = f"market {seed}: {shape.name}"
        yield f"{case} ..."
        answer = optimize(bought, calls, "fleet", Limits(seconds, clock=clock.now))
        bar = MANY_OFFERS_GAP if shape.offers > FEW_OFFERS else FEW_OFFERS_GAP
        yield _gap(f"{case}, gap", answer.gap, bar, f"its own bound, within {seconds:.0f} s")
        if answer.plan is None or answer.objective is None:
            continue
        rules = cheapest_by_rules(document)
        if rules is not None:
            dearer = 100 * (answer.objective / rules - 1)
            yield at_most("  dearer than the best of 12 greedy rules", dearer, "%", 0)
        first = next(entry.seconds for entry in answer.log if entry.incumbent is not None)
        yield at_most("  first plan after", first, "s", FIRST_PLAN_SECONDS)
        lacks = broken(document, answer.plan)
        wrong = len(lacks) + (cost(document, answer.plan) != answer.objective)
        yield at_most("  of the document not kept", wrong, "", 0, "; ".join(lacks))


def _gap(case: str, gap: float | None, bar: float, against: str) -> Row:
    if gap is None:
        return Row(case, None, "%", bar, False, f"no plan; {against}")
    return at_most(case, 100 * gap, "%", bar, against)


def fragmented(
    seed: int, count: int, tasks: int, shapes: int, room: tuple[int, int]
) -> RepackState:
    """Tasks put on random instances; some shapes have a host port, or may not share one.

    Args:
        count: of instances, in three zones, each with `room` CPU units and MiB.
        tasks: how many to place; those that find no room are left out.
        shapes: different services.
    """
    rng = np.random.default_rng(seed)
    cluster = make_cluster(count, "abc", *room)
    engine = Engine(cluster, rng, kernels=False)
    rare = np.array([shape % 5 > 2 for shape in range(shapes)])
    kinds = [
        make_kind(
            int(rng.choice(CPU_UNITS)),
            int(rng.choice(MEMORY_MIB)),
            group=f"service:{shape}",
            tcp=(8000 + shape,) if shape % 5 == 4 else (),
            constraints=("distinctInstance",) if shape % 5 == 3 else (),
        )
        for shape in range(shapes)
    ]
    share = rng.dirichlet(np.ones(shapes))
    share = np.where(rare, np.minimum(share, 0.02), share)
    on = []
    for shape in rng.choice(shapes, tasks, p=share / share.sum()).tolist():
        rows = np.flatnonzero(engine.allowed(kinds[shape]))
        if len(rows):
            on.append((kinds[shape], int(rng.choice(rows))))
            cluster.reserve(*on[-1])
    running = [Running(number, kind, row) for number, (kind, row) in enumerate(on)]
    return RepackState(engine, running)
