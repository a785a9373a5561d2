"""Simulated worlds behind an endpoint: empty ones, and that of a scenario. They may last.

With a folder for its state a cluster is the same after a kill: the scheduler replays its journal,
and the world is simulated again, which comes out the same, up to where it was.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.runs.simulate import world
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.describe import Reader
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.journal import Header, replay
from stowplan.placement.messages import InstanceRegistered, RegisterTaskDefinition, Round
from stowplan.placement.scenario.scenario import FleetGroup, InstanceSpec, instance_spec
from stowplan.placement.scenario.words import did_you_mean
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.wire.world import Machine
from stowplan.realdriver.endpoint.host import World
from stowplan.realdriver.journal import DurableJournal
from stowplan.sim.driver import SimDriver

DEFAULT_CLUSTER = "default"
FOR_EVER_MS = 1 << 52
REGISTRY = ".registry"  # the folder of the registry, which no cluster can be called


class _Launch(NamedTuple):
    """Instances that came by a call: after so many rounds, at a time in ms; `joins`: one that
    registered itself."""

    rounds: int
    at_ms: int
    specs: list[InstanceSpec]
    joins: bool


@dataclass(frozen=True)
class Kept:
    """The folder of one cluster: who it is, its journal, and what was launched by call."""

    folder: Path

    @property
    def about(self) -> Path:
        """Who the cluster is."""
        return self.folder / "cluster.json"

    @property
    def journal(self) -> Path:
        """Its rounds."""
        return self.folder / "journal.sqlite"

    @property
    def launches(self) -> Path:
        """What was launched by call."""
        return self.folder / "launches.jsonl"

    def begin(self, epoch_s: float, salt: str, header: Header) -> None:
        """Make it; whoever reads it meanwhile finds nothing, or all."""
        self.folder.mkdir(mode=0o700, parents=True)
        journal = DurableJournal(self.journal)
        journal.begin(header)
        journal.close()
        part = self.folder / "cluster.part"
        part.write_text(json.dumps({"epoch_s": epoch_s, "salt": salt}))
        part.rename(self.about)

    def read(self) -> tuple[dict[str, Any], Header, list[Round]]:
        """Who it is, the header of its journal, and its rounds."""
        about = json.loads(self.about.read_text())
        journal = DurableJournal(self.journal, writing=False)
        try:
            written = journal.read()
        finally:
            journal.close()
        assert written is not None, "a journal begins with the header"
        return about, *written

    def launched(self) -> Iterator[_Launch]:
        """Each launch; one half written is none."""
        if not self.launches.exists():
            return
        for line in self.launches.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                rounds, at_ms, specs, *joins = json.loads(line)
                made = [InstanceSpec(**_tuples(spec)) for spec in specs]
                yield _Launch(rounds, at_ms, made, joins == [True])

    def retire(self) -> None:
        """Put the cluster aside, whose name is free again."""
        number = 1
        while (target := self.folder.with_name(f".{self.folder.name}.{number}")).exists():
            number += 1
        self.folder.rename(target)


def _tuples(spec: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(each) if isinstance(each, list) else each for name, each in spec.items()}


class _Launching(SimDriver):
    """A simulated world whose launches by call are written down before they are made."""

    kept: Callable[[int, list[InstanceSpec], bool], None] | None = None

    def launch(self, specs: list[InstanceSpec]) -> None:
        """See `SimDriver`."""
        if self.kept is not None:
            self.kept(self.now_ms(), specs, False)
        super().launch(specs)

    def join(self, spec: InstanceSpec) -> InstanceRegistered:
        """See `SimDriver`."""
        if self.kept is not None:
            self.kept(self.now_ms(), [spec], True)
        return super().join(spec)


class SimulatedWorlds:
    """Makes a simulated world for each cluster, or the one that is in the state's folder.

    Args:
        loaded: of the first cluster, `default`: its first run; None: all clusters begin empty.
        state: the folder that holds a folder for each cluster; None: nothing lasts.
    """

    def __init__(self, loaded: Loaded | None = None, state: Path | None = None) -> None:
        self._loaded, self._state = loaded, state

    def known(self) -> list[str]:
        """The clusters in the state's folder that were begun, by name."""
        return known_clusters(self._state)

    def __call__(self, name: str, *, anew: bool = False) -> World:
        """See `realdriver.endpoint.host.Worlds`.

        Raises:
            PlacementError: its state cannot be read, or is of another scenario.
        """
        scheduler, driver, callers = self._begun(name)
        reader, salt, epoch_s = Reader(), secrets.token_hex(8), time.time()
        record: Callable[[Round], None] = _nowhere
        if self._state is not None:
            kept = Kept(self._state / (name or REGISTRY))
            if anew and kept.folder.exists():
                kept.retire()
            if kept.about.exists():
                about, _, rounds = kept.read()
                salt, epoch_s = about["salt"], about["epoch_s"]
                _restore(scheduler, driver, callers, rounds, list(kept.launched()))
                for entry in rounds:
                    reader(entry)
            else:
                kept.begin(epoch_s, salt, Header(scheduler.config))
            writing = Writing(kept, reader)
            driver.kept, record = writing.launched, writing.round
        return World(
            *(scheduler, driver, callers, epoch_s, salt, reader),
            record=record,
            specs=specs,
            spec=spec_of,
        )

    def _begun(self, name: str) -> tuple[Scheduler, _Launching, Callers]:
        loaded = self._loaded if name == DEFAULT_CLUSTER else None
        if loaded is not None:
            self._loaded = None  # made again, it begins empty like any other
            run = next(iter(loaded.scenario.runs()))
            scheduler, attended = world(loaded, run, FOR_EVER_MS, driver=_Launching)
            assert isinstance(attended.driver, _Launching)
            return scheduler, attended.driver, attended.callers
        driver = _Launching((), until_ms=FOR_EVER_MS, seed=0)
        callers = Callers((), stream(0, "client"), admits=driver.admits)
        return Scheduler(SchedulerConfig()), driver, callers


def known_clusters(state: Path | None) -> list[str]:
    """The clusters in a state's folder that were begun, by name."""
    if state is None:
        return []
    found = sorted(path.parent.name for path in state.glob("*/cluster.json"))
    return [name for name in found if not name.startswith(".")]


def _nowhere(entry: Round) -> None:
    """The record of what does not last."""


class Writing:
    """Writes what happens into a cluster's folder, from the thread of its loop."""

    def __init__(self, kept: Kept, reader: Reader) -> None:
        self._kept, self._reader = kept, reader
        self._journal: DurableJournal | None = None

    def round(self, entry: Round) -> None:
        """Append a round; when this returns it is on disk."""
        if self._journal is None:  # here, since SQLite wants one thread
            self._journal = DurableJournal(self._kept.journal)
        self._journal(entry)

    def launched(self, at_ms: int, specs: list[InstanceSpec], joins: bool) -> None:
        """Append a launch."""
        plain = [_plain(spec) for spec in specs]
        line = json.dumps([self._reader.state.rounds, at_ms, plain, joins])
        with self._kept.launches.open("a") as stream:
            stream.write(line + "\n")


def _plain(spec: InstanceSpec) -> dict[str, Any]:
    return asdict(spec) | {"resources": dict(spec.resources), "attributes": dict(spec.attributes)}


def _restore(
    scheduler: Scheduler,
    driver: SimDriver,
    callers: Callers,
    rounds: Sequence[Round],
    launched: Iterable[_Launch],
) -> None:
    """Bring a world, its callers and its scheduler to where a journal ends."""
    replay(scheduler, rounds)
    callers.restore(rounds)
    waiting = list(launched)
    for number, entry in enumerate([*rounds, None]):
        while waiting and waiting[0].rounds == number:
            launch = waiting.pop(0)
            driver.wait(launch.at_ms)
            if launch.joins:
                driver.join(launch.specs[0])
            else:
                driver.launch(launch.specs)
        if entry is None:
            return
        _again(driver, entry)


def _again(driver: SimDriver, entry: Round) -> None:
    """Live through a round once more; the world must say what it said."""
    for event in entry.events:
        if isinstance(event, RegisterTaskDefinition):
            driver.register(event)
    heard = driver.wait(entry.now_ms) or []
    told = list(entry.events)[len(entry.events) - len(heard) :] if heard else []
    if heard != told or driver.now_ms() != entry.now_ms:
        what = "the scenario or this program has changed since"
        raise PlacementError(f"the state at {entry.now_ms} ms comes out differently: {what}")
    for command in entry.commands:
        driver.execute(command)


def spec_of(machine: Machine) -> InstanceSpec:
    """A machine that registers by itself; its price is that of its type, if that is known.

    Where it says no capability of its agent, it has those of one that is launched here.
    """
    types = instance_types()
    kind = types.get(machine.instance_type)
    attributes = dict(machine.attributes)
    if not any(name.startswith("com.amazonaws.ecs.capability.") for name in attributes):
        (played,) = specs(machine.instance_type if kind else "m5.large", 1, ("us-east-1a",))
        attributes = dict(played.attributes) | attributes
    return InstanceSpec(
        name=machine.ec2_instance_id,
        at_ms=0,
        resources=machine.resources,
        attributes=attributes,
        price_microusd_hour=0 if kind is None else kind.price_microusd_hour,
        capacity_provider=None,
    )


def specs(instance_type: str, count: int, zones: Sequence[str]) -> list[InstanceSpec]:
    """So many instances of a type of the catalogue, dealt over zones in turn, each with an EC2 id
    that no other has.

    Raises:
        SpecError: an unknown type.
    """
    types = instance_types()
    if instance_type not in types:
        hint = did_you_mean(instance_type, types)
        raise SpecError([("instance_type", f"unknown type {instance_type!r}{hint}")])
    group = FleetGroup(
        name="launched", instance_type=instance_type, count=count, zones=tuple(zones)
    )
    kind, first = types[instance_type], secrets.randbits(47) << 20
    return [
        instance_spec(group, instance_type, kind, zones[number % len(zones)], first + number)
        for number in range(count)
    ]
