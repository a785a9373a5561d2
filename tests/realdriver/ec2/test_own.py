"""`--control own`: plain EC2, agents of ours on a private engine, and no Amazon ECS at all."""

from __future__ import annotations

import json

import pytest

from tests.realdriver.agents.procs import Process
from tests.realdriver.agents.rig import AGENT
from tests.realdriver.ec2.user import User
from tests.realdriver.ec2.world import until
from tests.realdriver.engines import IMAGE

KEYS = {"AGENT_KEY": AGENT.access_key, "AGENT_SECRET": AGENT.secret}


def booting(world, engine, folder):
    """What boots machines: agents of ours on an engine, told what user data says."""

    def boot(machine, zone):
        """What user data says, as an instance would do it."""
        told = machine.settings
        assert told["ECS_BACKEND_HOST"] == world.plane.url
        process = Process(
            *("agent", "--endpoint-url", told["ECS_BACKEND_HOST"], "--engine", engine.url),
            *("--cluster", told["ECS_CLUSTER"], "--instance-id", machine.id, "--zone", zone),
            *("--cpu", "2048", "--memory", "7680", "--state", str(folder / machine.id)),
            *("--stop-timeout", "2s", "--cleanup-wait", "1s"),
            log=folder / f"{machine.id}.log",
            env={name: told[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        ).start()

        def kill():
            process.kill()
            for each in containers(engine):
                if machine.id in each["Names"][0]:
                    with engine.client() as client:
                        client.api.remove_container(each["Id"], v=True, force=True)

        return kill

    return boot


@pytest.mark.long
def test_instances_join_a_control_plane_of_ones_own(world, shared, tmp_path):
    user = User(tmp_path, world)
    for family in ("web", "job"):
        container = {
            "name": "c",
            "image": IMAGE,
            "cpu": 64,
            "memory": 32,
            "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"],
        }
        document = {"family": family, "containerDefinitions": [container]}
        (tmp_path / f"{family}.json").write_text(json.dumps(document))

    world.boot_with = booting(world, shared, tmp_path)
    more = f'[own]\nurl = "{world.plane.url}"\nkey_env = ["AGENT_KEY", "AGENT_SECRET"]\n'
    user.settings(more)
    file = tmp_path / "aws.toml"  # nothing of it may call Amazon's ECS
    file.write_text(
        file.read_text().replace(f'ecs = "{world.ecs.url}"', 'ecs = "http://x.invalid"')
    )
    user.lasts(15)
    running = user.run("--control", "own", "--yes", wait=False, **KEYS)
    until(lambda: user.running() >= 4, 90, user.log)
    assert len([c for c in containers(shared) if c["State"] == "running"]) >= 4
    assert running.wait(120) == 0, user.log()
    assert world.running() == []
    assert [c for c in containers(shared) if c["State"] == "running"] == []
    assert world.ecs.calls == {}
    assert AGENT.secret not in user.log()
    journal = next(user.cluster.folder.glob("journal-*.sqlite"))
    assert AGENT.secret.encode() not in journal.read_bytes()


def containers(engine):
    """What the engine has of agents."""
    with engine.client() as client:
        found = client.api.containers(all=True)
    return [each for each in found if "agent-i-" in each["Names"][0]]
