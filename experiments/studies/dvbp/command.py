"""`stowplan dvbp`: replays policies of dynamic vector bin packing on a packing trace."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from stowplan.experiments.loading.extensions import add_entry_points
from stowplan.experiments.studies.dvbp.bound import naive
from stowplan.experiments.studies.dvbp.moments import Measured, measure, moments
from stowplan.experiments.studies.dvbp.on_engine import book, chain_of, reads_lifetimes, run
from stowplan.experiments.studies.dvbp.replay import BLIND, POLICIES, Offered, Policy, offer
from stowplan.experiments.studies.dvbp.trace import Trace, read_trace
from stowplan.experiments.studies.openb import parse_seeds, write_rows
from stowplan.placement.errors import SpecError
from stowplan.placement.strategies import STRATEGIES

COLUMNS = ("policy", "sigma", "seed", "machine_days", "peak")
OWN = "stowplan:"  # before a chain whose name a published policy has, too
Row = tuple[str, float, int, float, int]
_Read = TypeVar("_Read")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stowplan dvbp`."""
    parser.add_argument("--vms", type=Path, required=True, help="VMs (CSV, gzip or not)")
    parser.add_argument("--types", type=Path, required=True, help="what each type needs (CSV)")
    parser.add_argument(
        "--policy",
        required=True,
        help=f"{', '.join(POLICIES)}; or a chain of strategies such as nilas+best_fit "
        f"({OWN}first_fit where a name is taken); several with commas, or all",
    )
    parser.add_argument(
        "--sigma", default="0", help="of the lognormal error of predictions, such as 0,0.5,1"
    )
    parser.add_argument("--seed", default="0", help="such as 0-9 or 1,2")
    parser.add_argument("--machine", type=int, default=0, help="type of the servers (default: 0)")
    parser.add_argument(
        "--book", action="store_true", help="book each choice on the placement engine, too"
    )
    parser.add_argument("--out", type=Path, required=True, help="a row for each run (CSV)")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """`stowplan dvbp`: replays the runs and writes what they come to."""
    add_entry_points("strategies", STRATEGIES)
    problems: list[tuple[str, str]] = []
    policies = _read(problems, partial(parse_policies, arguments.policy)) or {}
    sigmas = _read(problems, partial(parse_sigmas, arguments.sigma)) or []
    seeds = _read(problems, partial(parse_seeds, arguments.seed, "--seed")) or []
    trace = _read(problems, lambda: read_trace(arguments.vms, arguments.types, arguments.machine))
    if problems or trace is None:
        raise SpecError(problems)
    rows = []
    least = naive(trace)
    for row in replays(trace, policies, sigmas, seeds, check=arguments.book):
        rows.append(row)
        policy, sigma, seed, days, peak = row
        print(
            f"{policy} sigma {sigma:g} seed {seed}: {days:.2f} machine-days, "
            f"{days / least:.4f} of the naive bound, peak {peak}",
            file=sys.stderr,
        )
    write_rows(arguments.out, rows, COLUMNS)
    print(f"{arguments.out}: {len(rows)} rows; naive bound {least:.2f} machine-days")
    return 0


def replays(
    trace: Trace,
    policies: dict[str, Policy],
    sigmas: Sequence[float],
    seeds: Sequence[int],
    *,
    check: bool = False,
) -> Iterator[Row]:
    """A row for each policy, sigma and seed; what chance has no part in runs once.

    Args:
        check: book the choices on the engine. Raises PlacementError where it says no.
    """
    events = moments(trace)
    known: dict[tuple[str, float, int], Measured] = {}
    for sigma in sigmas:
        offers = {seed: offer(trace, sigma, seed, events) for seed in (seeds if sigma else [0])}
        for name, policy in policies.items():
            for seed in seeds:
                blind = name in BLIND or not (name in POLICIES or reads_lifetimes(name))
                key = (name, 0 if blind else sigma, 0 if blind or not sigma else seed)
                if key not in known:
                    known[key] = _measured(policy, offers[seed if sigma else 0], check)
                yield (name, sigma, seed, *known[key])


def _measured(policy: Policy, offered: Offered, check: bool) -> Measured:
    server = policy(offered)
    if check:
        book(offered, server)
    return measure(offered.trace, offered.events, server)


def parse_policies(text: str) -> dict[str, Policy]:
    """Policies by name out of `nrt_crt,nilas+first_fit` or `all`.

    Raises:
        SpecError: names each that is not known.
    """
    names = [*POLICIES] if text == "all" else [name.strip() for name in text.split(",")]
    found: dict[str, Policy] = {}
    problems = []
    for name in names:
        try:
            found[name] = POLICIES[name] if name in POLICIES else _of_chain(name)
        except ValueError as error:
            known = ", ".join(POLICIES)
            what = f"{error}; expected all, {known} or a chain such as nilas+best_fit"
            problems.append((f"--policy {name}", what))
    if problems:
        raise SpecError(problems)
    return found


def _of_chain(name: str) -> Policy:
    chain = chain_of(name.removeprefix(OWN))
    return lambda offered: run(offered, chain)


def parse_sigmas(text: str) -> list[float]:
    """Sigmas out of `0,0.5,1`. Raises SpecError naming each that is no number of at least 0."""
    sigmas, problems = [], []
    for part in text.split(","):
        try:
            sigma = float(part)
        except ValueError:
            sigma = math.nan
        if not 0 <= sigma < math.inf:
            what = "expected a number of at least 0, such as 0.5"
            problems.append((f"--sigma {part.strip()}", what))
        sigmas.append(sigma)
    if problems:
        raise SpecError(problems)
    return list(dict.fromkeys(sigmas))


def _read(problems: list[tuple[str, str]], read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except SpecError as error:
        problems += error.problems
        return None
