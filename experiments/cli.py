"""The `stowplan` command: which subcommands there are, and what it prints when one fails.

A subcommand is a function that adds its arguments to a parser and sets `command` to what runs
it. It is imported only when it is asked for, so that help is quick.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from placement.errors import PlacementError

# name -> (module, function that sets up its parser, one line of help)
COMMANDS = {
    "create-cluster": ("experiments.edit", "create_cluster_parser", "begin a cluster file"),
    "register-task-definition": (
        "experiments.edit",
        "register_task_definition_parser",
        "check a task definition and add it to the cluster file",
    ),
    "launch-instances": (
        "experiments.edit",
        "launch_instances_parser",
        "add instances to the cluster file",
    ),
    "create-service": (
        "experiments.edit",
        "create_service_parser",
        "keep a number of copies of a task running",
    ),
    "calibrate": (
        "experiments.calibrate",
        "add_arguments",
        "measure engines, and write the models that let a simulation predict them",
    ),
    "compare": (
        "experiments.compare_runs",
        "add_arguments",
        "a simulated run and a real one over each other, with the errors",
    ),
    "check": ("experiments.commands", "check_parser", "check a scenario without running it"),
    "simulate": (
        "experiments.commands",
        "simulate_parser",
        "run a scenario's strategies side by side and write a report",
    ),
    "run": (
        "experiments.docker_commands",
        "run_parser",
        "run a scenario on real Docker engines",
    ),
    "status": (
        "experiments.docker_status",
        "status_parser",
        "instances, tasks and last reasons of a cluster on real engines",
    ),
    "logs": ("experiments.docker_status", "logs_parser", "what a task's containers wrote"),
    "drain": ("experiments.docker_calls", "drain_parser", "set instances DRAINING, or back"),
    "stop-task": ("experiments.docker_calls", "stop_task_parser", "stop tasks of a cluster"),
    "update-service": (
        "experiments.docker_calls",
        "update_service_parser",
        "another count or task definition for a service while it runs",
    ),
    "down": (
        "experiments.docker_commands",
        "down_parser",
        "remove all that a cluster has on its engines",
    ),
    "bench": ("experiments.bench", "bench_parser", "measure against named bounds"),
    "optimize": (
        "experiments.optimize",
        "optimize_parser",
        "a proven plan: fewest instances, cheapest fleet, best placement",
    ),
    "regret": (
        "experiments.regret",
        "regret_parser",
        "what runs kept busy, against the provable minimum",
    ),
    "openb": (
        "experiments.openb",
        "add_arguments",
        "replay the OpenB evaluation (USENIX ATC'23) under a policy",
    ),
    "replay": (
        "experiments.replay",
        "add_arguments",
        "draw a journal as a map of the cluster over time, one HTML file",
    ),
    "soak": (
        "experiments.soak",
        "add_arguments",
        "random clusters under random faults, read by the checkers",
    ),
    "verify": (
        "experiments.commands",
        "verify_parser",
        "replay a journal through a fresh scheduler and check what it did",
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line. Exit codes: 0, 1 for a check that failed, 2 for bad input."""
    try:
        arguments = _parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
        return int(arguments.command(arguments))
    except PlacementError as error:
        print(f"stowplan: {error}".replace("\n", "\nstowplan: "), file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        print("stowplan: interrupted; nothing was written", file=sys.stderr)
        return 130


class _Version(argparse.Action):
    """Looks the version up only when it is asked for, so that help is quick."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"stowplan {version('stowplan')}")
        parser.exit()


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stowplan", description="Decide, in simulation and for real, where containers go."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    wanted = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, function, about) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=about, description=about)
        if name == wanted:
            getattr(importlib.import_module(module), function)(subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
