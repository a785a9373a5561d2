"""`stowplan optimize SCENARIO --goal repack`: which running tasks to move, and in which order."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from stowplan.experiments.loading.arguments import amount, positive
from stowplan.experiments.loading.load import Loaded, load_strategies
from stowplan.experiments.record.journals import read_journal_file
from stowplan.experiments.report.optimize import plan_json, plan_table
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import replay
from stowplan.placement.messages import InstanceRegistered, Round
from stowplan.placement.model import AVAILABILITY_ZONE, TaskKind
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.keys import check_keys
from stowplan.placement.optimal.repack import (
    Origin,
    RepackPlan,
    SpreadBy,
    free_instances,
    keep_spread,
    make_room,
    spread_field,
    trade_off,
)
from stowplan.placement.optimal.repack_state import RepackState
from stowplan.placement.optimal.trial import try_draining
from stowplan.placement.outlook import Running
from stowplan.placement.packing.problem import Limits, ProgressCallback
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.units import parse_duration_ms


def repack_arguments(parser: Any) -> None:
    """Arguments of the goal, for a parser or a group of one."""
    parser.add_argument("--free", type=positive, metavar="N", help="default: as many as can be")
    parser.add_argument("--waiting", action="store_true", help="make room for tasks that wait")
    parser.add_argument(
        "--move-cost",
        type=amount,
        metavar="USD",
        help="free what is worth it: what a move costs, against --hours of the freed instance",
    )
    parser.add_argument("--hours", type=amount, metavar="H", help="a freed instance stays (1)")
    parser.add_argument("--at", type=since_start, metavar="15m", help="the state then (the end)")
    parser.add_argument("--journal", type=Path, help="the state out of a run's journal")


def check_no_repack(arguments: argparse.Namespace) -> None:
    """For other goals. Raises SpecError naming every argument that is for this one alone."""
    given = vars(arguments)
    names = ("free", "waiting", "move_cost", "hours", "at", "journal")
    problems = [
        (f"--{name.replace('_', '-')}", "is for --goal repack alone")
        for name in names
        if given[name] not in (None, False)
    ]
    if problems:
        raise SpecError(problems)


def repack(
    loaded: Loaded,
    arguments: argparse.Namespace,
    limits: Limits,
    progress: ProgressCallback | None = None,
) -> Answer[RepackPlan]:
    """Take the state out of a journal or a run of the scenario, and repack it.

    Raises:
        SpecError: options that exclude each other, or name what is not there.
    """
    chosen = [arguments.free is not None, arguments.waiting, arguments.move_cost is not None]
    if sum(chosen) > 1:
        raise SpecError([("--goal repack", "one of --free, --waiting and --move-cost")])
    check_keys(loaded.scenario, "repack")
    scheduler, prices = state_at(loaded, arguments)
    outlook, waiting = scheduler.outlook(), []
    running = outlook.running()
    if arguments.waiting:
        waiting = [kind for kind, count in outlook.wanted() for _ in range(count)]

    def made(spread_by: SpreadBy) -> RepackState:
        return RepackState(scheduler.engine, running, waiting, spread_by)

    def solve(state: RepackState) -> Answer[RepackPlan]:
        if arguments.waiting:
            return make_room(state, limits, progress)
        if arguments.move_cost is None:
            return free_instances(state, arguments.free, limits, progress)
        hours = 1.0 if arguments.hours is None else arguments.hours
        price = np.rint(np.array(prices) * hours).astype(np.int64)
        return trade_off(state, price, round(1e6 * arguments.move_cost), limits, progress)

    answer = keep_spread(made, solve, spread_of(loaded))
    if answer.plan is None:
        return answer
    trial = try_draining(scheduler.engine, running, answer.plan.freed, waiting)
    plan = replace(answer.plan, origin=_origin(loaded, running, prices))
    return replace(answer, plan=plan, trial=trial)


def _origin(loaded: Loaded, running: Iterable[Running], prices: list[int]) -> Origin:
    held: list[Counter[str]] = [Counter() for _ in prices]
    for task in running:
        if not task.daemon:
            held[task.row][task.kind.group] += 1
    return Origin(loaded.scenario.name, str(loaded.path.resolve()), tuple(held), tuple(prices))


def spread_of(loaded: Loaded) -> SpreadBy:
    """Over which attribute the tasks of a scenario stay spread."""
    return _by_zone if loaded.scenario.optimize.spread_zones else spread_field


def _by_zone(_: TaskKind) -> str:
    return f"attribute:{AVAILABILITY_ZONE}"


def state_at(loaded: Loaded, arguments: argparse.Namespace) -> tuple[Scheduler, list[int]]:
    """The scheduler at the time asked for, and the hourly price of each of its instances."""
    rounds: list[Round] = []
    at_ms = arguments.at
    if arguments.journal is not None:
        header, entries = read_journal_file(arguments.journal)
        _check_at(at_ms, max((entry.now_ms for entry in entries), default=0))
        rounds = list(takewhile(lambda r: at_ms is None or r.now_ms <= at_ms, entries))
        own = load_strategies(header.strategies, loaded.path.parent)
        scheduler = Scheduler(header.config, {**STRATEGIES, **own})
        replay(scheduler, rounds)
    else:
        _check_at(at_ms, loaded.scenario.duration)
        runs = list(loaded.scenario.runs())
        if arguments.layout not in (None, *loaded.scenario.layouts):
            names = ", ".join(loaded.scenario.layouts)
            raise SpecError([(f"--layout {arguments.layout}", f"the layouts are {names}")])
        runs = [r for r in runs if arguments.layout in (None, r.layout)]
        run = next((r for r in runs if arguments.strategy in (None, r.strategy)), None)
        if run is None:
            names = ", ".join(loaded.scenario.strategies)
            raise SpecError([(f"--strategy {arguments.strategy}", f"the strategies are {names}")])
        until_ms = loaded.scenario.duration if at_ms is None else at_ms
        scheduler, driver = world(loaded, run, until_ms)
        scheduler = drive(loaded, run, scheduler, driver, rounds.append)
    prices = [0] * scheduler.cluster.size
    for entry in rounds:
        for event in entry.accepted():
            if isinstance(event, InstanceRegistered):
                prices[event.instance] = event.price_microusd_hour
    return scheduler, prices


def _check_at(at_ms: int | None, end_ms: int) -> None:
    if at_ms is not None and at_ms > end_ms:
        raise SpecError([("--at", f"{at_ms} ms is after the end of the run, {end_ms} ms")])


@plan_json.register
def _(plan: RepackPlan) -> Any:
    return {
        "moves": [
            {
                "task": move.task,
                "group": move.kind.group,
                "from_zone": None if move.source is None else plan.zones[move.source],
                "to_zone": plan.zones[move.target],
                "from": None if move.source is None else plan.names[move.source],
                "to": plan.names[move.target],
                "parking": move.parking,
            }
            for move in plan.moves
        ],
        "freed": [plan.names[row] for row in plan.freed],
        "used": plan.used,
        "used_at_least": plan.used_at_least,
        **({} if plan.origin is None else _origin_json(plan, plan.origin)),
    }


def _origin_json(plan: RepackPlan, origin: Origin) -> dict[str, Any]:
    """What `stowplan apply` holds a real cluster against."""
    before = [row for row, held in enumerate(origin.held) if any(held.values())]
    emptied = set(plan.emptied)
    after = [row for row in range(len(plan.names)) if row not in emptied]
    return {
        "cluster": origin.cluster,
        "scenario": origin.scenario,
        "held": {plan.names[row]: dict(origin.held[row]) for row in before},
        "emptied": [plan.names[row] for row in plan.emptied],
        "usd_hour": {"before": origin.usd_hour(before), "after": origin.usd_hour(after)},
    }


@plan_table.register
def _(plan: RepackPlan, most: int | None = None) -> Table:
    freed = ", ".join(plan.names[row] for row in plan.freed) or "none"
    least = "" if plan.used_at_least is None else f", at least {plan.used_at_least} needed"
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", min_width=90)
    table.title = f"{plan.used} instances in use{least}; freed: {freed}"
    table.title_justify = "left"
    for name in ("step", "task", "of", "from", "zone", "to", "zone", ""):
        table.add_column(name, justify="right" if name in ("step", "task") else "left")
    for number, move in enumerate(plan.moves[:most], 1):
        source = "" if move.source is None else plan.names[move.source]
        note = "for a while" if move.parking else "starts" if move.task is None else ""
        task = "" if move.task is None else str(move.task)
        here = "" if move.source is None else plan.zones[move.source]
        there = plan.zones[move.target]
        target = plan.names[move.target]
        table.add_row(str(number), task, move.kind.group, source, here, target, there, note)
    if most is not None and len(plan.moves) > most:
        table.add_row("...", "", f"{len(plan.moves) - most} more", *[""] * 5)
    return table


def since_start(text: str) -> int:
    """`15m` in ms, for argparse. Raises ArgumentTypeError."""
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
