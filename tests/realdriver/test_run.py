"""`stowplan run` and its companions as a user calls them, killed and started again."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.record.journals import read_journal_file
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.journal import Header, replay
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from stowplan.realdriver.clusters import ClusterFolder
from stowplan.realdriver.journal import DurableJournal
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


OBEYS = "trap 'exit 0' TERM; sleep 1000 & wait"


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
        command = [sys.executable, "-m", "stowplan", *words]
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
    def cluster(self) -> ClusterFolder:
        """The cluster's files."""
        return ClusterFolder(self.folder / "state" / "stowplan" / "tiny")

    def lasts(self, seconds: int) -> None:
        """Let the scenario's duration be this."""
        (self.folder / "scenario.toml").write_text(SCENARIO.format(seconds=seconds))

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
    (tmp_path / "web.json").write_text(task_definition("web", OBEYS, stopTimeout=2))
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
    user.lasts(120)
    first = user.run(wait=False)
    try:
        user.until(user.serves)
        second = user.run()
        assert second.returncode == 2
        assert "is driven by another run" in second.stderr
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
        user.lasts(120)
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
            user.lasts(121)
            changed = user.run()
            assert changed.returncode == 2
            assert "another scenario" in changed.stderr
            dry = user.call("down", "--cluster", "tiny")
            assert "would remove" in dry.stdout
            assert user.serves()
            down = user.call("down", "--cluster", "tiny", "--yes")
            assert down.returncode == 0, down.stderr
            assert ours(user.engine, "tiny") == {}
            assert client.api.inspect_container(foreign)["State"]["Running"]
        finally:
            client.api.remove_container(foreign, force=True)


def test_without_an_engine_a_run_says_so_and_begins_nothing(may_boot, user):
    ran = user.run(DOCKER_HOST=f"unix://{user.folder}/nothing.sock")
    assert ran.returncode == 2
    assert "no engine answers" in ran.stderr
    assert f"unix://{user.folder}/nothing.sock: no such file" in ran.stderr
    assert not user.cluster.journal.exists()


def test_down_leaves_the_journal_while_an_engine_does_not_answer(may_boot, user, capsys):
    nothing = f"unix://{user.folder}/nothing.sock"
    state = user.cluster.folder.parent
    engines = f'{{"engine": [{{"url": "{nothing}"}}]}}'
    for rounds, status in ((0, 0), (1, 1)):
        journal = DurableJournal(user.cluster.journal)
        journal.begin(Header(SchedulerConfig(), {"id": "x", "engines": engines}))
        for number in range(rounds):
            journal(m.Round(number, (), ()))
        journal.close()
        assert main(["down", "--yes", "--state", str(state)]) == status
        said = capsys.readouterr()
        assert nothing in said.err
        assert user.cluster.journal.exists() is bool(rounds)
    assert "the same command removes the rest later" in said.err
    file = user.folder / "engines.toml"
    file.write_text(f'[[engine]]\nurl = "{user.engine.url}"\n')
    words = ["--cluster", "tiny", "--engines", str(file)]
    assert main(["down", "--yes", "--state", str(state), *words]) == 0
    assert not user.cluster.journal.exists()


def test_why_tasks_do_not_start_is_said_once_for_each_reason(user):
    for family in ("web", "job"):
        file = user.folder / f"{family}.json"
        file.write_text(task_definition(family, "", image="127.0.0.1:9/no:1"))
    ran = user.run()
    assert ran.returncode == 0, ran.stderr
    [line] = [line for line in ran.stderr.splitlines() if "failed to start" in line]
    assert "CannotPullContainerError" in line
    rounds = rounds_of(user)
    failed = [e for r in rounds for e in r.events if "CannotPull" in str(e)]
    assert len(failed) > 1
    # As with ECS a service tries again later and later, and nobody asks for a lost job again.
    starts = [c for r in rounds for c in r.commands if isinstance(c, m.StartTasks)]
    assert sum(command.service == "web" for command in starts) == 1
    asked = [e.request for r in rounds for e in r.events if isinstance(e, m.RunTask)]
    assert asked == sorted(set(asked))


def rounds_of(user):
    """The rounds of the run that is over."""
    journal = DurableJournal(next(user.cluster.folder.glob("journal-*.sqlite")), writing=False)
    written = journal.read()
    journal.close()
    return written[1]


def test_status_logs_drain_and_stop_task_while_the_run_goes_on(user):
    user.lasts(120)
    process = user.run("--map", "0", wait=False)
    try:
        url = re.search(r"http://\S+", process.stderr.readline().decode())[0]
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
        with urllib.request.urlopen(url + "frames.json", timeout=10) as answer:
            document = json.load(answer)
        assert {"web", "jobs"} == set(document["groups"])
        assert "instances DRAINING" in str(document["events"])
        unknown = user.call("stop-task", "9999")
        assert unknown.returncode == 2
        assert "task 9999: no such task" in unknown.stderr
    finally:
        process.kill()
        process.wait()


def test_a_service_is_updated_while_the_run_goes_on_and_stays_so_after_a_crash(user, capsys):
    user.lasts(120)
    process = user.run(wait=False)

    def update(*words):
        return main(["update-service", *words, "--state", str(user.cluster.folder.parent)])

    def run_web():
        there = ours(user.engine, "tiny").values()
        running = [each["Config"]["Labels"] for each in there if each["State"]["Running"]]
        return sorted(
            label["stowplan.task-definition"]
            for label in running
            if label["stowplan.task-definition"].startswith("web")
        )

    try:
        user.until(user.serves)
        for words, said in (
            (["web"], "nothing to change"),
            (["wep", "--desired-count", "3"], "no such service; there are web"),
            (["web", "--desired-count", "-1"], "desired count -1, at least 0 expected"),
            (["web", "--task-definition", "wep"], "unknown task definition 'wep'"),
            (["web", "--task-definition", "none.json"], "none.json: No such file"),
        ):
            assert update(*words) == 2
            assert said in capsys.readouterr().err
        file = user.folder / "next.json"
        check = {"command": ["CMD", "true"], "interval": 5}  # else healthy after 40 s of RUNNING
        file.write_text(task_definition("web", OBEYS, stopTimeout=2, healthCheck=check))
        assert update("web", "--desired-count", "3", "--task-definition", str(file)) == 0
        user.until(lambda: run_web() == ["web:2"] * 3)
    finally:
        process.kill()
        process.wait()
    rounds = len(user.written())
    again = user.run(wait=False)
    try:
        # A call that came with the journal is not made again, and one that is new is heard.
        assert update("web", "--desired-count", "2") == 0
        user.until(lambda: run_web() == ["web:2"] * 2)
    finally:
        again.kill()
        again.wait()
    updates = [e for r in user.written() for e in r.events if isinstance(e, m.UpdateService)]
    assert [each.desired_count for each in updates] == [3, 2]
    later = [c for r in user.written()[rounds:] for c in r.commands if isinstance(c, m.StartTasks)]
    assert not any(command.service == "web" for command in later)


def kill_and_take_up(user, delays):
    """Kill the run so many seconds after it did something, again and again; then let it end."""
    for seconds in delays:
        rounds = len(user.written())
        process = user.run(wait=False)
        user.until(lambda r=rounds, p=process: len(user.written()) > r or p.poll() is not None)
        time.sleep(seconds)
        process.kill()
        process.wait()
    last = user.run("--out", str(user.folder / "out"))
    assert last.returncode == 0, last.stderr


def killed_at(user, delays):
    """What must hold after a run that was killed again and again."""
    before = int(time.time())
    kill_and_take_up(user, delays)
    journal = next((user.folder / "out" / "journals").iterdir())
    _, rounds = read_journal_file(journal)
    replay(Scheduler(), rounds)
    assert check_rounds(rounds) == []
    commands = [c for entry in rounds for c in entry.commands if isinstance(c, m.StartTasks)]
    asked = [task for command in commands for task in command.tasks]
    jobs = {task for command in commands if command.service is None for task in command.tasks}
    ended = {
        task
        for entry in rounds
        for event in entry.events
        if isinstance(event, m.TasksChanged) and event.status is TaskStatus.STOPPED
        for task in event.tasks
    }
    assert len(asked) == len(set(asked))
    assert jobs
    assert jobs <= ended
    started = starts_seen(user.engine, before)
    assert len(started) == len(set(started)), "a container was started twice"
    assert jobs <= set(started)
    assert ours(user.engine, "tiny") == {}


def starts_seen(engine, since):
    """The tasks of which the engine itself says that it started a container, in order."""
    with engine.client() as client:
        label = {"event": "start", "label": "stowplan.cluster=tiny"}
        until = int(time.time()) + 1
        events = client.events(since=since, until=until, decode=True, filters=label)
        return [int(each["Actor"]["Attributes"]["stowplan.task"]) for each in events]


def test_a_run_that_is_killed_is_taken_up_where_it_was(user):
    killed_at(user, [0.0, 0.1, 0.6])


@pytest.mark.long
def test_killed_at_fifty_random_points(user):
    rng = random.Random(7)
    user.lasts(40)
    killed_at(user, [rng.uniform(0, 0.8) for _ in range(50)])
