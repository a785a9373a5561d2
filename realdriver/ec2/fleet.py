"""The instances of a run on EC2: launched, registered, counted on, given up.

What a look shows is compared with what the book says. Instances register with the scheduler in the
order of the scenario, however their agents come, so decisions are those of the same scenario in
simulation.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from msgspec.structs import replace

from stowplan.placement import messages as m
from stowplan.placement.driver import DriverError
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, GPU, INSTANCE_TYPE, MEMORY
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.realdriver.book import Book
from stowplan.realdriver.ec2.bill import Bill, Limits
from stowplan.realdriver.ec2.config import AwsTable
from stowplan.realdriver.ec2.control import Control, Document
from stowplan.realdriver.ec2.groups import Groups
from stowplan.realdriver.ec2.launch import Launched, Launcher, Notes
from stowplan.realdriver.ec2.machines import Machines
from stowplan.realdriver.ec2.queue import InstanceEvent, Queue, TaskEvent
from stowplan.realdriver.ec2.reports import registration, remaining
from stowplan.realdriver.ec2.tasks import NotStarted, Started, TaskBoard
from stowplan.realdriver.ec2.watch import Blind, Look, Say, Watch

_WORKERS = 8
_NOT_OURS = {CPU, MEMORY, GPU}  # resources that the agent registers itself


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: its cluster, its identity, and whose machines and tasks are called."""

    cluster: str
    run: str
    machines: Machines
    control: Control


class Ec2Fleet:
    """Every instance of a run; see `Ec2Driver` for the arguments."""

    def __init__(
        self,
        slots: Sequence[InstanceSpec],
        table: AwsTable,
        place: Place,
        limits: Limits,
        notes: Notes,
        book: Book,
        inbox: SimpleQueue[object],
        say: Say,
    ) -> None:
        self._slots, self._table, self._place = slots, table, place
        self.limits, self._book, self._say = limits, book, say
        self._pool = ThreadPoolExecutor(_WORKERS, "stowplan-aws")
        self._launcher = Launcher(
            slots, table, place.machines, place.run, limits, notes, inbox, self._pool, say
        )
        self.groups = Groups(
            *(place.control.account, table.groups, place.control.marks, table.market),
            *(limits.price, self._pool),
        )
        lease_s = table.lease / 1000 if limits.switch else None
        self._watch = Watch(
            place.machines,
            place.control,
            self.groups,
            inbox,
            table.look_every / 1000,
            lease_s,
            limits.ends_s,
        )
        self.tasks = TaskBoard(
            *(place.control, book, place.run, inbox, self._pool),
            *(self._arn, self._document, table.settle / 1000),
        )
        self._queue = None
        if table.queue is not None:
            self._queue = Queue(place.control.account, table.queue, place.control.name, inbox)
        self._arns: dict[int, str] = {}  # instance -> ARN
        self._draining: set[int] = set()
        self._connected: dict[int, bool] = {}
        self._known: dict[str, int] = {}  # EC2 id -> instance
        self._waiting: dict[str, Document] = {}  # EC2 id -> its container instance, not told yet
        self._drains: list[tuple[int, int]] = []  # until when, which task
        self._events: list[m.Event] = []
        self._begun_s = time.monotonic()
        self._looked = False
        self.ready = False
        self.over = ""

    # --- for the driver ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to look, and take up what the book knows."""
        for number, entry in enumerate(self._book.instances):
            self._connected[number] = entry.connected
            if not entry.gone:
                self._known[entry.name] = number
        self._launcher.resume()
        if self._table.groups:
            self.groups.begin()
        for task in self._book.tasks:
            self.stop((task,), 0)
        self._watch.start()
        if self._queue is not None:
            self._queue.start()

    @property
    def idle(self) -> bool:
        """Whether no task runs and no instance is awaited."""
        return not self._book.tasks and not self._launcher.under_way and not self._missing()

    def start(self, tasks: Iterable[int], now_ms: int) -> None:
        """Start tasks that the book knows."""
        if self.ready:
            self.tasks.start(tasks)
            self._watch.soon()

    def stop(self, tasks: Iterable[int], now_ms: int) -> None:
        """Stop tasks as the book says: once their targets have drained."""
        for task in tasks:
            entry = self._book.tasks.get(task)
            if entry is None or entry.stop is None:
                continue
            if entry.drains_until_ms > now_ms:
                heapq.heappush(self._drains, (entry.drains_until_ms, task))
            else:
                self.tasks.stop((task,))
                self._watch.soon()

    def end(self, task: int) -> None:
        """A task's time is over."""
        if task in self._book.tasks:
            self.tasks.end(task)
            self._watch.soon()

    def due(self, now_ms: int) -> list[m.Event]:
        """The events until now."""
        while self._drains and self._drains[0][0] <= now_ms:
            self.stop((heapq.heappop(self._drains)[1],), now_ms)
        if self.ready:
            self._launch(now_ms)
        self._check_limits()
        events, self._events = [*self._events, *self.tasks.events], []
        self.tasks.events = []
        return events

    @property
    def deadline_ms(self) -> int | None:
        """When `due` has work even if nothing is heard."""
        times = [self._slots[slot].at_ms for slot in self._missing()]
        times += [self._drains[0][0]] if self._drains else []
        return min(times, default=None)

    def close(self) -> None:
        """Let go; what runs goes on, until the dead man's switch ends it."""
        self._watch.close()
        if self._queue is not None:
            self._queue.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def bill(self) -> Bill:
        """What it has cost."""
        return self._launcher.bill

    def abandon(self) -> None:
        """The run cannot begin: what was launched for it is terminated, once every launch that
        goes on has been answered."""
        self._watch.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with suppress(DriverError):  # else the switch ends them
            found = self._place.machines.instances()
            ids = [each.id for each in found if each.ours and not each.gone]
            self._place.machines.terminate(ids)
            if ids:
                self._say(f"terminated what had been launched: {', '.join(ids)}")

    def settle(self) -> None:
        """Look once more at what was launched, when all of it is gone: the bill is final."""
        self._launcher.see(self._place.machines.instances(), time.time())

    def _check_limits(self) -> None:
        if not self.over:
            self.over = self._launcher.bill.over(self.limits, time.time())
            if self.over:
                self._say(f"the run is ended: {self.over}")

    # --- what is heard ----------------------------------------------------------------------------

    def hear(self, word: object, now_ms: int) -> None:
        """Take in what a worker put into the inbox. Raises what a worker could not handle."""
        match word:
            case Look():
                self._look(word)
            case Blind():
                self._say(f"not seen: {word.why}")
            case Launched():
                self._launcher.launched(word)
                self._begun_s = time.monotonic()
                self._launch(now_ms)
                self._watch.soon()
            case Started():
                self.tasks.started(word)
                self._watch.soon()
            case NotStarted():
                if word.again or word.unsure:
                    self._say(word.why)
                self.tasks.not_started(word)
            case TaskEvent():
                if self.ready:  # else the first look has it
                    self.tasks.see(word.document)
            case InstanceEvent():
                self._watch.soon()
            case Exception():
                raise word
        self._check_limits()

    def _look(self, look: Look) -> None:
        now_s = time.time()
        self._launcher.see(look.machines, now_s)
        self._events += self.groups.see(look.groups)
        gone = {each.id for each in look.machines if each.gone}
        instances = {
            each["ec2InstanceId"]: each
            for each in look.instances
            if each.get("ec2InstanceId") and each["status"] in ("ACTIVE", "DRAINING")
        }
        self._give_up(instances, gone)
        self._see_instances(instances, gone)
        self._looked = True
        self._get_ready()
        if self.ready:
            self._register()
            self.tasks.look(look.tasks, look.begun_s)
            self._watch.known = self.tasks.ended

    def _give_up(self, instances: dict[str, Document], gone: set[str]) -> None:
        """Instances that are not there any more."""
        for identity, number in list(self._known.items()):
            there = instances.get(identity)
            replaced = (
                there is not None
                and number in self._arns
                and self._arns[number] != there["containerInstanceArn"]
            )
            if there is not None and identity not in gone and not replaced:
                continue
            if identity in gone and there is not None:
                self._pool.submit(self._deregister, there["containerInstanceArn"])
            del self._known[identity]
            self._arns.pop(number, None)
            self.tasks.forget(entry.number for entry in self._book.on((number,)))
            why = "terminated" if identity in gone else "deregistered"
            self._say(f"instance {identity} is gone: {why}")
            self._events.append(m.InstancesGone((number,), why))

    def _deregister(self, arn: str) -> None:
        with suppress(DriverError):  # the next look tries again
            self._place.control.deregister(arn)

    def _see_instances(self, instances: dict[str, Document], gone: set[str]) -> None:
        for identity, document in instances.items():
            if identity in gone:
                continue
            number = self._known.get(identity)
            if number is None:
                ours = identity in self._launcher.slot_of or identity in self.groups.provider_of
                if ours or self._table.existing:
                    self._waiting[identity] = document
                continue
            self._arns[number] = document["containerInstanceArn"]
            connected = bool(document.get("agentConnected", True))
            if self._connected.get(number, True) is not connected:
                self._connected[number] = connected
                self._events.append(m.AgentConnectionChanged((number,), connected))
            self._see_draining(number, document["status"])

    def _see_draining(self, number: int, status: str) -> None:
        """Somebody drains it at the control plane: an agent that was told of a spot interruption,
        or a person."""
        draining = status == "DRAINING"
        if draining is not (number in self._draining):
            self._draining ^= {number}
            self._events.append(m.UpdateContainerInstancesState((number,), status))

    # --- launching and registering ----------------------------------------------------------------

    def _missing(self) -> list[int]:
        """Slots that were never launched."""
        if self._table.existing:
            return []
        launcher = self._launcher
        taken = {slot for batch in launcher.batches.values() for slot in launcher.of(batch)}
        return [n for n in range(len(self._slots)) if n not in taken | launcher.abandoned.keys()]

    def _launch(self, now_ms: int) -> None:
        if self.over or not self._looked:
            return
        due = [slot for slot in self._missing() if self._slots[slot].at_ms <= now_ms]
        if due:
            self._launcher.launch(due)

    def _get_ready(self) -> None:
        """The run begins once the first instances have registered, or their time is over."""
        if self.ready:
            return
        self._launch(0)
        if self._table.existing:
            self.ready = bool(self._waiting or self._known or self._table.groups)
        else:
            first = [n for n, spec in enumerate(self._slots) if spec.at_ms <= 0]
            there = {self._launcher.slot_of.get(each) for each in (*self._waiting, *self._known)}
            awaited = [n for n in first if n not in there and n not in self._launcher.abandoned]
            self.ready = not awaited or bool(self._book.instances)  # or it was ready before
        late = time.monotonic() - self._begun_s > self._table.register_within / 1000
        late = late and not self._launcher.under_way
        if not self.ready and late:
            self._late()
            self.ready = True
        some = self._waiting or self._known or self._book.instances or self._table.groups
        if self.ready and not some:
            self.ready = False
            raise DriverError("there is no instance to run anything on")

    def _late(self) -> None:
        """What has not registered is terminated: it would only cost."""
        ids = [each for each in self._launcher.slot_of if each not in self._waiting]
        ids = [each for each in ids if each not in self._known]
        within_s = self._table.register_within // 1000
        self._say(
            f"{len(ids)} instances did not register within {within_s} s and are terminated: is "
            "there a way from their subnet to the control plane, and has their role the policy "
            "AmazonEC2ContainerServiceforEC2Role?"
        )
        self._pool.submit(self._terminate, ids)

    def _terminate(self, ids: list[str]) -> None:
        with suppress(DriverError):
            self._place.machines.terminate(ids)

    def _register(self) -> None:
        """Tell of instances that have come, in the order of the scenario."""
        slot_of = self._launcher.slot_of
        for identity in sorted(self._waiting, key=lambda each: (slot_of.get(each, 0), each)):
            document, number = self._waiting.pop(identity), self._next_number()
            self._known[identity] = number
            self._arns[number] = document["containerInstanceArn"]
            self._events.append(self._registration(number, identity, document))

    def _next_number(self) -> int:
        told = (e.instance for e in self._events if isinstance(e, m.InstanceRegistered))
        return max([*told, len(self._book.instances) - 1], default=-1) + 1

    def _registration(self, number: int, identity: str, document: Document) -> m.InstanceRegistered:
        slot = self._launcher.slot_of.get(identity)
        provider = self.groups.provider_of.get(identity)
        if provider is not None:
            line = self._launcher.bill.lines.get(identity)
            price = 0 if line is None else line.microusd_hour
            event = registration(number, document, {}, price, "")
            return replace(event, capacity_provider=provider)
        if slot is None:
            attributes = {a["name"]: a.get("value", "") for a in document["attributes"]}
            kind = attributes.get(INSTANCE_TYPE, "")
            price = self.limits.price(kind, self._table.market)
            event = registration(number, document, {}, price, "")
            left = remaining(document)
            return replace(event, resources={**event.resources, **left})
        spec = self._slots[slot]
        line = self._launcher.bill.lines.get(identity)
        price = spec.price_microusd_hour if line is None else line.microusd_hour
        more = {name: n for name, n in spec.resources.items() if name not in _NOT_OURS}
        zone = spec.attributes[AVAILABILITY_ZONE] if self._table.zones else ""
        return registration(number, document, more, price, zone)

    # --- small things -----------------------------------------------------------------------------

    def _arn(self, number: int) -> str | None:
        return self._arns.get(number)

    def _document(self, name: str) -> Mapping[str, Any]:
        return self._book.definitions.definition(name).document
