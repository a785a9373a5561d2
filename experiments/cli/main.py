"""The `stowplan` command: which subcommands there are, and what it prints when one fails.

A subcommand is a function that adds its arguments to a parser, and sets `command` to the function
that runs it. It is imported only when it is called, so that help is quick.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from contextlib import nullcontext

from stowplan.experiments.cli.terminal import (
    TERMINATED,
    Terminated,
    adapt_streams,
    ended_by_sigterm,
)
from stowplan.placement.errors import PlacementError

# name -> (module, function that sets up its parser, one line of help)
COMMANDS = {
    "create-cluster": (
        "stowplan.experiments.cli.clusterfile",
        "add_create_cluster_arguments",
        "begin a cluster file",
    ),
    "register-task-definition": (
        "stowplan.experiments.cli.clusterfile",
        "add_register_task_definition_arguments",
        "check a task definition and add it to the cluster file",
    ),
    "launch-instances": (
        "stowplan.experiments.cli.clusterfile",
        "add_launch_instances_arguments",
        "add instances to the cluster file",
    ),
    "create-service": (
        "stowplan.experiments.cli.task_calls",
        "add_create_service_arguments",
        "keep a number of copies of a task running, by a cluster file or while a run lasts",
    ),
    "delete-service": (
        "stowplan.experiments.cli.task_calls",
        "add_delete_service_arguments",
        "end a service, in a cluster file or while a run lasts",
    ),
    "run-task": (
        "stowplan.experiments.cli.task_calls",
        "add_run_task_arguments",
        "start tasks once, by a cluster file or while a run lasts",
    ),
    "import": (
        "stowplan.experiments.cli.import_cluster",
        "add_arguments",
        "make a scenario of what `aws ecs describe-*` says of a cluster",
    ),
    "types": (
        "stowplan.experiments.cli.instance_types",
        "add_arguments",
        "list, filter and price instance types",
    ),
    "calibrate": (
        "stowplan.experiments.cli.calibrate",
        "add_arguments",
        "measure engines, and write the models that let a simulation predict them",
    ),
    "compare": (
        "stowplan.experiments.cli.compare",
        "add_arguments",
        "a simulated run and a real one over each other, with the errors",
    ),
    "check": (
        "stowplan.experiments.cli.check",
        "add_arguments",
        "check a scenario without running it",
    ),
    "simulate": (
        "stowplan.experiments.cli.simulate",
        "add_arguments",
        "run a scenario's strategies side by side and write a report",
    ),
    "diff": (
        "stowplan.experiments.cli.diff",
        "add_arguments",
        "what changed between the runs of two results folders",
    ),
    "run": (
        "stowplan.experiments.cli.docker",
        "add_run_arguments",
        "run a scenario on real Docker engines",
    ),
    "status": (
        "stowplan.experiments.cli.docker_status",
        "add_status_arguments",
        "instances, tasks and last reasons of a cluster on real engines",
    ),
    "logs": (
        "stowplan.experiments.cli.docker_status",
        "add_logs_arguments",
        "what a task's containers wrote",
    ),
    "drain": (
        "stowplan.experiments.cli.docker_calls",
        "add_drain_arguments",
        "set instances DRAINING, or back",
    ),
    "stop-task": (
        "stowplan.experiments.cli.docker_calls",
        "add_stop_task_arguments",
        "stop tasks of a cluster",
    ),
    "update-service": (
        "stowplan.experiments.cli.docker_calls",
        "add_update_service_arguments",
        "another count or task definition for a service while it runs",
    ),
    "down": (
        "stowplan.experiments.cli.docker_down",
        "add_down_arguments",
        "remove all that a cluster has on its engines",
    ),
    "serve": (
        "stowplan.experiments.cli.serve",
        "add_arguments",
        "speak ECS's API in front of simulated clusters, or of agents that join",
    ),
    "agent": (
        "stowplan.experiments.cli.agent",
        "add_arguments",
        "join this machine's Docker engine to a cluster, as ECS's agent does",
    ),
    "clock": (
        "stowplan.experiments.cli.clock",
        "add_clock_arguments",
        "let the time of served simulated clusters pass",
    ),
    "launch": (
        "stowplan.experiments.cli.clock",
        "add_launch_arguments",
        "launch simulated instances for a served cluster",
    ),
    "bench": ("stowplan.experiments.cli.bench", "add_arguments", "measure against named bounds"),
    "optimize": (
        "stowplan.experiments.cli.optimize",
        "add_arguments",
        "a proven plan: fewest instances, cheapest fleet, best placement",
    ),
    "front": (
        "stowplan.experiments.cli.front",
        "add_arguments",
        "dollars saved against tasks moved, every point proven",
    ),
    "consolidate": (
        "stowplan.experiments.cli.consolidate",
        "add_arguments",
        "a repack as a policy in time: moves a day against dollars saved",
    ),
    "sizes": (
        "stowplan.experiments.cli.sizes",
        "add_arguments",
        "what CPU and memory to reserve for each service, on what fleet, and what that saves",
    ),
    "regret": (
        "stowplan.experiments.cli.regret",
        "add_arguments",
        "what runs kept busy, against the provable minimum",
    ),
    "openb": (
        "stowplan.experiments.studies.openb",
        "add_arguments",
        "replay the OpenB evaluation (USENIX ATC'23) under a policy",
    ),
    "explain": (
        "stowplan.experiments.cli.explain",
        "add_explain_arguments",
        "what keeps a task off every instance, and the cheapest change that would place it",
    ),
    "try": (
        "stowplan.experiments.cli.explain",
        "add_try_arguments",
        "where tasks that do not exist yet would go, or why not",
    ),
    "replay": (
        "stowplan.experiments.cli.replay",
        "add_arguments",
        "draw a journal as a map of the cluster over time, one HTML file",
    ),
    "soak": (
        "stowplan.experiments.cli.soak",
        "add_arguments",
        "random clusters under random faults, read by the checkers",
    ),
    "verify": (
        "stowplan.experiments.cli.verify",
        "add_arguments",
        "replay a journal through a fresh scheduler and check what it did",
    ),
}


# Those that place tasks or pack in this process, and so may have to compile first.
PLACING = (
    *("run", "drain", "stop-task", "update-service"),  # these replay the run's journal
    *("bench", "optimize", "regret", "openb", "explain", "try", "soak", "verify", "serve"),
)
# Those that run until they are told to end, and take that up by themselves.
ON_ENGINES = ("run", "status", "logs", "down", "serve", "agent")


def main(argv: list[str] | None = None) -> int:
    """Run the command line. Exit codes: 0, 1 for a check that failed, 2 for bad input."""
    adapt_streams()
    try:
        arguments = _parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
        if arguments.subcommand in PLACING:
            from stowplan.experiments.runs.compiling import say_when_compiling

            say_when_compiling()
        on_engines = arguments.subcommand in ON_ENGINES
        with nullcontext() if on_engines else ended_by_sigterm():
            return int(arguments.command(arguments))
    except PlacementError as error:
        print(f"stowplan: {error}".replace("\n", "\nstowplan: "), file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 141
    except KeyboardInterrupt:
        print("stowplan: interrupted; nothing was written", file=sys.stderr)
        return 130
    except Terminated:
        print("stowplan: terminated; nothing was written", file=sys.stderr)
        return TERMINATED


class _VersionAction(argparse.Action):
    """Looks the version up only when it is asked for, so that help is quick."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"stowplan {version('stowplan')}")
        parser.exit()


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stowplan", description="Decide, in simulation and for real, where containers go."
    )
    parser.add_argument(
        "--version", action=_VersionAction, nargs=0, help="show the version and exit"
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    wanted = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, function, about) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=about, description=about)
        subparser.set_defaults(subcommand=name)
        if name == wanted:
            if name == "optimize" and any(word.startswith("--bpp") for word in argv):
                from stowplan.experiments.cli import packing_file

                module = packing_file.__name__ if packing_file.is_all(argv) else module
            getattr(importlib.import_module(module), function)(subparser)
    return parser
