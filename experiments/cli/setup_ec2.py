"""`stowplan setup-ec2`: what instances of a fresh account need is listed, made, or removed."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.snapshot import account_of, add_account_arguments
from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from stowplan.realdriver.aws.setup import Port


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan setup-ec2`."""
    parser.add_argument(
        "scenario",
        type=Path,
        nargs="?",
        help="whose task definitions declare the host ports that are admitted; default: none are",
    )
    parser.add_argument(
        "--name", default="default", help="of all that is made: stowplan-NAME (default)"
    )
    parser.add_argument("--vpc", default="", help="of the security group; default: the default VPC")
    parser.add_argument(
        "--admit", default="", metavar="CIDR", help="who may call the ports; default: the VPC"
    )
    parser.add_argument(
        "--retention", type=int, default=7, metavar="DAYS", help="of the log group (7)"
    )
    parser.add_argument("--yes", action="store_true", help="do it; default: say what would be done")
    parser.add_argument("--remove", action="store_true", help="remove it all, with --yes")
    add_account_arguments(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """List what there is and what lacks; with `--yes` make it, or remove it."""
    from stowplan.realdriver.aws.setup import Setup

    _check(arguments)
    ports = [] if arguments.scenario is None else list(_declared(arguments.scenario))
    setup = Setup(
        account_of(arguments),
        arguments.name,
        arguments.vpc,
        ports,
        arguments.admit,
        arguments.retention,
    )
    pieces = setup.pieces()
    for piece in pieces:
        state = "is there" if piece.there else "is not there"
        print(f"{piece.kind} {piece.name}: {state}" + (f", {piece.lacks}" * bool(piece.lacks)))
    if arguments.remove:
        todo = [piece for piece in pieces if piece.there]
    else:
        todo = [piece for piece in pieces if not piece.there or piece.lacks]
    if not arguments.yes:
        verb = "removed" if arguments.remove else "made"
        print(f"nothing was changed; with --yes {len(todo)} of them are {verb}")
        return 0
    if arguments.remove:
        setup.remove(print)
    else:
        setup.make(print)
        print(f'in the file of --aws: instance_profile = "{setup.name}"')
    return 0


def _check(arguments: argparse.Namespace) -> None:
    problems = []
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,48}", arguments.name):
        problems.append(("--name", "letters, digits, - and _, at most 48"))
    if arguments.admit:
        try:
            ip_network(arguments.admit)
        except ValueError as error:
            problems.append(("--admit", str(error)))
    if problems:
        raise SpecError(problems)


def _declared(path: Path) -> Iterable[Port]:
    """The host ports that tasks of a scenario reserve, tcp first, each once."""
    from stowplan.experiments.loading.load import load_scenario
    from stowplan.placement.taskdef.parse import host_ports, parse_task_definition
    from stowplan.realdriver.aws.setup import Port

    found: list[Port] = []
    for name, document in load_scenario(path).scenario.task_definitions.items():
        tcp, udp = host_ports(parse_task_definition(document, name))
        found += [Port(number) for number in tcp] + [Port(number, "udp") for number in udp]
    return sorted(dict.fromkeys(found), key=lambda port: (port.protocol, port.number))
