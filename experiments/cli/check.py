"""`stowplan check`: everything that is wrong with a scenario, all of it at once."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stowplan.experiments.cli.docker import add_allow_argument, say_permits
from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.loading.engines_file import load_engines
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.experiments.runs.permits import parse_allowed
from stowplan.realdriver.docker.rights import rights_of_all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan check`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument(
        "--engines",
        type=Path,
        help="TOML file of engines: also what `run` would say, and what they cannot promise",
    )
    add_allow_argument(parser)
    parser.set_defaults(command=check)


def check(arguments: argparse.Namespace) -> int:
    """`stowplan check`: says what a scenario amounts to, or everything that is wrong with it."""
    loaded = load_scenario(arguments.scenario)
    scenario = loaded.scenario
    say_notes(loaded)
    allowed = parse_allowed(arguments.allow)
    if arguments.engines is not None:
        say_permits(scenario, load_engines(arguments.engines), allowed)
    else:
        for asked in rights_of_all(scenario.task_definitions.values()):
            if asked.right not in allowed:
                print(f"note: {asked}", file=sys.stderr)
    count = sum(group.count for group in scenario.fleet)
    count += sum(table.first_size for table in scenario.capacity_provider)
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
    from stowplan.experiments.runs.promises import said_of_engines

    said = said_of_engines(loaded, load_engines(path))
    for what in said:
        print(what)
    if not said:
        print(f"{path}: the engines can hold what the tasks ask for")
