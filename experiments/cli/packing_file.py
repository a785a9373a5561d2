"""`stowplan optimize --bpp`: the arguments, and the answer for a small problem.

What is imported here is light: no numpy, no solver. A problem that is not small, or that takes more
than is here, goes on to `packing_solved`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stowplan.experiments.cli.packing_words import PROVEN, bins_line
from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.arguments import amount, whole
from stowplan.placement.packing import quick
from stowplan.placement.packing.plain import PackingInputError, Plain, plain_bpp, plain_vbp

QUICK_S = 1.0  # limits in time from which on half a second for the quick way does no harm
_VALUED = ("--bpp", "--time-limit", "--work", "--seed", "--out")


def is_all(words: Sequence[str]) -> bool:
    """Whether a command line of `optimize` asks for a packing file and nothing else."""
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("-")]
    values = len(words) - 1 - len(options)
    wanted = sum(word in _VALUED for word in words)
    known = all(option in (*_VALUED, "--json") for option in options)
    return "--bpp" in options and known and values == wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan optimize --bpp` alone."""
    packing_arguments(parser)
    parser.set_defaults(command=command, subcommand="optimize --bpp")


def packing_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every search, and the packing file."""
    parser.add_argument(
        "--bpp",
        type=Path,
        metavar="FILE",
        help="not a scenario: number of items, capacity, one size a line; or VPSolver's .vbp",
    )
    parser.add_argument(
        "--tbpp",
        type=Path,
        metavar="FILE",
        help="not a scenario: jobs of temporal bin packing (their number and the capacity, then "
        "number, start, end and size a line); the least time for which servers are busy",
    )
    parser.add_argument(
        "--time-limit",
        type=amount,
        default=60.0,
        metavar="S",
        help="seconds after which the best found so far is the answer, with its gap (60); Ctrl-C "
        "ends a search as well",
    )
    parser.add_argument(
        "--work",
        type=amount,
        metavar="N",
        help="limit in units of work, about a million steps each: runs that end by it repeat "
        "exactly, those that end by time may not",
    )
    parser.add_argument("--seed", type=whole, default=0, help="of the search (0)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON; see below")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for answer.json, plan.txt and progress.svg; replaced if such a one is there",
    )


def command(arguments: argparse.Namespace) -> int:
    """Solve and print; see `packing_solved.solve_command`."""
    plain = None if _is_limited(arguments) else _read(arguments.bpp)
    if plain is not None and _told_at_once(plain, arguments.json):
        return 0
    from stowplan.experiments.cli.packing_solved import solve_command

    return solve_command(arguments)


def _is_limited(arguments: argparse.Namespace) -> bool:
    """Whether the user wants files, or limits that the quick way knows nothing of."""
    return arguments.out is not None or arguments.work is not None or arguments.time_limit < QUICK_S


def _read(path: Path) -> Plain | None:
    """The problem, or None where something is wrong: that is said by who solves it with arrays."""
    try:
        text = read_text(path)
        return plain_vbp(text) if path.suffix.lower() == ".vbp" else plain_bpp(text)
    except (OSError, UnicodeError, PackingInputError):
        return None


def _told_at_once(plain: Plain, as_json: bool) -> bool:
    """Print the answer for a small problem; False where there is none yet."""
    started = time.perf_counter()
    grouped = quick.grouped(plain)
    if grouped is None:
        return False
    known, log = quick.settle(grouped.small), list[list[Any]]()
    for step in range(2):
        incumbent = None if known.bins is None else len(known.bins)
        log.append([round(time.perf_counter() - started, 3), known.bound, incumbent])
        if known.settled:
            break
        if step:
            return False
        from stowplan.placement.packing.quick_exact import finish

        known = finish(grouped.small, known)
    assert known.bins is not None
    packing = grouped.spread(known.bins)
    quick.check(plain, packing)
    seconds, bins = time.perf_counter() - started, len(known.bins)
    if as_json:
        print(json.dumps(_answer(packing, bins, seconds, log)))
    else:
        print(bins_line("optimal", bins, bins, PROVEN, f"{seconds:.3f} s"))
    return True


def _answer(
    packing: Sequence[tuple[int, dict[int, int]]], bins: int, seconds: float, log: list[list[Any]]
) -> dict[str, Any]:
    """As `packing_solved.answer`, which says what it means."""
    kinds = [{str(kind): n for kind, n in sorted(held.items())} for _, held in packing]
    told = [
        {"copies": copies, "items": items}
        for (copies, _), items in zip(packing, kinds, strict=True)
    ]
    own: dict[str, Any] = {"packing": told, "unplaceable": []}
    head: dict[str, Any] = {"goal": "bins", "status": "optimal", "unit": "bins", "objective": bins}
    head |= {"lower_bound": bins, "gap": 0.0, "seconds": round(seconds, 3), "interrupted": False}
    return {
        **head, "reasons": [], "plan": own, "notes": [], "trial": None, "log": log,
        "bins": bins, **own,
    }  # fmt: skip
