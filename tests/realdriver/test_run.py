"""`stowplan run` and its companions as a user calls them, killed and started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.clusters import Cluster
from experiments.docker_run import copy_journal
from placement import messages as m
from placement.checkers import check_rounds
from placement.journal import replay
from placement.model import TaskStatus
from placement.scheduler import Scheduler
from tests.realdriver.engines import IMAGE, Engine
from tests.realdriver.rig import ours

ROOT = Path(__file__).parents[2]
SCENARIO = """
name = "tiny"
duration = "{seconds}s"
[[fleet]]
name = "general"
instance_type = "m5.large"
count = 3
zones = ["a", "b"]
[task_definitions]
web = "web.json"
job = "job.json"
[[service]]
name = "web"
task_definition = "web"
desired_count = 2
[[workload]]
name = "jobs"
task_definition = "job"
kind = "poisson"
until = "4s"
options = {{ rate_per_s = 1.5, run = {{ mean = "30s" }} }}
"""


def task_definition(family: str, command: str, **more: object) -> str:
    """The JSON of a task definition with one container."""
    fields = {"name": "c", "image": IMAGE, "cpu": 64, "memory": 32, **more}
    return json.dumps(
        {"family": family, "containerDefinitions": [{**fields, "command": ["sh", "-c", command]}]}
    )


@dataclass
class User:
    """Calls `stowplan` in a folder, with one local engine as the `docker` command would find it."""

    folder: Path
    engine: Engine

    def call(self, *words: str, wait: bool = True, **environ: str):
        """Run a subcommand; returns it finished, or as it runs."""
        command = [sys.executable, "-m", "experiments.cli", *words]
        env = {**os.environ, "DOCKER_HOST": self.engine.url, **environ}
        env.setdefault("XDG_STATE_HOME", str(self.folder / "state"))
        if not wait:
            return subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
        )

    def run(self, *words: str, wait: bool = True, **environ: str):
        """`stowplan run` of the scenario."""
        scenario = str(self.folder / "scenario.toml")
        return self.call("run", scenario, "--driver", "docker", *words, wait=wait, **environ)

    @property
    def cluster(self) -> Cluster:
        """The cluster's files."""
        return Cluster(self.folder / "state" / "stowplan" / "tiny")

    def written(self) -> list[m.Round]:
        """What the journal holds."""
        found = self.cluster.read()
        return [] if found is None else found[1]

    def until(self, holds, seconds: float = 30) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self.written()
            time.sleep(0.05)

    def serves(self) -> bool:
        """Whether the service runs."""
        there = ours(self.engine, "tiny")
        return sum(each["State"]["Status"] == "running" for each in there.values()) >= 2


@pytest.fixture
def user(shared, tmp_path):
    """A user with a scenario; what is left of the cluster is removed after the test."""
    obeys = "trap 'exit 0' TERM; sleep 1000 & wait"
    (tmp_path / "web.json").write_text(task_definition("web", obeys, stopTimeout=2))
    (tmp_path / "job.json").write_text(task_definition("job", "echo $(date); exit 0"))
    (tmp_path / "scenario.toml").write_text(SCENARIO.format(seconds=8))
    yield User(tmp_path, shared)
    with shared.client() as client:
        for found in ours(shared, "tiny").values():
            client.api.remove_container(found["Id"], force=True)
        for network in client.api.networks(filters={"label": "stowplan.cluster=tiny"}):
            client.api.remove_network(network["Id"])


def test_a_run_from_nothing_to_a_report_leaves_nothing(user):
    ran = user.run("--out", str(user.folder / "out"))
    assert ran.returncode == 0, ran.stderr
    assert (user.folder / "out" / "report.html").is_file()
    assert ours(user.engine, "tiny") == {}
    assert "removed" in ran.stderr
    journal = next((user.folder / "out" / "journals").iterdir())
    verified = user.call("verify", str(journal))
    assert verified.returncode == 0, verified.stderr


def test_a_second_run_is_refused_here_and_with_a_journal_elsewhere(user):
    first = user.run(wait=False)
    try:
        user.until(user.serves)
        second = user.run()
        assert second.returncode == 2
        assert "in the hands of another run" in second.stderr
        elsewhere = user.run(XDG_STATE_HOME=str(user.folder / "elsewhere"))
        assert elsewhere.returncode == 2
        assert "another run's" in elsewhere.stderr
        assert user.serves()
    finally:
        first.kill()
        first.wait()


def test_ctrl_c_leaves_the_tasks_and_down_removes_them_and_nothing_else(user):
    with user.engine.client() as client:
        foreign = client.api.create_container(IMAGE, ["sleep", "1000"], name="foreign")
        client.api.start(foreign)
        try:
            process = user.run(wait=False)
            user.until(user.serves)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=20)[1].decode()
            assert process.returncode == 130
            assert "stowplan down --cluster tiny --yes" in said
            assert user.serves()
            status = user.call("status").stdout
            assert "broken off" in status
            dry = user.call("down", "--cluster", "tiny")
            assert "would remove" in dry.stdout
            assert user.serves()
            down = user.call("down", "--cluster", "tiny", "--yes")
            assert down.returncode == 0, down.stderr
            assert ours(user.engine, "tiny") == {}
            assert client.api.inspect_container(foreign)["State"]["Running"]
        finally:
            client.api.remove_container(foreign, force=True)


def test_status_logs_drain_and_stop_task_while_the_run_goes_on(user):
    (user.folder / "scenario.toml").write_text(SCENARIO.format(seconds=60))
    process = user.run(wait=False)
    try:
        user.until(lambda: "3-c" in ours(user.engine, "tiny"))
        user.until(lambda: ours(user.engine, "tiny")["3-c"]["State"]["Status"] == "exited")
        status = user.call("status").stdout
        assert "goes on" in status
        assert "service:web" in status
        assert user.call("logs", "3").stdout.startswith("c  ")
        first = next(e for r in user.written() for e in r.commands if isinstance(e, m.StartTasks))
        assert user.call("stop-task", str(first.tasks[0]), "--reason", "why not").returncode == 0
        user.until(lambda: "why not" in str(user.written()))
        name = "i-00000000000000000"
        assert user.call("drain", name).returncode == 0
        user.until(lambda: "DRAINING" in str(user.written()[-5:]))
    finally:
        process.kill()
        process.wait()


def kill_and_take_up(user, points):
    """Kill the run so many seconds after its start, one after the other; then let it end."""
    for seconds in points:
        process = user.run(wait=False)
        time.sleep(seconds)
        process.kill()
        process.wait()
    last = user.run("--out", str(user.folder / "out"))
    assert last.returncode == 0, last.stderr


def started_once(user, rounds):
    """No task was started on two instances, and every one that was, ended or was to live on."""
    starts = [t for r in rounds for c in r.commands if isinstance(c, m.StartTasks) for t in c.tasks]
    assert len(starts) == len(set(starts))
    ended = {
        task
        for entry in rounds
        for event in entry.events
        if isinstance(event, m.TasksChanged) and event.status is TaskStatus.STOPPED
        for task in event.tasks
    }
    jobs = {
        task
        for entry in rounds
        for command in entry.commands
        if isinstance(command, m.StartTasks) and command.service is None
        for task in command.tasks
    }
    assert jobs <= ended
    return jobs


def killed_at(user, points):
    """What must hold after a run that was killed at these points and taken up."""
    once = "mkdir -p /seen; touch /seen/$HOSTNAME; exit 0"
    (user.folder / "job.json").write_text(task_definition("job", once))
    with user.engine.client() as client:
        before = time.time()
        kill_and_take_up(user, points)
        journal = user.cluster.folder / "journal-1.sqlite"
        copy_journal(journal, user.folder / "j.gz")
        rounds = Cluster(journal.parent).read()
        assert rounds is None, "the journal was put aside"
        from experiments.commands import read_journal_file

        _, rounds = read_journal_file(user.folder / "j.gz")
        replay(Scheduler(), rounds)
        assert check_rounds(rounds) == []
        jobs = started_once(user, rounds)
        starts = [
            event["Actor"]["Attributes"]["stowplan.task"]
            for event in client.events(
                since=int(before),
                until=int(time.time()) + 1,
                decode=True,
                filters={"event": "start", "label": "stowplan.cluster=tiny"},
            )
        ]
        assert sorted(starts) == sorted(set(starts)), "a container was started twice"
        assert {str(job) for job in jobs} <= set(starts)
        assert ours(user.engine, "tiny") == {}


def test_a_run_that_is_killed_is_taken_up_where_it_was(user):
    killed_at(user, [2.6, 3.2, 4.1])


@pytest.mark.long
def test_killed_at_fifty_random_points(user):
    rng = random.Random(7)
    (user.folder / "scenario.toml").write_text(SCENARIO.format(seconds=30))
    killed_at(user, [rng.uniform(1.5, 4.0) for _ in range(50)])
