"""`stowplan iam-policy`: the least IAM policy that a command needs, as listed beside its calls."""

from __future__ import annotations

import argparse
import importlib
import json
import re
from collections.abc import Sequence

from stowplan.placement.errors import SpecError

# Command -> where the rights for the calls that it makes are: module and name.
CALLING = {
    "snapshot": ("stowplan.realdriver.aws.cluster_calls", "RIGHTS"),
    "apply": ("stowplan.realdriver.aws.moves", "RIGHTS"),
    "setup-ec2": ("stowplan.realdriver.aws.setup", "RIGHTS"),
    "run": ("stowplan.realdriver.ec2.rights", "RUN"),
    "down": ("stowplan.realdriver.ec2.rights", "DOWN"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan iam-policy`."""
    parser.add_argument(
        "of",
        metavar="COMMAND",
        choices=CALLING,
        help="snapshot, apply, setup-ec2, or of --driver ec2: run, down",
    )
    parser.add_argument("--cluster", default="*", help="for this cluster alone; default: any")
    parser.add_argument("--region", default="*", help="in this region alone; default: any")
    parser.add_argument("--account", default="*", help="twelve digits; default: any")
    parser.add_argument("--partition", default="aws", help="aws, aws-cn or aws-us-gov (aws)")
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the policy."""
    from stowplan.realdriver.aws.rights import Right, policy

    if not re.fullmatch(r"\d{12}|\*", arguments.account):
        raise SpecError([("--account", f"{arguments.account}: expected twelve digits")])
    module, name = CALLING[arguments.of]
    rights: Sequence[Right] = getattr(importlib.import_module(module), name)
    names = {key: getattr(arguments, key) for key in ("partition", "region", "account", "cluster")}
    print(json.dumps(policy(rights, names), indent=2))
    return 0
