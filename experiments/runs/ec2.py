"""Amazon EC2 as what a scenario runs on: what it would cost, what it may cost, and the run."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stowplan.experiments.loading.catalogue import (
    HOME_DATE,
    HOME_REGION,
    REGIONS_DATE,
    Catalogue,
    regions,
)
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.real import RunOrder, counted, say
from stowplan.placement.callers.callers import Callers
from stowplan.placement.driver import DriverError
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.model import AVAILABILITY_ZONE, INSTANCE_TYPE
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.placement.scenario.scenario import Scenario, instance_specs
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.ec2 import prices, tags
from stowplan.realdriver.ec2.backend import Ec2Backend, remove_all
from stowplan.realdriver.ec2.bill import Limits
from stowplan.realdriver.ec2.config import AWS, LIMITS, AwsTable
from stowplan.realdriver.ec2.control import Control
from stowplan.realdriver.ec2.driver import Ec2Driver
from stowplan.realdriver.ec2.fleet import Ec2Fleet, Place
from stowplan.realdriver.ec2.launch import Drafts
from stowplan.realdriver.ec2.machines import Machines
from stowplan.realdriver.journal import DurableJournal

_NOT_IN_IT = "disks, public addresses, traffic, surplus CPU credits"


@dataclass(frozen=True)
class Ec2Platform:
    """See `real.Platform`.

    Args:
        limits: of a run that begins now; one that is taken up has those of its journal.
        cluster: the run's.
    """

    table: AwsTable
    limits: Limits
    cluster: str
    account: Account
    name: str = "ec2"
    _drivers: list[Ec2Driver] = field(default_factory=list)  # the one that was made

    @property
    def words(self) -> str:
        """Where."""
        own = self.table.own
        control = "Amazon ECS" if own is None else own.url
        return f"EC2, with {control} as its agents' control plane"

    def specs(self, scenario: Scenario) -> Sequence[InstanceSpec]:
        """The scenario's fleet."""
        return instance_specs(scenario)

    def facts(self, scenario: Scenario) -> dict[str, str]:
        """Settings and limits; credentials are in neither."""
        return {
            AWS: self.table.model_dump_json(),
            LIMITS: msgspec.json.encode(self.limits).decode(),
        }

    def digest(self) -> list[str]:
        """Which control plane, and whether its instances are launched."""
        own = "" if self.table.own is None else self.table.own.url
        return [str(self.table.region), self.ecs_cluster, own, str(self.table.existing)]

    @property
    def ecs_cluster(self) -> str:
        """The name of the ECS cluster."""
        return self.table.ecs_cluster or tags.ecs_cluster(self.cluster)

    def said(self, loaded: Loaded) -> Sequence[str]:
        """Nothing: the plan was shown."""
        return ()

    def check(self, cluster: str, run: str, down: str) -> None:
        """See `real.Platform`."""
        others = Ec2Backend(self.table, self.account).leftovers(cluster, None, reachable_only=False)
        others = others.without(run)
        if others.count:
            what = f"another run's {others.summary} are in this account"
            cure = f"remove them by `{down}`, or name another"
            raise SpecError([(f"cluster {cluster}", f"{what}; {cure}")])

    def driver(
        self, order: RunOrder, header: Header, callers: Callers, journal: DurableJournal
    ) -> Ec2Driver:
        """See `real.Platform`."""
        run = header.run["id"]
        account = self.account
        control = Control(account, self.ecs_cluster, self.cluster, run)
        control.ensure(make=self.table.ecs_cluster is None)
        services, others = control.others()
        if services or others:
            say(f"{counted(services, 'service')} and {counted(others, 'task')} of others in "
                f"{self.ecs_cluster} are left alone")  # fmt: skip
        limits = msgspec.json.decode(header.run[LIMITS].encode(), type=Limits)
        made = Ec2Driver(
            [] if self.table.existing else instance_specs(order.scenario),
            self.table,
            Place(self.cluster, run, machines_of(account, self.table, self.cluster, run), control),
            limits,
            journal,
            until_ms=order.until_ms,
            run_ms=callers.run_ms,
            say=say,
        )
        self._drivers[:] = [made]
        return made

    def remove(self, order: RunOrder, run: str) -> None:
        """See `real.Platform`; what is there is proven by describe calls."""
        say("the run is over: stopping and terminating everything")
        within_s = self.table.shutdown / 1000
        said, took_s = remove_all(Ec2Backend(self.table, self.account), self.cluster, run, within_s)
        say(f"removed {said} within {took_s:.0f} s; describe calls find nothing more")
        for driver in self._drivers:
            driver.fleet.settle()
        for note in self.notes():
            say(note)

    def close(self) -> None:
        """Calls that wait for credentials or for their turn give up."""
        self.account.close()

    def notes(self) -> Sequence[str]:
        """What it has cost."""
        return [
            f"the bill: {each.fleet.bill.words(time.time())} ({each.fleet.limits.priced}); "
            f"not in it: {_NOT_IN_IT}"
            for each in self._drivers
        ]

    def files(self) -> Mapping[str, str]:
        """The bill."""
        return {"bill.json": bill_text(self._drivers[0].fleet)} if self._drivers else {}


def bill_text(fleet: Ec2Fleet) -> str:
    """What a run has cost, instance by instance, as JSON."""
    now_s = time.time()
    lines = sorted(fleet.bill.lines.values(), key=lambda line: (line.launched_s, line.id))
    document = {
        "usd": round(fleet.bill.usd(now_s), 6),
        "prices": fleet.limits.priced,
        "not_in_it": _NOT_IN_IT,
        "instances": [
            {
                "id": line.id,
                "instance_type": line.instance_type,
                "zone": line.zone,
                "market": line.market,
                "usd_hour": line.microusd_hour / 1e6,
                "seconds": round(line.seconds(now_s), 1),
                "usd": round(line.usd(now_s), 6),
            }
            for line in lines
        ],
    }
    return json.dumps(document, indent=2)


def machines_of(account: Account, table: AwsTable, cluster: str, run: str) -> Machines:
    """Calls about the instances of a run, with what their agents are told.

    Raises:
        SpecError: keys for agents are not in the environment.
    """
    settings = {
        "ECS_CLUSTER": table.ecs_cluster or tags.ecs_cluster(cluster),
        "ECS_ENABLE_SPOT_INSTANCE_DRAINING": "true",
        "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM": "ec2_instance",
    }
    authority, own = "", table.own
    if own is not None:
        settings |= {"ECS_BACKEND_HOST": own.url}
        if own.key_env is not None:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            missing = [(name, "not in the environment") for name in own.key_env
                       if not os.environ.get(name)]  # fmt: skip
            if missing:
                raise SpecError(missing)
            given = (os.environ[name] for name in own.key_env)
            settings |= dict(zip(names, given, strict=True))
        if own.ca is not None:
            authority = Path(own.ca).read_text()
    return Machines(account, table, cluster, run, {**settings, **table.agent}, authority)


# --- what it would cost ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be launched, and what it costs: dollars an hour, and at most; `lines` for
    people."""

    lines: tuple[str, ...]
    usd_hour: float
    usd_most: float | None


def fleet_prices(
    account: Account, table: AwsTable, specs: Sequence[InstanceSpec], more: Sequence[str] = ()
) -> tuple[dict[str, int], str]:
    """Millionths of a dollar an hour by "TYPE MARKET", and where they are from.

    Args:
        more: types that Auto Scaling groups launch.
    Raises:
        SpecError: nobody knows the price of a type.
    """
    kinds = dict.fromkeys([*(spec.attributes[INSTANCE_TYPE] for spec in specs), *more])
    types = [*kinds, *(t for k in kinds for t in table.alternatives.get(k, ()) if t not in kinds)]
    try:
        found = prices.on_demand(account, types)
        source = f"Pricing API, {time.strftime('%Y-%m-%d')}"
    except DriverError:
        found, source = _shipped(account.region, types)
    known = {f"{kind} on-demand": price for kind, price in found.items()}
    if table.market == "spot":
        try:
            now = prices.spot(account, types)
            source += "; spot prices of now"
        except DriverError:  # never more than on demand, unless somebody bids more
            now = found
            source += "; spot at the price on demand, as its own is not known"
        known |= {f"{kind} spot": price for kind, price in now.items()}
    return known, source


def _shipped(region: str, types: Sequence[str]) -> tuple[dict[str, int], str]:
    at = region if region in regions() else HOME_REGION
    table = Catalogue(at)
    unknown = [k for k in types if k not in table or not table[k].price_microusd_hour]
    if unknown:
        what = "no price is known, and the Pricing API may not be asked (pricing:GetProducts)"
        raise SpecError([(f"instance type {kind}", what) for kind in unknown])
    date = HOME_DATE if at == HOME_REGION else REGIONS_DATE
    return {k: table[k].price_microusd_hour for k in types}, f"shipped table of {date} for {at}"


def plan(specs: Sequence[InstanceSpec], table: AwsTable, limits: Limits, region: str) -> Plan:
    """What will be launched, and what that costs. Pure."""
    groups: Mapping[tuple[str, str], int] = Counter(
        (spec.attributes[INSTANCE_TYPE], table.zone(spec.attributes[AVAILABILITY_ZONE]))
        for spec in specs
    )
    by_type: dict[str, list[str]] = {}
    for (kind, zone), count in groups.items():
        by_type.setdefault(kind, []).append(f"{zone} {count}")
    lines, micros = [f"in {region} ({limits.priced}):"], 0
    for kind, zones in by_type.items():
        count = sum(n for (each, _), n in groups.items() if each == kind)
        price = limits.price(kind, table.market)
        micros += count * price
        lines.append(
            f"  {count} x {kind} {table.market} ({', '.join(zones)}) at {price / 1e6:g} $/h each"
        )
    hour = micros / 1e6
    most = None if limits.max_hours is None else hour * limits.max_hours
    if most is not None and limits.max_usd is not None:
        most = min(most, limits.max_usd)
    words = f"  {hour:.4f} $ an hour"
    if limits.max_hours is not None:
        words += f"; at most {limits.max_hours:g} h (--max-hours)"
    if limits.max_usd is not None:
        words += f"; ended before {limits.max_usd:g} $ (--max-usd)"
    if most is not None:
        words += f"; so at most {most:.2f} $"
    lines.append(f"{words}. Disks, public addresses and traffic are not in it.")
    return Plan(tuple(lines), hour, most)


def check_rights(
    account: Account,
    table: AwsTable,
    machines: Machines,
    specs: Sequence[InstanceSpec],
    limits: Limits,
) -> list[str]:
    """Prove by EC2's own DryRun that what will be asked is allowed, before anything starts.

    Returns:
        sentences about what was proven.
    Raises:
        DriverError: it is not, in one sentence with the way out.
    """
    drafts = Drafts(specs, table, machines, limits)
    proven = []
    for kind, zone, slot in _kinds(specs, table):
        machines.may_launch(drafts.batch(kind, zone, (slot,), "dry-run"))
        proven.append(f"{kind} in {zone}: may be launched")
    if limits.switch:
        subnet = next(iter(machines.subnets().values()))[0]
        machines.may_tag(subnet)
        proven.append("tags may be set: the dead man's switch works")
    return proven


def _kinds(specs: Sequence[InstanceSpec], table: AwsTable) -> list[tuple[str, str, int]]:
    found: dict[tuple[str, str], int] = {}
    for number, spec in enumerate(specs):
        kind = spec.attributes[INSTANCE_TYPE]
        found.setdefault((kind, table.zone(spec.attributes[AVAILABILITY_ZONE])), number)
    return [(kind, zone, slot) for (kind, zone), slot in found.items()]
