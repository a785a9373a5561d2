"""Runs clusters, each by its own loop, and answers requests about them.

One gate is held by whichever loop or request is at work: between two rounds every cluster is as its
records say. A request is answered in the thread that came to its answer.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from stowplan.placement import messages as m
from stowplan.placement.agentwire.driver import AgentsDriver
from stowplan.placement.callers.callers import Answer, Callers
from stowplan.placement.describe import Reader
from stowplan.placement.errors import PlacementError
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.model import CPU, MEMORY, TaskStatus
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.wire.arns import Account, Ids
from stowplan.placement.wire.errors import SERVER_EXCEPTION, WireError
from stowplan.placement.wire.events import Events
from stowplan.placement.wire.front import Exchange
from stowplan.placement.wire.protocol import Request
from stowplan.placement.wire.world import Agents, Cluster, Document, Machine
from stowplan.realdriver.endpoint.events import Sink
from stowplan.realdriver.endpoint.pace import Clock, Gate, Paced, Stepped, Timed

Replied = Callable[["Document | WireError"], None]


@dataclass
class World:
    """What a cluster is made of, before its loop begins.

    Args:
        record: gets every round, before anybody is answered: a journal.
        specs: so many instances of a type over zones, to be launched; None: these machines are
            not ours to launch.
        spec: a machine that registers by itself, as the world has it; None: none can.
        agents: the driver, where its instances are real agents.
        clock: the world's own; None: that of all worlds.
    """

    scheduler: Scheduler
    driver: Timed
    callers: Callers
    epoch_s: float
    salt: str
    reader: Reader
    record: Callable[[m.Round], None] = lambda entry: None
    specs: Callable[[str, int, Sequence[str]], list[InstanceSpec]] | None = None
    spec: Callable[[Machine], InstanceSpec] | None = None
    agents: AgentsDriver | None = None
    clock: Clock | None = None


class Worlds(Protocol):
    """Makes worlds for clusters."""

    def __call__(self, name: str, *, anew: bool = False) -> World:
        """The world of the cluster of that name, or a new one; of "" it has no instances.

        Args:
            anew: one that was there is INACTIVE, and another takes its place.
        """
        ...


_LOG = logging.getLogger(__name__)
_BROKEN, _BROKEN_SAYS = SERVER_EXCEPTION, "Service Unavailable. Please try again later."


def _mistake(request: Request) -> WireError:
    _LOG.exception("answering %s", request.operation)
    return WireError(_BROKEN, _BROKEN_SAYS, 500)


class LocalHost:
    """The clusters of one account, in this process.

    Args:
        worlds: makes the world of a new cluster.
        clock: by which all of them live.
        now_s: the time of day.
        sinks: get the events of every round, once it is recorded; none may wait or raise.
    """

    def __init__(
        self,
        account: Account,
        worlds: Worlds,
        clock: Clock,
        now_s: Callable[[], float],
        sinks: Collection[Sink] = (),
    ) -> None:
        self.account, self.now_s = account, now_s
        self.gate = Gate()
        self.settings: dict[str, str] = {}
        self._worlds, self._clock, self._sinks = worlds, clock, sinks
        self._clusters: dict[str, Cluster] = {}
        self._paced: dict[str, Paced] = {}
        self._made: dict[str, World] = {}
        self._threads: list[threading.Thread] = []
        self.registry = self._begin("")

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """By name."""
        return self._clusters

    def create(self, name: str, settings: Document) -> Cluster:
        """See `placement.wire.world.Host`."""
        with self.gate:
            before = self._paced.get(name)
            if before is not None:
                before.end()
            cluster = self._clusters[name] = self._begin(name, anew=before is not None)
            cluster.settings.update(settings)
            return cluster

    def _begin(self, name: str, *, anew: bool = False) -> Cluster:
        world = self._made[name] = self._worlds(name, anew=anew)
        paced = self._paced[name] = Paced(world.driver, world.clock or self._clock, self.gate)
        agents = world.agents
        tell: Callable[[m.Round], None] = lambda entry: None  # noqa: E731 - set below

        def record(entry: m.Round) -> None:
            world.record(entry)
            world.reader(entry)
            if agents is not None:
                agents.recorded(entry)
            tell(entry)

        def submit(call: m.Event, answered: Callable[[Answer], None]) -> None:
            if agents is not None and not isinstance(call, m.CALLS):
                agents.report(call, answered)
            else:
                world.callers.submit(call, answered)
            if paced.failed:
                world.callers.abandon(_BROKEN, _BROKEN_SAYS)
            else:
                paced.wake()

        def run() -> None:
            with self.gate:
                try:
                    run_loop(world.scheduler, Attended(paced, world.callers), record)
                except Exception:  # a full disk, a mistake of ours: nobody is to wait for ever
                    _LOG.exception("cluster %s goes on no more", name or "(registry)")
                    paced.failed = True
                    world.callers.abandon(_BROKEN, _BROKEN_SAYS)
                    if agents is not None:
                        agents.abandon(_BROKEN, _BROKEN_SAYS)

        ids = Ids(self.account, name, world.salt)
        cluster = Cluster(name, ids, world.reader.state, submit, world.epoch_s)
        if name and self._sinks:
            tell = self._teller(cluster)
        thread = threading.Thread(target=run, name=f"cluster {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return cluster

    def _teller(self, cluster: Cluster) -> Callable[[m.Round], None]:
        events = Events(cluster)

        def tell(entry: m.Round) -> None:
            wanting = [sink for sink in self._sinks if sink.wanted]
            found = events(entry) if wanting else []
            for sink in wanting if found else ():
                sink(found)

        return tell

    def reply(self, request: Request, replied: Replied) -> None:
        """Answer a request: calls `replied` once, at once or from the thread of a loop."""
        with self.gate.visit():
            try:
                exchange = Exchange(self, request)
                self._follow(exchange, replied)
            except WireError as error:
                replied(error)
            except Exception:  # a mistake of ours: the client is told, and others are served on
                replied(_mistake(request))

    def _follow(self, exchange: Exchange, replied: Replied) -> None:
        if exchange.answer is not None:
            replied(exchange.answer)
            return
        answers: dict[int, Answer] = {}
        asks = exchange.asks

        def heard(at: int, answer: Answer) -> None:
            answers[at] = answer
            if len(answers) < len(asks):
                return
            try:
                exchange.hear([answers[n] for n in range(len(asks))])
                self._follow(exchange, replied)
            except WireError as error:
                replied(error)
            except Exception:  # in the thread of a loop, which must go on
                replied(_mistake(exchange.request))

        for at, ask in enumerate(asks):
            ask.cluster.submit(ask.call, lambda answer, at=at: heard(at, answer))  # type: ignore[misc]

    def join(self, cluster: Cluster, machine: Machine) -> m.InstanceRegistered:
        """See `placement.wire.world.Host`."""
        world = self._made[cluster.name]
        if world.spec is None:
            raise WireError("ClientException", "the machines of this cluster are not simulated")
        return cast(Stepped, world.driver).join(world.spec(machine))

    def agents(self, cluster: Cluster) -> Agents | None:
        """See `placement.wire.world.Host`."""
        return self._made[cluster.name].agents

    @contextmanager
    def attending(self, cluster: str) -> Iterator[tuple[AgentsDriver, int] | None]:
        """The driver of a cluster of real agents and its time in ms, while its loop stands still;
        the loop goes on afterwards. None: there is no such cluster."""
        with self.gate.visit():
            world, found = self._made.get(cluster), self._clusters.get(cluster)
            if world is None or found is None or world.agents is None or world.clock is None:
                yield None
                return
            yield world.agents, int(world.clock.now_ms())
            self._paced[cluster].wake()

    # --- beside ECS's API -------------------------------------------------------------------------

    def launch(
        self, cluster: str, instance_type: str, count: int, zones: Sequence[str]
    ) -> list[str]:
        """Launch instances for a cluster; returns their EC2 ids.

        Raises:
            PlacementError: no such cluster or type, or a cluster whose machines are not simulated.
        """
        with self.gate.visit():
            found = self._clusters.get(cluster)
            if found is None or found.state.status != "ACTIVE":
                raise PlacementError(f"no cluster is called {cluster!r}")
            world = self._made[cluster]
            if world.specs is None:
                raise PlacementError(f"the machines of {cluster!r} are not simulated")
            specs = world.specs(instance_type, count, zones)
            driver = cast(Stepped, world.driver)
            self._paced[cluster].do(lambda: driver.launch(specs))
            return [spec.name for spec in specs]

    def snapshot(self, cluster: str) -> bytes:
        """The described state of a cluster; see `placement.describe`.

        Raises:
            PlacementError: no such cluster.
        """
        with self.gate.visit():
            found = self._clusters.get(cluster)
            if found is None:
                raise PlacementError(f"no cluster is called {cluster!r}")
            return found.state.snapshot()

    def uses(self, name: str) -> list[dict[str, Any]]:
        """What tasks that run were last measured to use, beside what they hold: CPU units, MiB.

        Raises:
            PlacementError: no such cluster.
        """
        with self.gate.visit():
            found = self._clusters.get(name)
            if found is None:
                raise PlacementError(f"no cluster is called {name!r}")
            tasks = found.state.tasks.values()
            return [
                {
                    "taskArn": found.ids.task(task.number),
                    "group": task.group,
                    "cpu": {"used": round(task.used.cpu, 3), "held": task.amounts.get(CPU, 0)},
                    "memory": {
                        "used": round(task.used.memory, 3),
                        "held": task.amounts.get(MEMORY, 0),
                    },
                    "measuredAt": found.seconds(task.used.at_ms),
                }
                for task in tasks
                if task.used is not None and task.last_status is TaskStatus.RUNNING
            ]

    def advance(self, by_ms: int) -> None:
        """Let time pass at once."""
        with self.gate.visit():
            self._clock.advance(by_ms, self._latest_ms())
            self._wake()

    def set_factor(self, factor: float) -> None:
        """Simulated seconds a second, from now on; see `Clock`."""
        with self.gate.visit():
            self._clock.set_factor(factor, self._latest_ms())
            self._wake()

    def times(self) -> dict[str, Any]:
        """The factor, null where it is infinite, and the time of each cluster in seconds."""
        with self.gate.visit():
            clusters = {name: each.state.now_ms / 1000 for name, each in self._clusters.items()}
            factor = self._clock.factor
            return {"factor": factor if math.isfinite(factor) else None, "clusters": clusters}

    def _latest_ms(self) -> int:
        return max((each.state.now_ms for each in self._clusters.values()), default=0)

    def _wake(self) -> None:
        for paced in self._paced.values():
            paced.wake()

    def close(self) -> None:
        """End all loops; what was answered is in the journals."""
        with self.gate.visit():
            for paced in self._paced.values():
                paced.end()
        for thread in self._threads:
            thread.join()
