"""Podman's socket in place of an engine's: what Docker runs, it runs."""

from __future__ import annotations

import time

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode
from stowplan.realdriver.docker.leftovers import leftovers
from tests.debian import need
from tests.realdriver.engines import PodmanEngine
from tests.realdriver.rig import Rig, container, ours, registration, run_task, service, settings
from tests.realdriver.test_lifecycle import ASK, SERVE, fetch

OBEYS = "trap 'exit 0' TERM; sleep 1000 & wait"
PACKAGES = ("podman", "containernetworking-plugins", "conmon", "runc")


@pytest.fixture(scope="module")
def podman(warm, may_boot, tmp_path_factory):
    """One Podman for all tests here."""
    need(("podman", "conmon", "runc"), PACKAGES)
    engine = PodmanEngine(tmp_path_factory.mktemp("podman")).boot()
    engine.load_image()
    yield engine
    engine.close()


@pytest.fixture
def play(podman):
    """Rigs on it; what they made is removed after the test."""
    rigs = []

    def make(*arrivals, **more):
        rigs.append(Rig(settings([podman], **more), arrivals))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
        leftovers(rig.table, rig.cluster, None).remove()
        assert ours(podman, rig.cluster) == {}


def test_a_task_with_a_port_runs_and_its_end_is_noticed_at_once(podman, play):
    port = [{"containerPort": 80, "hostPort": 18080}, {"containerPort": 81}]
    rig = play(
        registration("web", container(command=SERVE.format("moin", 80), portMappings=port)),
        service("web", 1),
        silence="20s",
    )
    rig.until(rig.runs(1))
    assert "moin" in fetch(podman, "127.0.0.1", 18080)
    assert any("task 0 c: 81/tcp is at" in line for line in rig.said), rig.said
    rig.go_on(1)
    with podman.client() as client:
        began = time.monotonic()
        client.api.kill(f"stowplan-{rig.cluster}-0-c")
    rig.until(rig.stopped(0))
    assert time.monotonic() - began < 5, "by an event, not by the look after 20 s"
    assert rig.why(0)[1].endswith("c exit code 137")
    rig.check()


def test_exit_codes_and_stops(play):
    rig = play(
        registration("fails", container(command="exit 3")),
        registration("obeys", container(command=OBEYS)),
        run_task("fails", request=0),
        run_task("obeys", request=1),
    )
    rig.until(rig.stopped(0)).until(rig.runs(1))
    assert rig.why(0)[1] == "Essential container in task exited: c exit code 3"
    rig.callers.submit(m.StopTask((1,), "enough"))
    rig.until(rig.stopped(1))
    assert rig.why(1) == (StopCode.USER_INITIATED, "enough")
    rig.check()


def test_several_containers_in_order_with_health_and_one_network(podman, play):
    healthy = {"command": ["CMD-SHELL", "test -f /tmp/up"], "interval": 5}
    db = container("db", "sleep 1; touch /tmp/up; " + SERVE.format("pod", 80), healthCheck=healthy)
    after = [{"containerName": "db", "condition": "HEALTHY"}]
    rig = play(
        registration("pod", db, container("app", dependsOn=after), networkMode="awsvpc", cpu="512"),
        run_task("pod"),
    )
    rig.until(rig.runs(1), 40)
    there = ours(podman, rig.cluster)
    assert there["0-db"]["State"]["StartedAt"] < there["0-app"]["State"]["StartedAt"]
    rig.until(lambda: rig.events(m.TasksHealthChanged), 30)
    with podman.client() as client:
        found = client.containers.get(f"stowplan-{rig.cluster}-0-app")
        asked = found.exec_run(["sh", "-c", ASK.format("nc", "127.0.0.1", 80)])
        assert "pod" in asked.output.decode()
    rig.callers.submit(m.StopTask((0,)))
    rig.until(rig.stopped(0))
    rig.check()


def test_a_missing_image_and_a_program_that_is_not_there_say_so(play):
    rig = play(
        registration("absent", {**container(), "image": "127.0.0.1:5999/absent:1"}),
        registration("wrong", {**container(), "command": ["no-such-program"]}),
        run_task("absent", request=0),
        run_task("wrong", request=1),
    )
    rig.until(lambda: rig.stopped(0)() and rig.stopped(1)(), 40)
    assert rig.why(0)[1].startswith("CannotPullContainerError: ")
    assert "no-such-program" in rig.why(1)[1]


def test_a_run_is_taken_up_and_what_was_removed_meanwhile_has_ended(podman, play):
    rig = play(registration("web", container(command=OBEYS)), service("web", 2))
    rig.until(rig.runs(2))
    rig.driver.close()
    with podman.client() as client:
        client.api.remove_container(f"stowplan-{rig.cluster}-0-c", force=True)
    rig = rig.again()
    rig.until(rig.stopped(0)).until(rig.runs(2))
    assert rig.running() == [1, 2]
    rig.check()
    rig.close()
