"""What a load balancer adds to a deployment, by answers worked out by hand."""

from __future__ import annotations

from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.deployment_log import DeploymentLog
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.loop import run_loop
from stowplan.placement.model import StopCode
from stowplan.placement.scheduler.launches import Launches

# A task starts in 1 s and stops in 1 s.
START, STOP, HEALTHY = 1, 1, 40
REGISTERED, CHECK, DRAIN = 5, 30, 300


def rounds_of(scenario):
    loaded = load_scenario(scenario)
    [run] = loaded.scenario.runs()
    scheduler, driver = world(loaded, run, loaded.scenario.duration)
    rounds: list[m.Round] = []
    run_loop(scheduler, driver, rounds.append)
    assert not check_rounds(rounds)
    return rounds


def took(rounds) -> dict[str, float]:
    """Service -> seconds of its last deployment."""
    launches = Launches()
    log = DeploymentLog(launches, due=lambda name: 0)
    for entry in rounds:
        for message in (*entry.accepted(), *entry.commands):
            if isinstance(message, m.RegisterTaskDefinition):
                launches.register(message.document)
            if handler := log.handlers.get(type(message)):
                handler(message, entry.now_ms)
    return {record.service: record.seconds(0) for record in log.records if record.began_ms}


def test_a_deployment_of_7_minutes_takes_56_behind_a_load_balancer():
    rounds = rounds_of(SCENARIOS / "load_balancer.toml")
    assert took(rounds) == {
        # One by one: a new task is healthy, an old one goes, the next new one starts.
        "without": 10 * (START + HEALTHY),
        # The next may start only when the old one is gone.
        "behind-a-load-balancer": 10 * (START + REGISTERED + CHECK + DRAIN + STOP),
        # All ten beside all ten, then they drain together.
        "with-short-delays": START + REGISTERED + 5 + 30 + STOP,
    }
    assert took(rounds)["behind-a-load-balancer"] == 56 * 60 + 10


def test_a_task_drains_before_it_is_told_to_stop():
    rounds = rounds_of(SCENARIOS / "load_balancer.toml")
    ordered, ended = {}, {}
    for entry in rounds:
        for command in entry.commands:
            if isinstance(command, m.StopTasks) and command.not_before_ms is not None:
                ordered.update(dict.fromkeys(command.tasks, (entry.now_ms, command.not_before_ms)))
        for event in entry.events:
            if isinstance(event, m.TasksChanged) and event.stop_code is not None:
                assert event.stop_code is StopCode.SERVICE_SCHEDULER_INITIATED
                ended.update(dict.fromkeys(event.tasks, entry.now_ms))
    assert len(ordered) == 20
    for task, (told_ms, until_ms) in ordered.items():
        assert until_ms - told_ms in (30_000, 300_000)
        assert ended[task] == until_ms + STOP * 1000


def test_the_agent_keeps_the_room_of_a_task_that_drains(tmp_path):
    scenario = tmp_path / "tight.toml"
    scenario.write_text(
        """
name = "tight"
duration = "30m"
models = { start = { mean = "1s" }, stop = { mean = "1s" } }
instance_types.one = { cpu = 1024, memory = 1024 }
fleet = [{ name = "f", instance_type = "one", count = 1, zones = ["a"] }]
[task_definitions.web]
family = "web"
containerDefinitions = [{ name = "main", image = "web", cpu = 1024, memory = 256 }]
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
load_balancer = {}
scale = [{ at = "10m", desired_count = 0 }, { at = "11m", desired_count = 2 }]
"""
    )
    rounds = rounds_of(scenario)
    placed = {
        t: e.now_ms
        for e in rounds
        for c in e.commands
        if isinstance(c, m.StartTasks)
        for t in c.tasks
    }
    ran = {
        t: e.now_ms
        for e in rounds
        for v in e.events
        if isinstance(v, m.TasksChanged) and v.status == "RUNNING"
        for t in v.tasks
    }
    # Its resources are free for placement at once (ecs 2.4), on the instance when it is gone.
    assert placed[1] == 660_000
    assert ran[1] == 600_000 + 300_000 + 1_000 + 1_000
