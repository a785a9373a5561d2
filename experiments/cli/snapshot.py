"""`stowplan snapshot`: a real ECS cluster, read by describe calls, becomes a scenario.

It is `stowplan import` with the calls made for you: what AWS answers is kept in the folder, and the
same reader reads it from there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from stowplan.experiments.loading.aws_definitions import without_values
from stowplan.experiments.loading.aws_import import import_cluster
from stowplan.placement.errors import SpecError
from stowplan.placement.units import parse_duration_ms

if TYPE_CHECKING:
    from stowplan.realdriver.aws.clients import Account

ABOUT, SCENARIO, ANSWERS = "snapshot.json", "scenario.toml", "answers"
# Services that a cluster is read from, besides ECS; an endpoint may lack them.
_LACKING = {
    "ec2": "EC2 instances",
    "autoscaling": "Auto Scaling groups",
    "elbv2": "target groups",
}
_OTHERS = ("iam", "logs", "sts")  # that other commands call


def add_account_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose account, and where: for every command that calls AWS."""
    parser.add_argument("--region", help="default: as the AWS CLI finds it")
    parser.add_argument("--profile", help="of the AWS CLI's configuration")
    parser.add_argument(
        "--endpoint-url", metavar="URL", help="call this in place of AWS, for every service"
    )


def account_of(arguments: argparse.Namespace) -> Account:
    """The account that the arguments name.

    Raises:
        SpecError: no address. DriverError: no region, or no such profile.
    """
    from stowplan.realdriver.aws.clients import Access, Account

    url: str | None = arguments.endpoint_url
    if url is not None and not url.startswith(("http://", "https://")):
        raise SpecError([("--endpoint-url", f"{url}: not the address of an endpoint")])
    endpoints = {} if url is None else dict.fromkeys(("ecs", *_LACKING, *_OTHERS), url)
    access = Access(arguments.region, arguments.profile, endpoints, credentials_s=0.0)
    return Account(access, lambda text: print(f"stowplan: {text}", file=sys.stderr))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan snapshot`."""
    parser.add_argument("--cluster", required=True, help="its name")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--duration", default="1h", help="of the scenario's runs (default: 1h)")
    parser.add_argument(
        "--with-environment",
        action="store_true",
        help="keep values of variables, secrets, labels, tags and log options, and ARNs",
    )
    add_account_arguments(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Read the cluster, and write the folder: whole, or not at all."""
    from stowplan.experiments.cli.import_cluster import say, write
    from stowplan.experiments.record.output import output_folder

    try:
        parse_duration_ms(arguments.duration)
    except ValueError as error:
        raise SpecError([("--duration", str(error))]) from None
    out: Path = arguments.out
    account = account_of(arguments)
    with output_folder(out) as folder:
        about = _read(account, arguments, folder / ANSWERS)
        draft = import_cluster([folder / ANSWERS], arguments.cluster, arguments.with_environment)
        definitions = folder / f"{Path(SCENARIO).stem}-taskdefs"
        loaded = write(draft, folder / SCENARIO, definitions, arguments.duration)
        (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    say(loaded, draft, out / SCENARIO, arguments.with_environment)
    print(f"{about['calls']} calls in {about['seconds']} s")
    return 0


def _read(account: Account, arguments: argparse.Namespace, answers: Path) -> dict[str, Any]:
    """Make the calls, and keep what they answer; what is to be known of them afterwards."""
    from stowplan.realdriver.aws.cluster_calls import ClusterCalls

    answers.mkdir()
    start_s, at = time.monotonic(), datetime.now(UTC)
    with ExitStack() as stack:
        files: dict[str, IO[str]] = {}

        def keep(kind: str, answer: dict[str, Any]) -> None:
            if kind not in files:
                path = answers / f"{kind}.json"
                files[kind] = stack.enter_context(path.open("w", encoding="utf-8"))
            kept = answer if arguments.with_environment else without_values(answer)
            json.dump(kept, files[kind], default=_plain)
            files[kind].write("\n")

        elsewhere = arguments.endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
        calls = ClusterCalls(account, arguments.cluster, keep, elsewhere=bool(elsewhere))
        calls.read()
    for service in dict.fromkeys(calls.passed_over):
        what = f"note: {elsewhere} has no {_LACKING[service]}"
        print(what, file=sys.stderr)
    return {
        "cluster": arguments.cluster,
        "region": account.region,
        "at": at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - start_s, 1),
        "calls": calls.calls,
        "with_environment": arguments.with_environment,
    }


def _plain(value: Any) -> Any:
    """What JSON has no words for, as the AWS CLI prints it."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} in an answer of AWS")
