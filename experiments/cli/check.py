"""`stowplan check`: everything that is wrong with a scenario, all of it at once."""

from __future__ import annotations

import argparse
from pathlib import Path

from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.loading.load import Loaded, load_scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan check`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument(
        "--engines",
        type=Path,
        help="TOML file of Docker engines: ask them what they cannot promise its tasks",
    )
    parser.set_defaults(command=check)


def check(arguments: argparse.Namespace) -> int:
    """`stowplan check`: says what a scenario amounts to, or everything that is wrong with it."""
    loaded = load_scenario(arguments.scenario)
    scenario = loaded.scenario
    say_notes(loaded)
    count = sum(group.count for group in scenario.fleet)
    runs, providers = len(list(scenario.runs())), len(scenario.capacity_provider)
    launched = f", {providers} capacity providers" if providers else ""
    print(
        f"{arguments.scenario}: {count} instances{launched}, {len(scenario.service)} services, "
        f"{len(scenario.workload)} workloads, {runs} runs: no problems found"
    )
    if arguments.engines is not None:
        _engines(loaded, arguments.engines)
    return 0


def _engines(loaded: Loaded, path: Path) -> None:
    from stowplan.experiments.loading.engines_file import load_engines
    from stowplan.experiments.runs.promises import said_of_engines

    said = said_of_engines(loaded, load_engines(path))
    for what in said:
        print(what)
    if not said:
        print(f"{path}: the engines can hold what the tasks ask for")
