"""`stowplan optimize --bpp` and `--tbpp` with arrays, machine code and solvers, and their words."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from stowplan.experiments.cli.interrupt import Interruptible
from stowplan.experiments.cli.packing_words import PROVEN, bins_line
from stowplan.experiments.loading.packing_file import read_problem
from stowplan.placement.errors import SpecError
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.packing import lazy
from stowplan.placement.packing.problem import (
    Limits,
    PackingInputError,
    PackingProblem,
    PackingResult,
)
from stowplan.placement.packing.solve import solve_packing

_NAMED_MOST = 20  # items that are larger than a bin


def solve_command(arguments: argparse.Namespace) -> int:
    """Solve and print; Ctrl-C prints the best found so far with its bound."""
    lazy.before_loading(_say_when_compiling)
    try:
        return packing_command(arguments)
    except PackingInputError as error:
        raise SpecError([(str(arguments.bpp), str(error))]) from error


def _say_when_compiling() -> None:
    from stowplan.experiments.runs.compiling import say_when_compiling

    say_when_compiling()


def _progress() -> AbstractContextManager[Any]:
    """A line with what is known so far, where there is somebody to see it."""
    if not sys.stderr.isatty():
        return nullcontext()
    from stowplan.experiments.report.optimize import LiveProgress

    return LiveProgress("bins")


def limits_of(arguments: argparse.Namespace, clock: Callable[[], float]) -> Limits:
    """The limits that the command line gives."""
    return Limits(arguments.time_limit, arguments.work, seed=arguments.seed, clock=clock)


def packing_command(arguments: argparse.Namespace) -> int:
    """Solve the file and print; raises PackingInputError where it makes no sense."""
    problem = read_problem(arguments.bpp)
    with _progress() as progress, Interruptible() as interruptible:
        result = solve_packing(problem, limits_of(arguments, interruptible.clock), progress)
    text = packing_summary(problem, result)
    if arguments.out is not None:
        from stowplan.experiments.report.optimize import write_files

        told = "\n".join([text, *packing_lines(result)]) + "\n"
        write_files(arguments.out, answer(result), told, as_answer(result))
    print(json.dumps(answer(result)) if arguments.json else text)
    return 0


def jobs_command(arguments: argparse.Namespace) -> int:
    """Solve the jobs of a `--tbpp` file and print."""
    from rich.console import Console

    from stowplan.experiments.loading.packing_file import read_over_time
    from stowplan.experiments.report.optimize import (
        LiveProgress,
        answer_json,
        plan_table,
        summary,
        write_files,
    )
    from stowplan.placement.optimal.over_time import least_over_time

    problem = read_over_time(arguments.tbpp)
    with LiveProgress("hours") as progress, Interruptible() as interruptible:
        limits = limits_of(arguments, interruptible.clock)
        found = replace(least_over_time(problem, limits, progress), unit="server time")
    text = summary(found)
    if arguments.out is not None:
        write_files(arguments.out, answer_json(found), text + "\n", found)
    print(json.dumps(answer_json(found)) if arguments.json else text)
    if found.plan is not None and not arguments.json:
        Console().print(plan_table(found.plan, _NAMED_MOST))
    return 0


def packing_summary(problem: PackingProblem, result: PackingResult) -> str:
    """A line: bins, bound and gap; if infeasible, a line for each item that fits no bin."""
    if result.status == "infeasible":
        lines = ["infeasible: items that are larger than a bin (numbered from 0)"]
        for item in result.unplaceable[:_NAMED_MOST]:
            over = np.flatnonzero(problem.demand[item] > problem.capacity)
            sizes = [f"{problem.demand[item, d]} of {problem.capacity[d]}" for d in over]
            lines.append(f"  item {item}: {', '.join(sizes)}")
        more = len(result.unplaceable) - _NAMED_MOST
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
    seconds = f"{result.seconds:.3f} s" + (", interrupted" if result.interrupted else "")
    if result.bins is None:
        return f"no packing found in time; at least {result.lower_bound} bins, {seconds}"
    proven = PROVEN if result.status == "optimal" else f"gap {result.gap:.3%}"
    return bins_line(result.status, result.bins, result.lower_bound, proven, seconds)


def packing_lines(result: PackingResult) -> list[str]:
    """The packing, a line for each kind of bin: `3 x: item 0, 2 of item 5`."""
    lines = []
    for bins in result.packing:
        amounts = [(item, int(bins.contents[item])) for item in np.flatnonzero(bins.contents)]
        names = [f"item {item}" if n == 1 else f"{n} of item {item}" for item, n in amounts]
        lines.append(f"{bins.copies} x: {', '.join(names)}")
    return lines


def answer(result: PackingResult) -> dict[str, Any]:
    """The result as JSON, with the keys of every other goal; `plan` has the packing.

    `packing` is a list of {"copies", "items"}, items by kind with counts. Kinds are numbered from 0
    in the order of the problem. It, `unplaceable` and `bins` stand beside the plan as well.
    """
    from stowplan.experiments.report.optimize import answer_json

    packing = [
        {
            "copies": bins.copies,
            "items": {str(kind): int(n) for kind, n in enumerate(bins.contents) if n},
        }
        for bins in result.packing
    ]
    unplaceable = list(result.unplaceable)
    own = {"packing": packing, "unplaceable": unplaceable}
    found = answer_json(as_answer(result))
    found["plan"] = own if result.bins is not None else None
    return {**found, "bins": result.bins, **own}


def as_answer(result: PackingResult) -> Answer[Any]:
    """The result in the shape of every goal's answer, without its plan."""
    return Answer(
        "bins", "bins", result.status, result.bins, result.lower_bound, None,
        tuple(f"item {item} fits no bin" for item in result.unplaceable),
        result.seconds, result.interrupted, result.log,
    )  # fmt: skip
