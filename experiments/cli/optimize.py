"""`stowplan optimize`: a proven plan for a scenario, or the fewest bins for a packing file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from stowplan.experiments.cli.interrupt import Interruptible
from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.cli.packing_file import packing_arguments
from stowplan.experiments.cli.packing_solved import jobs_command, limits_of, packing_command
from stowplan.experiments.cli.remembered import FleetMemory
from stowplan.experiments.cli.repack import check_no_repack, repack, repack_arguments
from stowplan.experiments.loading.load import load_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.keys import base
from stowplan.placement.optimal.optimize import GOALS, optimize
from stowplan.placement.packing.problem import (
    Limits,
    PackingInputError,
)
from stowplan.placement.scenario.fields import WEIGHT_MAX
from stowplan.placement.scenario.scenario import Objective, Scenario
from stowplan.placement.scenario.settings import with_settings
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.protocol import StrategyFactory

_NAMED_MOST = 20  # items that are larger than a bin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan optimize`."""
    parser.add_argument("scenario", type=Path, nargs="?", help="the scenario, a TOML file")
    goals = "; ".join(f"{name}: {what}" for name, (_, _, what) in GOALS.items())
    goals += "; repack: fewest moves of running tasks that free instances"
    goals += " (default: fleet)"
    parser.add_argument("--goal", choices=[*GOALS, "repack"], help=goals)
    packing_arguments(parser)
    _scenario_arguments(parser)
    repack_arguments(parser.add_argument_group("for the goal repack"))
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.set_defaults(command=command)


def _scenario_arguments(parser: argparse.ArgumentParser) -> None:
    """What replaces or chooses something of the scenario."""
    parser.add_argument("--layout", help="layout of the scenario (default: its first)")
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        help="strategy of the scenario (default: its first): its settings count, and by it the "
        "plan is tried out; for the goal repack, of the run that leads to the state",
    )
    parser.add_argument("--instance-type", metavar="T", help="for the goal instances")
    parser.add_argument("--tasks", choices=["services", "all"], help="leave workloads out, or not")
    parser.add_argument(
        "--objective",
        metavar="placed=1000,instances=10,spread=1",
        help="for the goal placement: what a task left out, an instance in use, a task too many "
        "in a zone and (cost) a microdollar an hour cost",
    )
    parser.add_argument(
        "--forget",
        action="store_true",
        default=None,
        help="for the goal fleet: neither begin with fleets that were found before for these tasks "
        "(kept in $STOWPLAN_CACHE or the user's cache), nor keep this one",
    )


EPILOG = """\
status: optimal (proven), feasible (a limit or Ctrl-C came first: see the gap), infeasible (proven;
with the reasons), unknown (nothing found yet). Exit code: 0 for each of these, 2 for bad input.

--json, for every goal and for --bpp: goal, status, objective (in unit), lower_bound, gap (a share
of the objective: 0.01 is 1 %), seconds, interrupted, reasons, plan, notes, trial (ecs_reaches_it,
and the tasks by service that ECS, left alone, would leave without a place), and log, rows of
[seconds, lower bound, objective]. With --bpp the plan has packing, a list of {"copies": so many
equal bins, "items": {item: how many of it}}, where items are numbered from 0 in the order of the
file.
"""


def command(arguments: argparse.Namespace) -> int:
    """Solve and print; Ctrl-C prints the best found so far with its bound."""
    try:
        return _command(arguments)
    except PackingInputError as error:
        raise SpecError(
            [(str(arguments.bpp or arguments.tbpp or arguments.scenario), str(error))]
        ) from error


def _command(arguments: argparse.Namespace) -> int:
    given = [arguments.scenario, arguments.bpp, arguments.tbpp]
    if sum(path is not None for path in given) != 1:
        what = "name a scenario, or a packing file with --bpp or --tbpp"
        raise SpecError([("optimize", what)])
    goal = arguments.goal or "fleet"
    if arguments.scenario is None or goal != "repack":
        check_no_repack(arguments)
    _check_options(arguments, goal)
    if arguments.bpp is not None:
        return packing_command(arguments)
    if arguments.tbpp is not None:
        return jobs_command(arguments)
    from stowplan.experiments.report.optimize import LiveProgress, print_answer, write_answer

    loaded = load_scenario(arguments.scenario, buys=base(goal) in ("fleet", "instances"))
    say_notes(loaded)
    scenario = with_options(loaded.scenario, arguments)
    with LiveProgress(goal) as progress, Interruptible() as interruptible:
        limits = limits_of(arguments, interruptible.clock)
        if goal == "repack":
            found = repack(loaded, arguments, limits, progress)
        else:
            found = answer_scenario(
                scenario, goal, limits, progress, arguments.layout, arguments.strategy,
                loaded.strategies, remember=not arguments.forget,
            )  # fmt: skip
    if arguments.out is not None:
        write_answer(found, scenario, arguments.out)
    print_answer(found, scenario, as_json=arguments.json)
    return 0


# option -> the goals that read it
READ_BY = {
    "goal": (*GOALS, "repack"),
    "layout": (*GOALS, "repack"),
    "strategy": (*GOALS, "repack"),
    "instance_type": ("instances",),
    "tasks": ("instances", "fleet", "placement"),
    "objective": ("placement",),
    "forget": ("fleet",),
}


def _check_options(arguments: argparse.Namespace, goal: str) -> None:
    """Raises SpecError naming every option that would have no effect."""
    problems = []
    for name, goals in READ_BY.items():
        option = "--" + name.replace("_", "-")
        if getattr(arguments, name) is None:
            continue
        if arguments.scenario is None:
            file = "--bpp" if arguments.bpp is not None else "--tbpp"
            problems.append((option, f"is for scenarios, not for {file}"))
        elif base(goal) not in goals:
            problems.append((option, f"is for --goal {' or '.join(goals)}, not for {goal}"))
    if problems:
        raise SpecError(problems)


NEEDS_FLEET = ("placement", "hours")


def answer_scenario(
    scenario: Scenario,
    goal: str,
    limits: Limits | None = None,
    progress: Any = None,
    layout: str | None = None,
    strategy: str | None = None,
    strategies: Mapping[str, StrategyFactory] = STRATEGIES,
    *,
    remember: bool = False,
) -> Answer[Any]:
    """`placement.optimal.optimize` for a scenario that was loaded: makes its client's calls.

    Args:
        layout, strategy: of the run that is planned, by name; None: the scenario's first.
        strategies: the registry for its chains.
        remember: begin with fleets that were found before, and keep the one that is found.
    Raises:
        SpecError: no such layout or strategy, or what the scenario asks for cannot be optimized.
    """
    from stowplan.experiments.workloads.arrivals import arrivals

    for option, name, known in (
        ("--layout", layout, scenario.layouts),
        ("--strategy", strategy, scenario.strategies),
    ):
        if name not in (None, *known):
            what = "layouts" if option == "--layout" else "strategies"
            raise SpecError([(f"{option} {name}", f"the {what} are {', '.join(known)}")])
    run = next(
        run
        for run in scenario.runs()
        if layout in (None, run.layout) and strategy in (None, run.strategy)
    )
    scenario = with_settings(scenario, run.strategy)
    if base(goal) in NEEDS_FLEET and not scenario.fleet:
        what = f"goal {goal} is about instances that are there: name them, not what may be launched"
        raise SpecError([("fleet", what)])
    calls = list(arrivals(scenario, run))
    if not remember or goal != "fleet":
        return optimize(scenario, calls, goal, limits, progress, strategies)
    memory = FleetMemory(scenario, calls)
    answer = optimize(scenario, calls, goal, limits, progress, strategies, memory.fleets())
    if answer.plan is not None:
        memory.keep(answer.plan)
    return answer


def with_options(scenario: Scenario, arguments: argparse.Namespace) -> Scenario:
    """The scenario with its table `optimize` changed as the command line says.

    Raises:
        SpecError: every option that makes no sense.
    """
    from stowplan.experiments.loading.catalogue import instance_types

    problems: list[tuple[str, str]] = []
    table = scenario.optimize
    types = scenario.instance_types
    if arguments.instance_type is not None:
        known = instance_types(scenario.region)
        if arguments.instance_type in known:
            types = {arguments.instance_type: known[arguments.instance_type], **types}
        if arguments.instance_type not in types:
            problems.append((f"--instance-type {arguments.instance_type}", "unknown type"))
        table = table.model_copy(update={"instance_type": arguments.instance_type})
    if arguments.tasks is not None:
        table = table.model_copy(update={"tasks": arguments.tasks})
    if arguments.objective is not None:
        try:
            table = table.model_copy(update={"objective": parse_objective(arguments.objective)})
        except ValueError as error:
            problems.append((f"--objective {arguments.objective}", str(error)))
    if problems:
        raise SpecError(problems)
    return scenario.model_copy(update={"optimize": table, "instance_types": types})


def parse_objective(text: str) -> dict[str, int]:
    """`placed=1000,instances=10` as a table.

    Raises:
        ValueError: not of that form, an unknown name, or a number below 0 or above 10^9.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if any(not equals or not value.strip().isdecimal() for _, equals, value in pairs):
        raise ValueError("expected NAME=WHOLE NUMBER, with commas in between")
    weights = {name.strip(): int(value) for name, _, value in pairs}
    known = get_args(Objective)
    if unknown := [name for name in weights if name not in known]:
        raise ValueError(f"unknown: {', '.join(unknown)}; the objectives are {', '.join(known)}")
    if max(weights.values()) > WEIGHT_MAX:
        raise ValueError(f"expected numbers of at most {WEIGHT_MAX}")
    return weights
