"""kill -9 of control plane, agents, engines at random: no task lost, doubled, or left."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.realdriver.agents.procs import Server
from tests.realdriver.agents.real import agent
from tests.realdriver.agents.rig import CONTAINER, register, until

STANDALONE, SERVED = 3, 4


@pytest.fixture
def world(boot, tmp_path):
    """A control plane and three agents on three engines that let containers live on."""
    server = Server(tmp_path).start()
    engines = [boot("--live-restore") for _ in range(3)]
    agents = [agent(server, e, n, tmp_path / f"a{n}") for n, e in enumerate(engines)]
    for each in agents:
        each.start()
    yield server, agents, engines
    for each in [*agents, server]:
        each.end()


def containers(engines):
    """(id, its state) of all containers, whichever engine has them."""
    return {c["Id"]: c["State"] for engine in engines for c in engine.containers()}


def described(ecs, arns):
    return ecs.describe_tasks(tasks=arns)["tasks"]


def running(ecs):
    arns = ecs.list_tasks()["taskArns"]
    found = described(ecs, arns) if arns else []
    return [task for task in found if task["lastStatus"] == "RUNNING"]


def strike(server, agents, engines, rng):
    """Kill one of them, and start it again after a while."""
    kind = rng.choice(["server", "agent", "engine"])
    victim = {"server": server, "agent": rng.choice(agents), "engine": rng.choice(engines)}[kind]
    victim.kill()
    time.sleep(rng.uniform(0, 1))
    victim.start()
    return kind


def live_through(world, kills, seed):
    server, agents, engines = world
    rng, ecs = random.Random(seed), server.client()
    until(lambda: len(ecs.list_container_instances()["containerInstanceArns"]) == 3, 60)
    register(ecs, containerDefinitions=[CONTAINER | {"command": ["sh", "-c", "sleep 100000"]}])
    ecs.create_service(serviceName="s", taskDefinition="app", desiredCount=SERVED)
    alone = ecs.run_task(taskDefinition="app", count=STANDALONE, clientToken="first")["tasks"]
    arns = [task["taskArn"] for task in alone]
    assert len(arns) == STANDALONE
    until(lambda: len(running(ecs)) == STANDALONE + SERVED, 60)
    first = containers(engines)
    assert len(first) == STANDALONE + SERVED
    struck = Counter(strike(server, agents, engines, rng) for _ in range(kills))
    until(lambda: len(running(ecs)) == STANDALONE + SERVED, 60)
    until(lambda: all(_connected(ecs)), 60)
    assert {task["lastStatus"] for task in described(ecs, arns)} == {"RUNNING"}
    # Each ran through it all in the container that it was given at first.
    assert containers(engines) == dict.fromkeys(first, "running")
    ecs.delete_service(service="s", force=True)
    for arn in arns:
        ecs.stop_task(task=arn)
    until(lambda: not running(ecs), 60)
    until(lambda: not containers(engines), 60)
    print(f"{kills} kills, {dict(struck)}: 0 of {STANDALONE + SERVED} tasks lost or doubled")


def _connected(ecs):
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    return [each["agentConnected"] for each in found]


@pytest.mark.long
def test_fifty_kills_lose_and_double_nothing(world):
    live_through(world, 50, seed=2)


def _settled(ecs, arns):
    """Those of these tasks that run, once none waits. An engine that is killed while it starts a
    container may not start it any more; that is told, with its reason, and is no loss."""
    found = described(ecs, arns)
    ended = [task for task in found if task["lastStatus"] == "STOPPED"]
    for task in ended:
        assert task["stopCode"] == "TaskFailedToStart", task
        assert task["stoppedReason"].startswith("CannotStartContainerError"), task
    assert len(ended) <= 2
    rest = [task["taskArn"] for task in found if task["lastStatus"] == "RUNNING"]
    return rest if len(rest) + len(ended) == len(arns) else None


@pytest.mark.long
def test_tasks_come_and_go_while_all_is_killed(world):
    """Tasks are started and stopped between kills: what was accepted runs once, and ends once."""
    server, agents, engines = world
    rng, ecs = random.Random(3), server.client()
    until(lambda: len(ecs.list_container_instances()["containerInstanceArns"]) == 3, 60)
    register(ecs, containerDefinitions=[CONTAINER | {"command": ["sh", "-c", "sleep 100000"]}])
    kept, stopped = [], []
    for number in range(20):
        answer = ecs.run_task(taskDefinition="app", count=2, clientToken=f"t{number}")
        kept += [task["taskArn"] for task in answer["tasks"]]
        while len(kept) > 6:
            stopped.append(kept.pop(rng.randrange(len(kept))))
            ecs.stop_task(task=stopped[-1])
        strike(server, agents, engines, rng)
    kept = until(lambda: _settled(ecs, kept), 90)
    assert {task["taskArn"] for task in running(ecs)} == set(kept)
    until(lambda: len(containers(engines)) == len(kept), 60)
    assert {task["lastStatus"] for task in described(ecs, stopped)} == {"STOPPED"}
    for arn in kept:
        ecs.stop_task(task=arn)
    until(lambda: not containers(engines), 60)
