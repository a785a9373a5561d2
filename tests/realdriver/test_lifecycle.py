"""Tasks on a real engine: what a definition says is what runs, and its end has ECS's reasons."""

from __future__ import annotations

import subprocess

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode
from tests.realdriver.engines import kill_inside
from tests.realdriver.rig import Rig, container, ours, registration, run_task, service, settings

ASK = 'printf "GET / HTTP/1.0\\r\\n\\r\\n" | {} -w 2 {} {}'
SERVE = "echo {0} > /tmp/index.html; exec httpd -f -p {1} -h /tmp"


@pytest.fixture
def play(shared):
    """Rigs on the shared engine; what they made is removed after the test."""
    rigs = []

    def make(*arrivals, **more):
        rig = Rig(settings([shared], **more), arrivals)
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.close()
        with shared.client() as client:
            for found in ours(shared, rig.cluster).values():
                client.api.remove_container(found["Id"], v=True, force=True)
            client.api.remove_network(f"stowplan-{rig.cluster}")


def fetch(engine, address, port):
    """What a web server says to a client on the engine's machine."""
    return engine.enter("sh", "-c", ASK.format("busybox nc", address, port)).stdout.decode()


def inside(engine, cluster, name, command):
    """What a shell in a container says."""
    with engine.client() as client:
        found = client.containers.get(f"stowplan-{cluster}-{name}")
        return found.exec_run(["sh", "-c", command]).output.decode()


def test_a_task_is_what_its_definition_says(play, shared):
    rig = play(
        registration(
            "app",
            container(
                "web",
                SERVE.format("$GREETING", 80),
                environment=[{"name": "GREETING", "value": "moin"}],
                portMappings=[
                    {"containerPort": 80, "hostPort": 18080},
                    {"containerPort": 81, "hostPort": 0, "protocol": "udp"},
                ],
                cpu=512,
                memory=64,
                memoryReservation=48,
                ulimits=[{"name": "nofile", "softLimit": 99, "hardLimit": 199}],
                stopTimeout=7,
            ),
            container(
                "side",
                links=["web:front"],
                readonlyRootFilesystem=True,
                user="1234",
                essential=False,
            ),
            cpu="1024",
        ),
        run_task("app"),
    )
    rig.until(rig.runs(1))
    there = ours(shared, rig.cluster)
    host = there["0-web"]["HostConfig"]
    assert (host["CpuShares"], host["Memory"], host["MemoryReservation"]) == (
        512,
        64 << 20,
        48 << 20,
    )
    held = there.get("0-internal_ecs_pause", there["0-web"])  # cgroup v1: by one for both
    assert held["HostConfig"]["NanoCpus"] == 1_000_000_000
    # The soft limit is read here: runc may raise it for a moment in whatever it executes.
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 99, "Hard": 199}]
    assert inside(shared, rig.cluster, "0-web", "ulimit -Hn").strip() == "199"
    assert "moin" in fetch(shared, "127.0.0.1", 18080)
    assert any("task 0 web: 81/udp is at 0.0.0.0:32" in line for line in rig.said), rig.said
    assert "uid=1234" in inside(shared, rig.cluster, "0-side", "id")
    assert "Read-only" in inside(shared, rig.cluster, "0-side", "touch /x 2>&1")
    answer = inside(shared, rig.cluster, "0-side", ASK.format("nc", "front", 80))
    assert "moin" in answer
    rig.check()


def test_containers_of_an_awsvpc_task_share_localhost_and_two_tasks_one_port(play, shared):
    rig = play(
        registration(
            "pod",
            container("web", SERVE.format("pod", 80), portMappings=[{"containerPort": 80}]),
            container("side", essential=False),
            networkMode="awsvpc",
        ),
        run_task("pod", 2),
    )
    rig.until(rig.runs(2))
    for task in (0, 1):
        ask = ASK.format("nc", "127.0.0.1", 80)
        assert "pod" in inside(shared, rig.cluster, f"{task}-side", ask)
    rig.callers.submit(m.StopTask((0, 1)))
    rig.until(lambda: rig.stopped(0)() and rig.stopped(1)())
    rig.until(lambda: not any("pause" in name for name in ours(shared, rig.cluster)))


def test_containers_of_a_task_share_the_namespaces_that_it_asks_for(play, shared):
    rig = play(
        registration(
            "probe",
            container("main", "exec sleep 4242"),
            container("tracer", essential=False),
            pidMode="task",
            ipcMode="task",
        ),
        run_task("probe"),
    )
    rig.until(rig.runs(1))
    assert "sleep 4242" in inside(shared, rig.cluster, "0-tracer", "ps -o args")
    link = "readlink /proc/self/ns/ipc"
    both = {inside(shared, rig.cluster, f"0-{name}", link).strip() for name in ("main", "tracer")}
    assert len(both) == 1
    rig.callers.submit(m.StopTask((0,)))
    rig.until(rig.stopped(0))
    rig.until(lambda: not any("pause" in name for name in ours(shared, rig.cluster)))


def test_options_of_a_volumes_driver_reach_the_engine(play, shared):
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    volume = {"scope": "task", "driver": "local", "driverOpts": options}
    rig = play(
        registration(
            "app",
            container("main", mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}]),
            volumes=[{"name": "v", "dockerVolumeConfiguration": volume}],
        ),
        run_task("app"),
    )
    rig.until(rig.runs(1))
    assert "1024" in inside(shared, rig.cluster, "0-main", "df -k /v | tail -1")


def test_order_health_and_a_dependency_that_completes(play, shared):
    rig = play(
        registration(
            "app",
            container("init", "exit 0", essential=False),
            container(
                "db",
                "sleep 1; touch /tmp/up; sleep 1000",
                dependsOn=[{"containerName": "init", "condition": "SUCCESS"}],
                healthCheck={"command": ["CMD-SHELL", "test -f /tmp/up"], "interval": 5},
            ),
            container("web", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}]),
        ),
        run_task("app"),
    )
    rig.until(lambda: "0-db" in ours(shared, rig.cluster))
    assert "0-web" not in ours(shared, rig.cluster)
    rig.until(rig.runs(1), 30)
    started = {n: each["State"]["StartedAt"] for n, each in ours(shared, rig.cluster).items()}
    assert started["0-init"] < started["0-db"] < started["0-web"]
    rig.until(lambda: rig.events(m.TasksHealthChanged), 30)
    rig.check()


def test_a_tasks_memory_is_a_limit_of_its_containers_together(play, shared):
    with shared.client() as client:
        if client.info()["CgroupVersion"] != "1":
            pytest.skip("NOT TESTED: only with cgroup v1 can a container's cgroup hold others")
    # 24 MiB each; 40 or 96 for both.
    eats = "exec dd if=/dev/zero of=/dev/null bs=24M"
    both = [container(name, eats, memoryReservation=8) for name in ("left", "right")]
    for each in both:
        del each["memory"]
    rig = play(
        registration("tight", *both, memory="40"),
        registration("roomy", *both, memory="96"),
        run_task("tight", request=0),
        run_task("roomy", request=1),
    )
    rig.until(rig.stopped(0))
    assert "OutOfMemoryError: Container killed due to memory usage" in rig.why(0)[1]
    rig.go_on(1.0)
    assert rig.running() == [1]
    there = ours(shared, rig.cluster)
    assert [name for name in there if name.endswith("pause")] == ["1-internal_ecs_pause"]
    rig.callers.submit(m.StopTask((1,)))
    rig.until(rig.stopped(1)).until(
        lambda: not any("pause" in name for name in ours(shared, rig.cluster))
    )
    left = shared.enter("find", "/sys/fs/cgroup/memory/docker", "-mindepth", "1", "-type", "d")
    assert there["1-internal_ecs_pause"]["Id"].encode() not in left.stdout
    rig.check()


def test_exit_codes_and_memory_kills_become_reasons(play):
    # An engine may learn of a kill a moment after it learns of the end; here the end comes later.
    hungry = "dd if=/dev/zero of=/dev/null bs=200M; sleep 0.5; exit 137"
    rig = play(
        registration("ends", container(command="sleep 0.3; exit 0")),
        registration("fails", container(command="sleep 0.3; exit 3")),
        registration("eats", container(command=hungry, memory=16)),
        *(run_task(family, request=n) for n, family in enumerate(("ends", "fails", "eats"))),
    )
    rig.until(lambda: all(rig.stopped(task)() for task in range(3)))
    exited = StopCode.ESSENTIAL_CONTAINER_EXITED
    assert rig.why(0) == (exited, "Essential container in task exited")
    assert rig.why(1) == (exited, "Essential container in task exited: c exit code 3")
    killed = "c exit code 137, OutOfMemoryError: Container killed due to memory usage"
    assert rig.why(2) == (exited, f"Essential container in task exited: {killed}")
    rig.check()


def test_what_cannot_start_says_why(play, shared):
    foreign = ("busybox", "nc", "-l", "-p", "18099", "-e", "cat")
    port = {"containerPort": 80, "hostPort": 18099}
    with subprocess.Popen(shared.entering(*foreign)) as holder:
        rig = play(
            registration("taken", container(portMappings=[port])),
            registration("absent", {**container(), "image": "127.0.0.1:5999/absent:1"}),
            registration("wrong", {**container(), "command": ["no-such-program"]}),
            *(run_task(family, request=n) for n, family in enumerate(("taken", "absent", "wrong"))),
        )
        rig.until(lambda: all(rig.stopped(task)() for task in range(3)))
        kill_inside(holder)
    failed = StopCode.TASK_FAILED_TO_START
    assert rig.why(0)[0] is rig.why(1)[0] is rig.why(2)[0] is failed
    assert rig.why(0)[1].startswith("CannotStartContainerError: ")
    assert "address already in use" in rig.why(0)[1]
    assert rig.why(1)[1].startswith("CannotPullContainerError: ")
    assert "connection refused" in rig.why(1)[1]
    assert "no-such-program" in rig.why(2)[1]
    rig.check()


def test_stopping_is_asked_for_first_and_forced_after_the_timeout(play, shared):
    patient = "trap 'exit 42' TERM; sleep 1000 & wait"
    deaf = "trap '' TERM; sleep 1000 & wait; wait"
    rig = play(
        registration("obeys", container(command=patient)),
        registration("deaf", container(command=deaf, stopTimeout=2)),
        run_task("obeys", request=0),
        run_task("deaf", request=1),
    )
    rig.until(rig.runs(2))
    rig.callers.submit(m.StopTask((0, 1), "enough"))
    rig.until(rig.stopped(0)).until(rig.stopped(1))
    assert rig.why(0) == rig.why(1) == (StopCode.USER_INITIATED, "enough")
    states = {name: each["State"] for name, each in ours(shared, rig.cluster).items()}
    assert states["0-c"]["ExitCode"] == 42
    assert states["1-c"]["ExitCode"] == 137


def test_a_workloads_task_ends_when_its_time_is_over(play):
    rig = play(
        registration("job", container(command="trap 'exit 0' TERM; sleep 1000 & wait")),
        run_task("job", run_ms=700),
    )
    rig.until(rig.stopped(0))
    assert rig.why(0) == (
        StopCode.ESSENTIAL_CONTAINER_EXITED,
        "Essential container in task exited",
    )
    assert rig.driver.wait(None) is None, "nothing can follow"


@pytest.mark.long
def test_a_container_is_started_again_by_its_restart_policy(play, shared):
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    once = "test -f /tmp/again && sleep 1000; touch /tmp/again; sleep 60.5; exit 1"
    flaky = container("flaky", once, essential=False, restartPolicy=policy)
    rig = play(registration("app", container(), flaky), run_task("app"))
    rig.until(rig.runs(1))
    first = ours(shared, rig.cluster)["0-flaky"]["State"]["StartedAt"]
    rig.go_on(63)
    state = ours(shared, rig.cluster)["0-flaky"]["State"]
    assert state["Status"] == "running"
    assert state["StartedAt"] > first


def test_a_container_that_somebody_removed_is_replaced(play, shared):
    rig = play(registration("web", container()), service("web", 2))
    rig.until(rig.runs(2))
    with shared.client() as client:
        client.api.remove_container(f"stowplan-{rig.cluster}-0-c", force=True)
    rig.until(rig.stopped(0)).until(rig.runs(2))
    assert 2 in rig.running()
    rig.check()


@pytest.mark.long
def test_unhealthy_tasks_of_a_service_are_replaced(play, shared):
    check = {"command": ["CMD-SHELL", "test ! -f /tmp/bad"], "interval": 5, "retries": 1}
    rig = play(registration("web", container(healthCheck=check)), service("web", 1))
    rig.until(lambda: m.TasksHealthChanged(True, (0,)) in rig.events(m.TasksHealthChanged), 30)
    inside(shared, rig.cluster, "0-c", "touch /tmp/bad")
    rig.until(lambda: m.TasksHealthChanged(False, (0,)) in rig.events(m.TasksHealthChanged), 30)
    rig.until(rig.stopped(0), 40)
    assert rig.status(1) is not None
