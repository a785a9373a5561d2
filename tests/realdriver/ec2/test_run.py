"""`stowplan run --driver ec2` as a user calls it: plan, run, kill, take up, down."""

from __future__ import annotations

import json
import signal

import pytest

from stowplan.experiments.cli.main import main
from tests.realdriver.ec2.user import User
from tests.realdriver.ec2.world import until


@pytest.fixture
def user(world, tmp_path):
    return User(tmp_path, world)


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
    bill = json.loads((user.folder / "out" / "bill.json").read_text())
    assert len(bill["instances"]) == 3
    assert bill["usd"] > 0


def test_the_plan_is_said_and_asked_for(user, world):
    asked = user.run()
    assert asked.returncode == 2
    assert "nobody is there to be asked" in asked.stderr
    line = "3 x m5.large on-demand (us-east-1a 2, us-east-1b 1) at 0.096 $/h each"
    assert line in asked.stderr, asked.stderr
    assert "0.2880 $ an hour" in asked.stderr
    assert "shipped table of 2026-07-20" in asked.stderr
    dry = user.run("--dry-run", "--max-usd", "1")
    assert dry.returncode == 0, dry.stderr
    assert "may be launched" in dry.stdout
    assert "at most 0.14 $" in dry.stderr
    assert world.instances() == []


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
