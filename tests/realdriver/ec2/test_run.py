"""`stowplan run --driver ec2` as a user calls it: plan, run, kill, take up, down."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from contextlib import suppress

import pytest

from stowplan.experiments.cli.main import main
from stowplan.realdriver.ec2 import tags
from tests.realdriver.ec2.user import User
from tests.realdriver.ec2.world import until


@pytest.fixture
def user(world, tmp_path):
    return User(tmp_path, world)


@pytest.mark.long
def test_a_run_that_is_killed_goes_on_and_ends_with_nothing_left(user, world):
    user.lasts(12)
    first = user.run("--yes", wait=False)
    until(lambda: user.running() >= 4, 60, user.log)
    first.send_signal(signal.SIGKILL)
    first.wait()
    launched, tasks = set(world.running()), {t["taskArn"] for t in world.tasks("stowplan-tiny")}
    assert len(launched) == 3
    seen = user.call("status", "--cluster", "tiny")
    assert "is broken off" in seen.stdout
    assert "c RUNNING" in seen.stdout, seen.stdout + seen.stderr
    done = user.run("--out", str(user.folder / "out"))
    assert done.returncode == 0, done.stderr
    assert "taking up tiny" in done.stderr
    assert "describe calls find nothing more" in done.stderr
    assert "the bill: 0.0" in done.stderr
    assert world.running() == []
    assert {i["InstanceId"] for i in world.instances()} == launched  # and none was launched twice
    ours = [t for m in world.machines.values() for t in m.body.known]
    assert not ours  # their machines are gone
    assert tasks
    assert main(["verify", str(next((user.folder / "out" / "journals").iterdir()))]) == 0
    assert "the bill: 0.0" in (user.folder / "out" / "report.html").read_text()
    bill = json.loads((user.folder / "out" / "bill.json").read_text())
    assert len(bill["instances"]) == 3
    assert bill["usd"] > 0


@pytest.mark.long
def test_killed_again_and_again_at_random_points_nothing_is_done_twice(user, world):
    rng = random.Random(22)
    user.lasts(15)
    for _ in range(10):
        running = user.run("--yes", wait=False)
        with suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(2, 12))
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert running.returncode == -signal.SIGKILL, user.log()  # it was not over before
    launched = [identity for _, ids in world.front.launches for identity in ids]
    assert len(launched) <= 3
    numbers = [
        tags.number_of(task)
        for status in ("RUNNING", "STOPPED")
        for task in world.tasks("stowplan-tiny", status)
    ]
    assert len(numbers) == len(set(numbers))
    done = user.run("--yes")
    assert done.returncode == 0, done.stderr
    assert len(world.instances()) == 3
    assert world.running() == []
    assert all("Name" in str(each["Tags"]) for each in world.instances())


def test_the_plan_is_said_and_asked_for(user, world, capsys, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(user.folder))
    run = ["run", str(user.folder / "scenario.toml"), "--driver", "ec2"]
    run += ["--aws", str(user.folder / "aws.toml")]
    world.front.prices["m5.large"] = "0.1070000000"
    assert main(run) == 2
    asked = capsys.readouterr().err
    assert "nobody is there to be asked" in asked
    line = "3 x m5.large on-demand (us-east-1a 2, us-east-1b 1) at 0.107 $/h each"
    assert line in asked
    assert "(Pricing API, 20" in asked
    world.front.prices.clear()
    assert main([*run, "--dry-run", "--max-usd", "1"]) == 0
    said = capsys.readouterr()
    assert "may be launched" in said.out
    assert "0.2880 $ an hour" in said.err
    assert "shipped table of 2026-07-20" in said.err
    assert "at most 0.14 $" in said.err
    assert main([*run, "--yes", "--max-usd", "0.001"]) == 2
    assert "launching and ending this fleet alone may cost" in capsys.readouterr().err
    assert main([*run, "--yes", "--forever"]) == 2
    assert "needs --max-hours or --max-usd" in capsys.readouterr().err
    assert world.instances() == []


def test_without_a_right_nothing_is_launched_and_the_right_is_named(
    user, world, capsys, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(user.folder))
    run = ["run", str(user.folder / "scenario.toml"), "--driver", "ec2", "--yes"]
    run += ["--aws", str(user.folder / "aws.toml")]
    for action in ("RunInstances", "CreateTags"):
        denied = (403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        world.front.faults = lambda name, form, a=action, d=denied: d if name == a else None
        assert main(run) != 0
        assert f"no right to ec2:{action}" in capsys.readouterr().err
        assert world.instances() == []


@pytest.mark.long
def test_down_ends_a_run_that_was_killed_also_without_its_journal(user, world):
    first = user.run("--yes", wait=False)
    until(lambda: user.running() >= 4, 60, user.log)
    first.send_signal(signal.SIGKILL)
    first.wait()
    user.cluster.journal.unlink()
    aws = ("--driver", "ec2", "--aws", str(user.folder / "aws.toml"), "--cluster", "tiny")
    listed = user.call("down", *aws)
    assert "would remove" in listed.stdout, listed.stderr
    assert len(world.running()) == 3
    done = user.call("down", *aws, "--yes")
    assert done.returncode == 0, done.stderr
    assert "3 instances" in done.stdout
    assert "1 ECS cluster" in done.stdout
    assert world.running() == []
    assert user.call("down", *aws, "--yes").returncode == 2
