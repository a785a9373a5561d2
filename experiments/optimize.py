"""`stowplan optimize`: a proven plan for a scenario, or the fewest bins for a packing file."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, get_args

from experiments.argument_types import amount
from experiments.load import load_scenario
from experiments.repack import check_no_repack, repack, repack_arguments
from placement.errors import SpecError
from placement.optimal.answer import Answer
from placement.optimal.formats import parse_bpp, parse_vbp
from placement.optimal.optimize import GOALS, optimize
from placement.optimal.problem import Limits, PackingInputError, PackingProblem, PackingResult
from placement.optimal.solve import solve_packing
from placement.scenario import Objective, Scenario
from placement.scenario_fields import WEIGHT_MAX


def optimize_parser(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan optimize`."""
    parser.add_argument("scenario", type=Path, nargs="?", help="the scenario, a TOML file")
    goals = "; ".join(f"{name}: {what}" for name, (_, _, what) in GOALS.items())
    goals += "; repack: fewest moves of running tasks that free instances"
    parser.add_argument("--goal", choices=[*GOALS, "repack"], default="fleet", help=goals)
    parser.add_argument(
        "--bpp",
        type=Path,
        metavar="FILE",
        help="not a scenario: number of items, capacity, one size a line; or VPSolver's .vbp",
    )
    parser.add_argument("--time-limit", type=amount, default=60.0, metavar="S", help="default: 60")
    parser.add_argument(
        "--work",
        type=float,
        metavar="N",
        help="limit in units of work: such runs repeat exactly",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the search (0)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.add_argument("--out", type=Path, help="folder for answer, plan and a plot of progress")
    parser.add_argument("--layout", help="layout of the scenario (default: its first)")
    parser.add_argument("--instance-type", metavar="T", help="for the goal instances")
    parser.add_argument("--tasks", choices=["services", "all"], help="leave workloads out, or not")
    parser.add_argument(
        "--objective",
        metavar="placed=1000,instances=10,spread=1",
        help="for the goal placement: what a task left out, an instance in use, a task too many "
        "in a zone and (cost) a microdollar an hour cost",
    )
    repack_arguments(parser.add_argument_group("for the goal repack"))
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Solve and print; Ctrl-C prints the best found so far with its bound."""
    if (arguments.scenario is None) == (arguments.bpp is None):
        raise SpecError([("optimize", "name a scenario, or a packing file with --bpp")])
    if arguments.bpp is not None or arguments.goal != "repack":
        check_no_repack(arguments)
    if arguments.bpp is not None:
        return _packing_file(arguments)
    from experiments.optimize_report import LiveProgress, print_answer, write_answer

    loaded = load_scenario(arguments.scenario)
    scenario = with_options(loaded.scenario, arguments)
    with LiveProgress(arguments.goal) as progress:
        if arguments.goal == "repack":
            found = repack(loaded, arguments, limits_of(arguments), progress)
        else:
            found = answer_scenario(
                scenario, arguments.goal, limits_of(arguments), progress, arguments.layout
            )
    if arguments.out is not None:
        write_answer(found, scenario, arguments.out)
    print_answer(found, scenario, as_json=arguments.json)
    return 0


NEEDS_FLEET = ("placement", "hours")


def answer_scenario(
    scenario: Scenario,
    goal: str,
    limits: Limits | None = None,
    progress: Any = None,
    layout: str | None = None,
) -> Answer[Any]:
    """`placement.optimal.optimize` for a scenario that was loaded: makes its client's calls.

    Raises:
        SpecError: no such layout, or what the scenario asks for cannot be optimized.
    """
    from experiments.arrivals import arrivals

    run = next((r for r in scenario.runs() if layout in (None, r.layout)), None)
    if run is None:
        raise SpecError([(f"--layout {layout}", f"the layouts are {', '.join(scenario.layouts)}")])
    if goal in NEEDS_FLEET and not scenario.fleet:
        what = f"goal {goal} is about instances that are there: name them, not what may be launched"
        raise SpecError([("fleet", what)])
    return optimize(scenario, list(arrivals(scenario, run)), goal, limits, progress)


def with_options(scenario: Scenario, arguments: argparse.Namespace) -> Scenario:
    """The scenario with its table `optimize` changed as the command line says.

    Raises:
        SpecError: every option that makes no sense.
    """
    from experiments.catalogue import instance_types

    problems: list[tuple[str, str]] = []
    table = scenario.optimize
    types = scenario.instance_types
    if arguments.instance_type is not None:
        types = {**instance_types(), **types}
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


def limits_of(arguments: argparse.Namespace) -> Limits:
    """The limits that the command line gives."""
    return Limits(
        arguments.time_limit, arguments.work, seed=arguments.seed, clock=time.perf_counter
    )


def _packing_file(arguments: argparse.Namespace) -> int:
    result = solve_packing(read_problem(arguments.bpp), limits_of(arguments))
    if arguments.json:
        print(json.dumps(answer(result)))
    elif result.status == "infeasible":
        print(f"infeasible: items of kinds {list(result.unplaceable)} fit no bin")
    else:
        print(
            f"{result.status}: {result.bins} bins, at least {result.lower_bound} needed, "
            f"{result.seconds:.3f} s"
        )
    return 0


def read_problem(path: Path) -> PackingProblem:
    """The problem in a file, by its ending.

    Raises:
        SpecError: it cannot be read, with file and line.
    """
    try:
        text = path.read_text()
        return parse_vbp(text) if path.suffix == ".vbp" else parse_bpp(text)
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except (PackingInputError, UnicodeDecodeError) as error:
        raise SpecError([(str(path), str(error))]) from error


def answer(result: PackingResult) -> dict[str, Any]:
    """The result as JSON: `packing` is a list of {"copies", "items"}, items by kind with counts."""
    packing = [
        {
            "copies": bins.copies,
            "items": {str(kind): int(n) for kind, n in enumerate(bins.contents) if n},
        }
        for bins in result.packing
    ]
    return {
        "status": result.status,
        "bins": result.bins,
        "lower_bound": result.lower_bound,
        "gap": result.gap,
        "seconds": round(result.seconds, 6),
        "packing": packing,
        "unplaceable": list(result.unplaceable),
    }
