"""The `stowplan` command. Each subcommand imports what it needs when it runs: help must be quick."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from placement.errors import PlacementError


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 1 for a check that failed, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except PlacementError as error:
        print(f"stowplan: {error}".replace("\n", "\nstowplan: "), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stowplan: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stowplan", description="Decide, in simulation and for real, where containers go."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    simulate = commands.add_parser(
        "simulate", help="run a scenario's strategies side by side and write a report"
    )
    simulate.add_argument("scenario", type=Path, help="the scenario, a TOML file")
    simulate.add_argument("--out", type=Path, required=True, help="folder for report and results")
    simulate.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME=CHAIN",
        help="compare this one too: mine=my.py:Mine, or two=spread:instanceId,binpack:cpu",
    )
    simulate.add_argument("--only", metavar="TEXT", help="only runs whose name contains this")
    simulate.add_argument("--jobs", type=int, help="processes at a time (default: processors)")
    simulate.set_defaults(command=_simulate)

    check = commands.add_parser("check", help="check a scenario without running it")
    check.add_argument("scenario", type=Path)
    check.set_defaults(command=_check)

    verify = commands.add_parser(
        "verify", help="replay a journal through a fresh scheduler and check what it did"
    )
    verify.add_argument("journal", type=Path)
    verify.add_argument(
        "--strategies", type=Path, default=Path(), help="folder of the strategies it names"
    )
    verify.set_defaults(command=_verify)
    return parser


def _simulate(arguments: argparse.Namespace) -> int:
    from experiments.commands import simulate

    return simulate(arguments)


def _check(arguments: argparse.Namespace) -> int:
    from experiments.commands import check

    return check(arguments)


def _verify(arguments: argparse.Namespace) -> int:
    from experiments.commands import verify

    return verify(arguments)


if __name__ == "__main__":
    sys.exit(main())
