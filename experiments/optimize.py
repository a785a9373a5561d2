"""`stowplan optimize`: the provably least number of bins for a packing file."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from placement.errors import SpecError
from placement.optimal.formats import parse_bpp, parse_vbp
from placement.optimal.problem import Limits, PackingInputError, PackingProblem, PackingResult
from placement.optimal.solve import solve_packing


def optimize_parser(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan optimize`."""
    parser.add_argument(
        "--bpp",
        type=Path,
        required=True,
        metavar="FILE",
        help="number of items, capacity, one size a line; or VPSolver's .vbp",
    )
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="S", help="default: 60")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Solve and print; Ctrl-C prints the best found so far with its bound."""
    problem = read_problem(arguments.bpp)
    limits = Limits(arguments.time_limit, seed=arguments.seed, clock=time.perf_counter)
    result = solve_packing(problem, limits)
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
