"""Runs a scenario on real Docker engines: begins one, or takes up one that was broken off."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import msgspec

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.result import (
    AGENT,
    RunResult,
    about,
    result_of,
    scheduler_config,
    tee,
)
from stowplan.experiments.record.usage import Usage
from stowplan.experiments.runs.permits import ALLOWED
from stowplan.experiments.runs.promises import said_of_engines
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Callers
from stowplan.placement.chance import stream
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, JournalWriter, replay
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.messages import (
    InstanceRegistered,
    Round,
    RunTaskFailed,
    TasksChanged,
)
from stowplan.placement.model import StopCode
from stowplan.placement.scenario.scenario import Run, Scenario, instance_specs
from stowplan.placement.scenario.settings import with_settings
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.realdriver.backend import Leftovers
from stowplan.realdriver.backends import DRIVER
from stowplan.realdriver.clusters import ID, PLAYED_BY, SCENARIO, ClusterFolder
from stowplan.realdriver.docker.config import ENGINES, EnginesTable, machines
from stowplan.realdriver.docker.driver import DockerDriver
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.journal import DurableJournal
from stowplan.realdriver.standing import KeptState

_POLL_S = 0.5  # between looks for calls that others left


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What to run, and where. `watch` is shown every round, those before a crash too; `driver` is
    one of `DRIVERS`. `allowed`: rights on the machine that tasks are meant to have;
    `down` the command that ends the run for good."""

    loaded: Loaded
    run: Run
    engines: EnginesTable
    cluster: ClusterFolder
    forever: bool = False
    watch: Callable[[Round], None] | None = None
    driver: str = "docker"
    allowed: tuple[str, ...] = ()
    down: str = ""

    @property
    def scenario(self) -> Scenario:
        """The scenario with what its run sets."""
        return with_settings(self.loaded.scenario, self.run.strategy)


def say(text: str) -> None:
    """Print a line with the time to stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def play(order: RunOrder) -> tuple[RunResult, Path]:
    """Run a scenario until it is over, then remove everything that it made.

    Returns:
        the result, and where the journal is now.
    Raises:
        stowplan.realdriver.journal.Busy: another run holds the cluster.
        SpecError: the cluster's journal is of another scenario, or its name is in use elsewhere.
        KeyboardInterrupt: the tasks go on, and so can the run.
    """
    with ExitStack() as stack:
        stack.callback(order.cluster.lock().close)
        written = order.cluster.read()
        check_engines(order, written[0].run[ID] if written else "")
        if written is None:
            for what in said_of_engines(order.loaded, order.engines):
                say(what)
        journal = DurableJournal(order.cluster.journal)
        stack.callback(journal.close)
        header, rounds = _begun(order, journal)
        scheduler = Scheduler(header.config, order.loaded.strategies)
        recorder, usage = Recorder(), Usage()
        rng = stream(order.scenario.seed, "client")
        callers = Callers(arrivals(order.scenario, order.run), rng)
        driver = DRIVERS[order.driver](order, header.run[ID], callers)
        stack.callback(driver.close)
        made = 0
        if rounds:
            say(f"taking up {order.cluster.name} after {replay(scheduler, rounds)} rounds")
            made = callers.restore(rounds)
            driver.restore(rounds)
        watch = tee([recorder, usage, *([order.watch] if order.watch else [])])
        for entry in rounds:
            watch(entry)
        say("getting ready; the first time on a machine that takes up to a minute")
        # In a thread, as Ctrl-C would be lost within the compiler.
        ThreadPoolExecutor(1).submit(warm_up, order).result()
        say(f"{order.cluster.name} runs on {_counted(len(order.engines.engine), 'engine')}")
        kept = KeptState(journal)
        record = tee([journal, kept, watch, Failures()])
        with calls_left(order.cluster.journal, made, callers, driver.wake):
            run_loop(scheduler, Attended(driver, callers), record)
        until_ms = driver.now_ms()
        if recorder.now_ms < until_ms:  # whoever reads the journal is to know how long it went on
            record(Round(until_ms, (), ()))
        kept.keep()
        driver.close()
        remove_all(order.engines, order.cluster.name, header.run[ID])
        journal.close()
        target = order.cluster.retire()
    return result_of(order.run, recorder, usage, until_ms), target


class Failures:
    """Prints why tasks fail to start, each reason once; `stowplan status` has the last ones."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        for event in entry.events:
            if isinstance(event, TasksChanged) and event.stop_code is StopCode.TASK_FAILED_TO_START:
                self._say(f"task {event.tasks[0]} failed to start", event.reason)
        for command in entry.commands:
            if isinstance(command, RunTaskFailed):
                self._say(f"{_counted(command.count, 'task')} not placed", command.failure.reason)

    def _say(self, what: str, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            say(f"{what}: {reason}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def warm_up(order: RunOrder) -> None:
    """Place one of each task with a scheduler that is thrown away. The first placement compiles
    kernels, and that would take time of the run."""
    scheduler = Scheduler(SchedulerConfig(), order.loaded.strategies)
    fleet = machines(order.engines, instance_specs(order.scenario))
    for number, machine in enumerate(fleet[:2]):
        spec = machine.spec
        event = InstanceRegistered(number, spec.name, dict(spec.resources), dict(spec.attributes))
        scheduler.receive(event)
    for arrival in itertools.islice(arrivals(order.scenario, order.run), 20):
        scheduler.receive(arrival.call)
    scheduler.decide(0)


def remove_all(engines: EnginesTable, cluster: str, run: str) -> Leftovers:
    """Remove all that a run made, and say so."""
    found = leftovers(engines, cluster, run)
    say(f"the run is over: stopping and removing {found.summary}")
    found.remove()
    say(f"removed {found.summary}")
    return found


def _begun(order: RunOrder, journal: DurableJournal) -> tuple[Header, list[Round]]:
    """The header and rounds of the journal; a new one gets its header."""
    written = journal.read()
    digest = _digest(order)
    if written is None or not written[1]:
        # Nothing was asked of the engines yet, but they may have a network with this label.
        identity = uuid.uuid4().hex if written is None else written[0].run[ID]
        facts = {
            **about(order.loaded, order.run),
            ID: identity,
            SCENARIO: digest,
            DRIVER: order.driver,
            ALLOWED: ",".join(order.allowed),
            PLAYED_BY: json.dumps(_played_by(order)),
            AGENT: "docker",
            ENGINES: order.engines.model_dump_json(),
        }
        own = tuple(order.loaded.own_strategies)
        header = Header(scheduler_config(order.scenario), facts, own)
        journal.begin(header)
        return header, []
    if written[0].run[SCENARIO] != digest:
        what = "a run of another scenario, or of other engines, was broken off here"
        cure = f"end it by `{order.down}`, or name another cluster"
        raise SpecError([(f"cluster {order.cluster.name}", f"{what}; {cure}")])
    return written


def _played_by(order: RunOrder) -> dict[str, str]:
    """Which engine plays which instance."""
    tables = order.engines.engine
    fleet = machines(order.engines, instance_specs(order.scenario))
    return {each.spec.name: tables[each.engine].name or tables[each.engine].url for each in fleet}


def _digest(order: RunOrder) -> str:
    """A digest that differs where a replay would; time limits of engines may change."""
    engines = [engine.model_dump_json(exclude={"shared"}) for engine in order.engines.engine]
    what = [order.loaded.scenario.model_dump_json(), order.run.id, *engines]
    return hashlib.sha256("\n".join(what).encode()).hexdigest()


def check_engines(order: RunOrder, run: str) -> None:
    """Refuse a cluster if another run, with a journal elsewhere, has containers of its name;
    and engines if none of them answers."""
    found = leftovers(order.engines, order.cluster.name, None, reachable_only=True)
    if len(found.silent) == len(order.engines.engine):
        raise SpecError([("--engines", f"no engine answers: {'; '.join(found.silent)}")])
    others = found.without(run)
    if others.count:
        what = f"another run's {others.summary} are on these engines"
        cure = f"remove them by `{order.down}`, or name another"
        raise SpecError([(f"cluster {order.cluster.name}", f"{what}; {cure}")])


def _docker(order: RunOrder, run: str, callers: Callers) -> DockerDriver:
    scenario = order.scenario
    return DockerDriver(
        machines(order.engines, instance_specs(scenario)),
        order.engines,
        cluster=order.cluster.name,
        run=run,
        until_ms=None if order.forever else scenario.duration,
        run_ms=callers.run_ms,
        say=say,
    )


# What `--driver` names: a driver for a run, its identity, and its callers.
DRIVERS = {"docker": _docker}


@contextmanager
def calls_left(
    journal: Path, made: int, callers: Callers, wake: Callable[[], None]
) -> Iterator[None]:
    """Pass on the calls that `stowplan drain` and others leave in a journal, while a run lasts.

    Args:
        made: how many of them were made already.
        wake: lets the driver look at them at once.
    """
    over = Event()

    def watch() -> None:
        source, after = DurableJournal(journal, writing=False), made
        while not over.wait(_POLL_S):
            for number, body in source.calls(after):
                callers.submit(msgspec.json.decode(body, type=m.Event))
                after = number
                wake()
        source.close()

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def copy_journal(durable: Path, target: Path) -> None:
    """A durable journal in the form that `stowplan verify` and others read."""
    journal = DurableJournal(durable, writing=False)
    written = journal.read()
    journal.close()
    assert written is not None, "a run that has ended has a header"
    header, rounds = written
    # As the journal itself: in it are the values of environment variables.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
        writer = JournalWriter(stream, header)
        for entry in rounds:
            writer(entry)
