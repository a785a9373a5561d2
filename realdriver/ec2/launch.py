"""Instances of ours: launched where there is room, each launch once, each instance in the bill.

A launch is written down before it is asked for, with its token, so that after a crash the same call
is made again and EC2 knows it. Where a zone or a type has no room, the next is asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

import msgspec

from stowplan.placement.driver import DriverError, InsufficientCapacity
from stowplan.placement.model import AVAILABILITY_ZONE, CPU_ARCHITECTURE, GPU, INSTANCE_TYPE
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.realdriver.ec2.bill import Bill, Limits, Line
from stowplan.realdriver.ec2.config import AwsTable
from stowplan.realdriver.ec2.machines import Batch, Ec2Instance, Machines, batches_of
from stowplan.realdriver.ec2.watch import Say, lease_until

_BATCH, _LINE = "launch/", "bill/"


class Notes(Protocol):
    """What a driver keeps beside the rounds; on disk when `keep` returns."""

    def keep(self, key: str, body: bytes) -> None:
        """Keep it, in place of what had that key."""
        ...

    def kept(self, prefix: str) -> dict[str, bytes]:
        """All whose keys begin so."""
        ...


@dataclass(frozen=True, slots=True)
class Launched:
    """What came of a batch: ids, or no room for any of it, and why."""

    batch: Batch
    ids: tuple[str, ...]
    why: str = ""


class Drafts:
    """What launches say: images, subnets and tags by type and zone.

    Args:
        slots: the scenario's instances, by number.
    """

    def __init__(
        self, slots: Sequence[InstanceSpec], table: AwsTable, machines: Machines, limits: Limits
    ) -> None:
        self._slots, self._table = slots, table
        self._machines, self._limits = machines, limits
        self._subnets: Mapping[str, tuple[str, ...]] = {}
        self._images: dict[tuple[str, bool], str] = {}

    def zone(self, spec: InstanceSpec) -> str:
        """AWS's zone of an instance."""
        return self._table.zone(spec.attributes[AVAILABILITY_ZONE])

    def zones(self) -> Mapping[str, tuple[str, ...]]:
        """The zones that have subnets for it, with these."""
        if not self._subnets:
            self._subnets = self._machines.subnets()
        return self._subnets

    def subnets(self, zone: str) -> tuple[str, ...]:
        """The subnets of a zone.

        Raises:
            DriverError: there is none.
        """
        if zone not in self.zones():
            known = ", ".join(self.zones())
            raise DriverError(
                f"no subnet in {zone}: name one in `subnets` of the file of --aws, or say by "
                f"`zones` there which of {known} stands for it"
            )
        return self.zones()[zone]

    def batch(
        self, kind: str, zone: str, slots: tuple[int, ...], token: str, least: int = 1
    ) -> Batch:
        """The launch of some slots, `least` of them or none."""
        subnets, spec = self.subnets(zone), self._slots[slots[0]]
        about = spec.attributes.get(CPU_ARCHITECTURE, "x86_64"), bool(spec.resources.get(GPU))
        if about not in self._images:
            self._images[about] = self._machines.image(*about)
        until_s = None
        if self._limits.switch:
            lease_s = self._table.lease / 1000
            until_s = lease_until(time.time(), lease_s, self._limits.ends_s)
        return Batch(
            *(token, slots, kind, zone, subnets[slots[0] % len(subnets)]),
            *(self._images[about], self._table.market, until_s, least),
        )


class Launcher:
    """Launches the slots of a fleet. All but calls is done by the driver's thread.

    Args:
        slots: the scenario's instances, by number.
        subnets: ids by AWS's zone.
    """

    def __init__(
        self,
        slots: Sequence[InstanceSpec],
        table: AwsTable,
        machines: Machines,
        run: str,
        limits: Limits,
        notes: Notes,
        inbox: SimpleQueue[object],
        pool: ThreadPoolExecutor,
        say: Say,
    ) -> None:
        self._run = run
        self._slots, self._table, self._machines = slots, table, machines
        self._limits, self._notes, self._inbox = limits, notes, inbox
        self._pool, self._say = pool, say
        self._drafts = Drafts(slots, table, machines, limits)
        self._failed: dict[int, list[tuple[str, str]]] = {}  # slot -> (type, zone) without room
        self.abandoned: dict[int, str] = {}  # slots that nobody has room for, and why
        kept = (msgspec.json.decode(body, type=Batch) for body in notes.kept(_BATCH).values())
        self.batches = {batch.token: batch for batch in kept}
        lines = (msgspec.json.decode(body, type=Line) for body in notes.kept(_LINE).values())
        self.bill = Bill({line.id: line for line in lines})
        self.slot_of: dict[str, int] = {}
        for batch in self.batches.values():
            self._take(batch)

    def resume(self) -> None:
        """Ask once more for what was asked for when the last process ended."""
        for batch in self.batches.values():
            if batch.ids is None:
                self._pool.submit(self._ask, batch)

    def launch(self, slots: Iterable[int]) -> None:
        """Launch the slots that were not, each where there may be room."""
        taken = {slot for batch in self.batches.values() for slot in self.of(batch)}
        wanted: dict[tuple[str, str], list[int]] = {}
        for slot in slots:
            if slot in taken or slot in self.abandoned:
                continue
            where = self._where(slot)
            if where is None:
                tried = ", ".join(f"{kind} in {zone}" for kind, zone in self._failed[slot])
                self.abandoned[slot] = f"no room for {self._slots[slot].name}: tried {tried}"
                self._say(self.abandoned[slot])
            else:
                wanted.setdefault(where, []).append(slot)
        for (kind, zone), all_of_them in wanted.items():
            for some in batches_of(all_of_them):
                self._begin(kind, zone, some, len(some))

    def of(self, batch: Batch) -> tuple[int, ...]:
        """The slots that a batch has, or may have."""
        return batch.slots if batch.ids is None else batch.slots[: len(batch.ids)]

    def _where(self, slot: int) -> tuple[str, str] | None:
        """The type and zone to ask next: its own zone, other zones, then other types."""
        spec = self._slots[slot]
        kind, home = spec.attributes[INSTANCE_TYPE], self._drafts.zone(spec)
        self._drafts.subnets(home)  # it must have one
        zones = dict.fromkeys([home, *(self._drafts.zone(each) for each in self._slots)])
        for name in (kind, *self._table.alternatives.get(kind, ())):
            for zone in zones:
                if (name, zone) not in self._failed.get(slot, ()) and zone in self._drafts.zones():
                    return name, zone
        return None

    def _begin(self, kind: str, zone: str, slots: tuple[int, ...], least: int) -> None:
        token = f"{self._run[:12]}-{len(self.batches)}"
        batch = self._drafts.batch(kind, zone, slots, token, least)
        self._keep(batch)
        self._pool.submit(self._ask, batch)

    def _keep(self, batch: Batch) -> None:
        self.batches[batch.token] = batch
        self._notes.keep(f"{_BATCH}{batch.token}", msgspec.json.encode(batch))

    def _ask(self, batch: Batch) -> None:
        """In a worker."""
        try:
            self._inbox.put(Launched(batch, self._machines.launch(batch)))
        except InsufficientCapacity as error:
            self._inbox.put(Launched(batch, (), str(error)))
        except Exception as error:
            self._inbox.put(error)

    def launched(self, word: Launched) -> None:
        """Take in what came of a batch."""
        if word.why:
            self._say(word.why)
        batch = msgspec.structs.replace(word.batch, ids=word.ids)
        self._keep(batch)
        self._take(batch)
        if not batch.ids and batch.least > 1:  # not for all of them: then for some
            self._begin(batch.instance_type, batch.zone, batch.slots, 1)

    def _take(self, batch: Batch) -> None:
        """Which instance is whose, and who has none yet, from an answer."""
        if batch.ids is not None:
            self.slot_of.update(zip(batch.ids, batch.slots, strict=False))
            for slot in batch.slots[len(batch.ids) :] if batch.ids or batch.least == 1 else ():
                self._failed.setdefault(slot, []).append((batch.instance_type, batch.zone))

    def see(self, found: Iterable[Ec2Instance], now_s: float) -> None:
        """Instances as EC2 describes them: they go into the bill."""
        for each in found:
            price = self._limits.price(each.instance_type, each.market)
            line = Line(each.id, each.instance_type, each.zone, each.market, price, each.launched_s)
            after = self.bill.take(line, now_s, gone=each.gone)
            if after is not None:
                self._notes.keep(f"{_LINE}{each.id}", msgspec.json.encode(after))

    @property
    def under_way(self) -> bool:
        """Whether a launch has not been answered yet."""
        return any(batch.ids is None for batch in self.batches.values())
