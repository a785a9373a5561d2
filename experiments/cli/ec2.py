"""`stowplan run --driver ec2`: says what would be launched and what it costs, and asks."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from stowplan.experiments.runs.ec2 import Ec2Platform
    from stowplan.placement.scenario.capacity import CapacityProviderTable
    from stowplan.placement.scenario.scenario import Scenario
    from stowplan.realdriver.ec2.bill import Limits
    from stowplan.realdriver.ec2.config import AwsTable

_MARGIN_H = 0.5  # beside the scenario's own duration, where nobody says how long it may take


def add_ec2_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `--driver ec2`."""
    add = parser.add_argument
    add("--aws", type=Path, help="TOML file of --driver ec2: subnets, profile, market, ...")
    add("--region", help="AWS's region; default: that of your AWS configuration")
    add("--profile", help="of your AWS credentials")
    add("--control", choices=["ecs", "own"], default="ecs", help="the agents' control plane (ecs)")
    add("--max-usd", type=_positive, help="end the run before it has cost so many dollars")
    add("--max-hours", type=_positive, help="end it before so many hours, its time apart")
    add("--no-switch", action="store_true", help="no dead man's switch: a killed run costs on")
    add("--dry-run", action="store_true", help="say the plan, prove the rights, start nothing")
    add("--yes", action="store_true", help="do not ask before anything is launched")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def ec2_table(arguments: argparse.Namespace) -> AwsTable:
    """The settings, from the file and the command line."""
    from stowplan.experiments.loading.aws_file import load_aws

    table = load_aws(arguments.aws, region=arguments.region, profile=arguments.profile)
    if arguments.control == "own" and table.own is None:
        what = "needs a table [own] in the file of --aws: the url of your `stowplan serve`"
        raise SpecError([("--control own", what)])
    return table if arguments.control == "own" else table.model_copy(update={"own": None})


def ec2_platform(
    arguments: argparse.Namespace, cluster: str, scenario: Scenario, *, taken_up: bool
) -> Ec2Platform | None:
    """The platform of a run, once its plan was shown and agreed to; None: it was not.

    Args:
        taken_up: the run was begun before: it was agreed to then, and its journal has the limits.
    """
    from stowplan.experiments.runs import ec2
    from stowplan.experiments.runs.real import say
    from stowplan.placement.scenario.scenario import instance_specs
    from stowplan.realdriver.aws.clients import Account

    table = ec2_table(arguments)
    account = Account(table.access, say)
    table = table.model_copy(update={"region": account.region})
    limits = _limits(arguments, table, scenario)
    if taken_up:
        return ec2.Ec2Platform(table, limits(({}, "")), cluster, account)
    specs = [] if table.existing else instance_specs(scenario)
    kinds = [k for each in scenario.capacity_provider for k in each.instance_types]
    found = limits(ec2.fleet_prices(account, table, specs, kinds))
    plan = ec2.plan(specs, table, found, account.region)
    print("\n".join(("what will be launched", *plan.lines)), file=sys.stderr)
    for provider in scenario.capacity_provider:
        group, most = table.groups[provider.name], provider.max_size
        words = f"  and up to {most} instances by the Auto Scaling group {group}"
        print(f"{words}: {_dearest(provider, table, found):g} $ an hour more", file=sys.stderr)
        if provider.managed_termination_protection and found.switch:
            what = "what is protected from scale-in, a killed run leaves until `stowplan down`"
            print(f"  note: {group}: {what}", file=sys.stderr)
    _check_money(plan.usd_hour, found)
    machines = ec2.machines_of(account, table, cluster, "0" * 32)
    proven = ec2.check_rights(account, table, machines, specs, found)
    if arguments.dry_run:
        print("\n".join(proven))
        return None
    if not arguments.yes and not _agreed():
        return None
    return ec2.Ec2Platform(table, found, cluster, account)


def _dearest(provider: CapacityProviderTable, table: AwsTable, limits: Limits) -> float:
    """Dollars an hour of a group as large as it may be, of its dearest type."""
    prices = (limits.price(kind, table.market) for kind in provider.instance_types)
    return provider.max_size * max(prices) / 1e6


def _limits(
    arguments: argparse.Namespace, table: AwsTable, scenario: Scenario
) -> Callable[[tuple[dict[str, int], str]], Limits]:
    """What a run may take, once prices are known."""
    from stowplan.realdriver.ec2.bill import Limits

    hours = arguments.max_hours
    if hours is None and not arguments.forever:
        hours = scenario.duration / 3_600_000 + _MARGIN_H
    if hours is None and arguments.max_usd is None:
        what = "a run --forever on EC2 needs --max-hours or --max-usd"
        raise SpecError([("--forever", what)])
    reserve_s = table.shutdown / 1000

    def made(priced: tuple[dict[str, int], str]) -> Limits:
        switch = not arguments.no_switch and not table.existing
        return Limits(time.time(), reserve_s, *priced, arguments.max_usd, hours, switch)

    return made


def _check_money(usd_hour: float, limits: Limits) -> None:
    """Refuse limits that leave no time to run.

    Raises:
        SpecError: so it is.
    """
    least = usd_hour * max(60, limits.reserve_s) / 3600
    if limits.max_usd is not None and least >= limits.max_usd:
        what = f"launching and ending this fleet alone may cost {least:.4f} $"
        raise SpecError([(f"--max-usd {limits.max_usd:g}", what)])
    if limits.max_hours is not None and limits.max_hours * 3600 <= limits.reserve_s:
        what = f"ending a run may take {limits.reserve_s:g} s (`shutdown` in the file of --aws)"
        raise SpecError([(f"--max-hours {limits.max_hours:g}", what)])


def _agreed() -> bool:
    if not sys.stdin.isatty():
        what = "nobody is there to be asked: --yes says that this is meant"
        raise SpecError([("run --driver ec2", what)])
    print("launch it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
