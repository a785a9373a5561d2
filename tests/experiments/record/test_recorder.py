"""The recorder's running sums, against a recount from the intervals of every task's life."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass

import pytest

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.metrics import metrics_of
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import SAMPLE_FIELDS
from stowplan.experiments.record.result import scheduler_config
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.callers.client import RESUBMIT, RETRY
from stowplan.placement.journal import Header, JournalWriter, read_journal
from stowplan.placement.loop import run_loop
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scheduler.launches import Launches
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.placement.scheduler.tasks import NOWHERE
from stowplan.placement.taskdef.parse import TaskOverride, task_resources
from tests.driving import Driven, definition, draining, gone, instance, run_task, running, stopped

SMALL = SCENARIOS / "small.toml"
NEVER = 1 << 60


@dataclass
class Span:
    """A task from the command that placed it to the report that it stopped."""

    owner: int | str
    instance: int
    cpu: int
    memory: int
    placed: int
    runs: int = NEVER
    ends: int = NEVER


def spans(rounds: list[m.Round]) -> dict[int, Span]:
    """The life of every task, looked up one by one."""
    launches, found = Launches(), {}
    for entry in rounds:
        for event in entry.events:
            if isinstance(event, m.RegisterTaskDefinition):
                launches.register(event.document)
            if isinstance(event, m.InstancesGone):
                for span in found.values():
                    if span.instance in event.instances:
                        span.ends = min(span.ends, entry.now_ms)
            if isinstance(event, m.TasksChanged):
                for task in event.tasks:
                    if event.status is TaskStatus.RUNNING and found[task].ends == NEVER:
                        found[task].runs = min(found[task].runs, entry.now_ms)
                    if event.status is TaskStatus.STOPPED:
                        found[task].ends = min(found[task].ends, entry.now_ms)
        for c in entry.commands:
            if isinstance(c, m.StartTasks):
                override = TaskOverride(c.cpu, c.memory)
                needs = task_resources(launches.definition(c.task_definition), override)
                owner = c.service if c.service is not None else c.request
                for task, number in zip(c.tasks, c.instances, strict=True):
                    size = (needs.get("CPU", 0), needs.get("MEMORY", 0))
                    found[task] = Span(owner, number, *size, entry.now_ms)
    return found


def presence(rounds: list[m.Round], end_ms: int) -> dict[int, tuple[int, int, int, int]]:
    """Instance -> (from, to, cpu, memory)."""
    found = {}
    for entry in rounds:
        for event in entry.events:
            if isinstance(event, m.InstanceRegistered):
                size = (event.resources["CPU"], event.resources["MEMORY"])
                found[event.instance] = (entry.now_ms, end_ms, *size)
            if isinstance(event, m.InstancesGone):
                for number in event.instances:
                    since, until, *size = found[number]
                    found[number] = (since, min(until, entry.now_ms), *size)
    return found


class Truth:
    """What the rounds of a run come to, without running sums."""

    def __init__(self, rounds: list[m.Round], end_ms: int) -> None:
        self.rounds, self.end_ms = rounds, end_ms
        self.lives, self.here = spans(rounds), presence(rounds, end_ms + 1)

    def busy_ms(self, number: int) -> int:
        """The length of the union of the lives on one instance."""
        total, covered = 0, 0
        for span in sorted(self.lives.values(), key=lambda s: s.placed):
            if span.instance == number:
                begin, end = max(span.placed, covered), min(span.ends, self.end_ms)
                total += max(0, end - begin)
                covered = max(covered, end)
        return total


def counted(truth: Truth, at_ms: int) -> dict[str, int]:
    """The totals at one time, by counting everything that there is at that time."""
    lives = [s for s in truth.lives.values() if s.placed <= at_ms < s.ends]
    here = [p for p in truth.here.values() if p[0] <= at_ms < p[1]]
    return {
        "cpu": sum(p[2] for p in here),
        "memory": sum(p[3] for p in here),
        "cpu_used": sum(s.cpu for s in lives),
        "memory_used": sum(s.memory for s in lives),
        "present": len(here),
        "busy": len({s.instance for s in lives}),
        "running": sum(s.runs <= at_ms for s in lives),
        "pending": sum(s.runs > at_ms for s in lives),
    }


def overlap(begin: int, end: int, end_ms: int) -> int:
    return max(0, min(end, end_ms) - begin)


def integrals(truth: Truth) -> dict[str, int]:
    """The integrals of the totals, task by task and instance by instance."""
    lives, end_ms = truth.lives.values(), truth.end_ms
    here = [(overlap(p[0], p[1], end_ms), *p[2:]) for p in truth.here.values()]
    return {
        "cpu": sum(ms * cpu for ms, cpu, _ in here),
        "memory": sum(ms * memory for ms, _, memory in here),
        "cpu_used": sum(s.cpu * overlap(s.placed, s.ends, end_ms) for s in lives),
        "memory_used": sum(s.memory * overlap(s.placed, s.ends, end_ms) for s in lives),
        "present": sum(ms for ms, _, _ in here),
        "busy": sum(truth.busy_ms(number) for number in truth.here),
        "running": sum(overlap(s.runs, s.ends, end_ms) for s in lives),
        "pending": sum(overlap(s.placed, min(s.runs, s.ends), end_ms) for s in lives),
    }


def simulated(faults: str) -> tuple[list[m.Round], int]:
    loaded = load_scenario(SMALL)
    scenario = loaded.scenario
    run = next(run for run in scenario.runs() if run.faults == faults)
    rounds: list[m.Round] = []
    _, driver = world(loaded, run, scenario.duration)
    run_loop(Scheduler(scheduler_config(scenario)), driver, rounds.append)
    return rounds, scenario.duration


def by_hand() -> tuple[list[m.Round], int]:
    """Drains, losses, retries, waits, stops, an instance that comes late, reports that are late."""
    world = Driven(SchedulerConfig(provisioning_timeout_ms=7_000))
    world.round(definition(), instance(0, cpu=512), instance(1), m.CreateService("web", "app", 2))
    world.round(run_task(0, count=6), running(0))
    world.round(running(0, 1), running(2, 2), m.RunTask(9, "nobody", 5))
    world.round(run_task(1, count=2, capacity_provider="cp", started_by="b"), instance(2))
    world.round(stopped(2), run_task(0, count=1, started_by=RETRY), draining(1))
    world.round(gone(0), gone(0), instance(3, cpu=256, capacity_provider="cp"))
    table = world.scheduler.tasks
    placed = [t for t in range(len(table)) if table.instance[t] != NOWHERE]
    world.round(running(*placed), stopped(1))
    world.round(m.StopTask((4,)), m.UpdateService("web", 1))
    world.round(stopped(4), running(4), run_task(0, count=1, started_by=RESUBMIT))
    world.round(at_ms=14_000)
    world.round(m.UpdateService("web", 3), m.CreateService("web", "app", 9), at_ms=15_500)
    return world.rounds, 20_000


WORLDS = {
    "small": lambda: simulated("none"),
    "small with a zone lost": lambda: simulated("zone-loss"),
    "by hand": by_hand,
}


@pytest.fixture(scope="module", params=WORLDS.values(), ids=WORLDS)
def recorded(request) -> tuple[Truth, Recorder]:
    rounds, end_ms = request.param()
    recorder = Recorder(step_ms=1_700, frame_ms=4_000)
    for entry in rounds:
        recorder(entry)
    recorder.finish(end_ms)
    return Truth(rounds, end_ms), recorder


def test_the_integrals_are_the_sums_over_all_lives(recorded):
    truth, recorder = recorded
    expected = integrals(truth)
    assert {name: getattr(recorder.integrals, name) for name in expected} == expected


def test_the_samples_are_what_a_count_at_their_time_gives(recorded):
    truth, recorder = recorded
    assert [row[0] for row in recorder.samples] == list(range(0, truth.end_ms + 1, 1_700))
    for at_ms, *values in recorder.samples:
        sample = dict(zip(SAMPLE_FIELDS, values, strict=True))
        expected = counted(truth, at_ms)
        assert {name: sample[name] for name in expected} == expected, at_ms


def test_the_frames_show_how_full_every_instance_is(recorded):
    truth, recorder = recorded
    assert [at for at, _ in recorder.frames] == list(range(0, truth.end_ms + 1, 4_000))
    for at_ms, fills in recorder.frames[:: max(1, len(recorder.frames) // 20)]:
        lives = [s for s in truth.lives.values() if s.placed <= at_ms < s.ends]
        for number, fill in enumerate(fills):
            _, until, cpu, memory = truth.here[number]
            on = [s for s in lives if s.instance == number]
            share = max(sum(s.cpu for s in on) / cpu, sum(s.memory for s in on) / memory)
            assert fill == (255 if until <= at_ms else min(100, round(100 * share)))


def test_instances_are_busy_for_as_long_as_they_held_a_task(recorded):
    truth, recorder = recorded
    for number, record in enumerate(recorder.instances):
        since, until, *_ = truth.here[number]
        assert record.busy_ms == truth.busy_ms(number)
        assert record.ever_used == any(s.instance == number for s in truth.lives.values())
        assert (record.since_ms, record.until_ms) == (since, min(until, truth.end_ms))


def test_waits_are_from_the_first_submission_to_the_first_runs_of_a_request(recorded):
    truth, recorder = recorded
    runs: dict[int | str, list[int]] = defaultdict(list)
    for span in sorted(truth.lives.values(), key=lambda s: s.runs):
        if span.runs != NEVER:
            runs[span.owner].append(span.runs)
    expected, submitted = [], 0
    for entry in truth.rounds:
        for event in entry.accepted():
            if isinstance(event, m.RunTask) and not event.started_by.endswith((RETRY, RESUBMIT)):
                submitted += event.count
                expected += [ms - entry.now_ms for ms in runs[event.request][: event.count]]
    assert sorted(recorder.waits_ms) == sorted(expected)
    assert recorder.submitted == submitted


def test_what_was_lost_and_refused_is_counted_from_the_notices(recorded):
    truth, recorder = recorded
    commands = [c for entry in truth.rounds for c in entry.commands]
    lost = [
        task
        for c in commands
        if isinstance(c, m.TasksStopped) and c.stop_code is StopCode.INFRASTRUCTURE_HEALTH
        for task in c.tasks
    ]
    assert recorder.lost == len(lost)
    refused = sum(c.count for c in commands if isinstance(c, m.RunTaskFailed))
    refused += sum(isinstance(c, m.ServiceEvent) and c.failure is not None for c in commands)
    assert recorder.refusals.total() == refused


def test_tasks_that_ran_to_their_end_are_finished(recorded):
    truth, recorder = recorded
    exited = [
        (task, entry.now_ms)
        for entry in truth.rounds
        for event in entry.events
        if isinstance(event, m.TasksChanged)
        and event.stop_code is StopCode.ESSENTIAL_CONTAINER_EXITED
        for task in event.tasks
    ]
    ended = {task for task, at_ms in exited if truth.lives[task].ends == at_ms}
    assert recorder.totals.finished == sum(truth.lives[task].runs != NEVER for task in ended)


def test_tasks_started_on_named_instances_are_submitted_and_refused_once():
    world, recorder = Driven(), Recorder()
    world.round(definition(), instance(0, cpu=256))
    world.round(m.StartTask(0, "app", (0, 0)))
    world.round(running(0))
    for entry in world.rounds:
        recorder(entry)
    assert (recorder.submitted, len(recorder.waits_ms)) == (2, 1)
    assert (recorder.totals.waiting, recorder.totals.running) == (0, 1)
    assert recorder.refusals == {"RESOURCE:CPU": 1}


def test_a_recorder_fed_from_a_file_comes_to_the_same():
    rounds, end_ms = by_hand()
    stream = io.BytesIO()
    writer = JournalWriter(stream, Header(SchedulerConfig()))
    for entry in rounds:
        writer(entry)
    live, read = Recorder(), Recorder()
    for entry in rounds:
        live(entry)
    for entry in read_journal(stream.getvalue().splitlines())[1]:
        read(entry)
    live.finish(end_ms)
    read.finish(end_ms)
    assert live == read
    assert live.deployments.records == read.deployments.records


def test_tasks_that_go_with_a_spot_instance_are_lost_and_were_not_waiting():
    world = Driven()
    world.round(definition(cpu=512), instance(0))
    world.round(run_task(0, count=2))
    world.round(m.InstancesGone((0,), stop_code=StopCode.SPOT_INTERRUPTION))
    recorder = Recorder()
    for entry in world.rounds:
        recorder(entry)
    assert (recorder.lost, recorder.totals.waiting, recorder.totals.pending) == (2, 0, 0)


def test_what_services_lack_at_the_end_is_without_a_place():
    world, recorder = Driven(), Recorder()
    world.round(definition("app", cpu=512), instance(0, cpu=1024))
    world.round(m.CreateService("web", "app", 5))
    world.round(running(0, 1))
    for entry in world.rounds:
        recorder(entry)
    recorder.finish(20_000)
    assert recorder.totals.waiting == 0
    assert metrics_of(recorder)["waiting"] == 3
    column = 1 + SAMPLE_FIELDS.index("waiting")
    assert [sample[column] for sample in recorder.samples] == [0, 3, 3]


def test_a_task_that_is_on_its_way_has_a_place():
    world, recorder = Driven(), Recorder()
    world.round(definition("app", cpu=512), instance(0, cpu=1024))
    world.round(m.CreateService("web", "app", 5))
    for entry in world.rounds:
        recorder(entry)
    assert recorder.totals.pending == 2
    assert metrics_of(recorder)["waiting"] == 3


def test_an_instance_that_holds_nothing_but_daemons_is_not_busy():
    """Each of two has a daemon; a task is on the first from 3 s to 5 s, at 0.1 cents a second."""
    world, recorder = Driven(), Recorder()
    daemon = m.CreateService("agent", "app", scheduling_strategy="DAEMON")
    world.round(definition(), instance(0, price_microusd_hour=3_600_000), instance(1), daemon)
    world.round(running(0, 1))
    world.round(run_task(0, count=1))
    world.round(running(2))
    world.round(stopped(2))
    for entry in world.rounds:
        recorder(entry)
        if recorder.now_ms == 3_000:
            assert (recorder.totals.present, recorder.totals.busy) == (2, 1)
    recorder.finish(100_000)
    first, second = recorder.instances
    assert (first.tasks, first.daemons, first.busy) == (1, 1, False)
    assert (first.ever_used, second.ever_used) == (True, False)
    assert (first.busy_ms, second.busy_ms) == (2_000, 0)
    row = metrics_of(recorder)
    assert row["instances_used"] == 1
    assert row["dollars_busy"] == pytest.approx(0.002)
    assert row["instances_busy_mean"] == pytest.approx(2 / 100)
    # What daemons reserve is reserved all the same: 256 of 1024 on both since 1 s.
    assert row["cpu_reserved_pct"] == pytest.approx(100 * (2 * 99 + 2) / (2 * 4 * 99))


def test_services_are_whole_again_though_daemons_are_not_replaced():
    world = Driven()
    daemon = m.CreateService("agent", "app", scheduling_strategy="DAEMON")
    world.round(definition(), instance(0), instance(1), daemon, at_ms=0)
    world.round(m.CreateService("web", "app", 2), at_ms=0)
    world.round(running(0, 1, 2, 3), at_ms=1_000)
    world.round(gone(0), at_ms=10_000)
    world.round(running(4), at_ms=14_000)
    whole = metrics_of(recorded_by(world))
    assert (whole["lost"], whole["recovered"]) == (2, 1)
    assert whole["services_back_s"] == 4
    world.round(gone(1), at_ms=20_000)
    assert metrics_of(recorded_by(world))["services_back_s"] is None


def recorded_by(world: Driven) -> Recorder:
    recorder = Recorder()
    for entry in world.rounds:
        recorder(entry)
    return recorder


def test_an_instance_that_was_given_up_and_is_back_is_paid_for_throughout():
    """Under another number, as a real engine that nobody heard of for a while."""
    world = Driven()
    world.round(definition(), instance(0, price_microusd_hour=3_600_000), at_ms=0)
    world.round(gone(0), at_ms=10_000)
    again = m.InstanceRegistered(1, "i-0", {"CPU": 1024, "MEMORY": 1024}, {}, 3_600_000)
    world.round(again, at_ms=30_000)
    recorder = recorded_by(world)
    recorder.finish(100_000)
    row = metrics_of(recorder)
    assert row["dollars"] == pytest.approx(0.1)
    assert row["instance_hours"] == pytest.approx(100 / 3600)
    assert row["instances_mean"] == pytest.approx((10 + 70) / 100)
