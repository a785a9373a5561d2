"""`stowplan iam-policy`: the least IAM policy that a command needs, as listed beside its calls."""

from __future__ import annotations

import argparse
import importlib
import json
import re

from stowplan.placement.errors import SpecError

# Command -> the modules with the calls that it makes, each with its RIGHTS.
CALLING = {
    "snapshot": ("stowplan.realdriver.aws.cluster_calls",),
    "apply": ("stowplan.realdriver.aws.moves",),
    "setup-ec2": ("stowplan.realdriver.aws.setup",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan iam-policy`."""
    parser.add_argument("of", metavar="COMMAND", choices=CALLING, help=", ".join(CALLING))
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
    rights: list[Right] = []
    for module in CALLING[arguments.of]:
        rights += importlib.import_module(module).RIGHTS
    names = {key: getattr(arguments, key) for key in ("partition", "region", "account", "cluster")}
    print(json.dumps(policy(rights, names), indent=2))
    return 0
