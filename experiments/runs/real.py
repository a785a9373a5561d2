"""Runs a scenario for real: begins one, or takes up one that was broken off.

On what it runs is a `Platform`'s business: Docker engines, or EC2.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

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
from stowplan.placement.scenario.plain import InstanceSpec
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scenario.settings import with_settings
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.realdriver.backends import DRIVER
from stowplan.realdriver.clusters import ID, SCENARIO, ClusterFolder
from stowplan.realdriver.journal import DurableJournal
from stowplan.realdriver.real_time import RealDriver
from stowplan.realdriver.standing import KeptState

_POLL_S = 0.5  # between looks for calls that others left


class Platform(Protocol):
    """What a scenario runs on, with its settings."""

    @property
    def name(self) -> str:
        """As `--driver` has it."""
        ...

    @property
    def words(self) -> str:
        """What it is, for people: 3 engines."""
        ...

    def specs(self, scenario: Scenario) -> Sequence[InstanceSpec]:
        """The instances of a run, as far as they are known before it."""
        ...

    def facts(self, scenario: Scenario) -> dict[str, str]:
        """What a journal's header must say of it, for `status`, `down` and a restart."""
        ...

    def digest(self) -> list[str]:
        """Texts that differ where a replay would."""
        ...

    def said(self, loaded: Loaded) -> Sequence[str]:
        """What is to be said before a run begins for the first time."""
        ...

    def check(self, cluster: str, run: str, down: str) -> None:
        """Refuse a cluster if another run, with a journal elsewhere, has things of its name there.

        Args:
            run: the identity of the run that its journal holds; "": it holds none.
            down: the command that removes them.
        Raises:
            SpecError: so it is, or nobody answers.
        """
        ...

    def driver(
        self, order: RunOrder, header: Header, callers: Callers, journal: DurableJournal
    ) -> RealDriver:
        """The driver of a run."""
        ...

    def remove(self, order: RunOrder, run: str) -> None:
        """Remove all that a run made, and say so."""
        ...

    def files(self) -> Mapping[str, str]:
        """Once it is removed: files to stand beside the report, by name."""
        ...

    def notes(self) -> Sequence[str]:
        """Likewise: sentences to stand in the report."""
        ...

    def close(self) -> None:
        """Let go of it: nothing waits for it any more."""
        ...


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What to run, and on what. `watch` is shown every round, those before a crash too.
    `down` is the command that ends the run for good."""

    loaded: Loaded
    run: Run
    platform: Platform
    cluster: ClusterFolder
    forever: bool = False
    watch: Callable[[Round], None] | None = None
    down: str = ""

    @property
    def scenario(self) -> Scenario:
        """The scenario with what its run sets."""
        return with_settings(self.loaded.scenario, self.run.strategy)

    @property
    def until_ms(self) -> int | None:
        """When it ends; None: never."""
        return None if self.forever else self.scenario.duration


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
        platform = order.platform
        platform.check(order.cluster.name, written[0].run[ID] if written else "", order.down)
        for what in platform.said(order.loaded) if written is None else ():
            say(what)
        journal = DurableJournal(order.cluster.journal)
        stack.callback(journal.close)
        header, rounds = _begun(order, journal)
        scheduler = Scheduler(header.config, order.loaded.strategies)
        recorder, usage = Recorder(), Usage()
        rng = stream(order.scenario.seed, "client")
        callers = Callers(arrivals(order.scenario, order.run), rng)
        driver = platform.driver(order, header, callers, journal)
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
        say(f"{order.cluster.name} runs on {platform.words}")
        kept = KeptState(journal)
        record = tee([journal, kept, watch, Failures()])
        with calls_left(order.cluster.journal, made, callers, driver.wake):
            run_loop(scheduler, Attended(driver, callers), record)
        until_ms = driver.now_ms()
        if recorder.now_ms < until_ms:  # whoever reads the journal is to know how long it went on
            record(Round(until_ms, (), ()))
        kept.keep()
        driver.close()
        platform.remove(order, header.run[ID])
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
                self._say(f"{counted(command.count, 'task')} not placed", command.failure.reason)

    def _say(self, what: str, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            say(f"{what}: {reason}")


def counted(count: int, what: str) -> str:
    """So many of them, in words."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def warm_up(order: RunOrder) -> None:
    """Place one of each task with a scheduler that is thrown away. The first placement compiles
    kernels, and that would take time of the run."""
    scheduler = Scheduler(SchedulerConfig(), order.loaded.strategies)
    for number, spec in enumerate(order.platform.specs(order.scenario)[:2]):
        event = InstanceRegistered(number, spec.name, dict(spec.resources), dict(spec.attributes))
        scheduler.receive(event)
    for arrival in itertools.islice(arrivals(order.scenario, order.run), 20):
        scheduler.receive(arrival.call)
    scheduler.decide(0)


def _begun(order: RunOrder, journal: DurableJournal) -> tuple[Header, list[Round]]:
    """The header and rounds of the journal; a new one gets its header."""
    written = journal.read()
    digest = _digest(order)
    if written is None or not written[1]:
        # Nothing was asked of the world yet, but it may have a thing with this label.
        identity = uuid.uuid4().hex if written is None else written[0].run[ID]
        facts = {
            **about(order.loaded, order.run),
            ID: identity,
            SCENARIO: digest,
            DRIVER: order.platform.name,
            AGENT: order.platform.name,
            **order.platform.facts(order.scenario),
        }
        own = tuple(order.loaded.own_strategies)
        header = Header(scheduler_config(order.scenario), facts, own)
        journal.begin(header)
        return header, []
    if written[0].run[SCENARIO] != digest:
        what = "a run of another scenario, or on another platform, was broken off here"
        cure = f"end it by `{order.down}`, or name another cluster"
        raise SpecError([(f"cluster {order.cluster.name}", f"{what}; {cure}")])
    return written


def _digest(order: RunOrder) -> str:
    """A digest that differs where a replay would."""
    what = [order.loaded.scenario.model_dump_json(), order.run.id, *order.platform.digest()]
    return hashlib.sha256("\n".join(what).encode()).hexdigest()


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
