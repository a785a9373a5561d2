"""What others do to a run's containers, networks and images by hand, and what comes of it."""

from __future__ import annotations

import time

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode
from stowplan.realdriver.docker.leftovers import leftovers
from tests.realdriver.rig import Rig, container, ours, registration, run_task, service, settings

EXITED = StopCode.ESSENTIAL_CONTAINER_EXITED
OBEYS = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture
def play(shared):
    """Rigs on the shared engine; what they made is removed after the test."""
    rigs = []

    def make(*arrivals, **more):
        rigs.append(Rig(settings([shared], **more), arrivals))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
        leftovers(rig.table, rig.cluster, None).remove()


def by_hand(engine, call, rig, name, *words, **more):
    """One call of the SDK for one container of a run."""
    with engine.client() as client:
        return getattr(client.api, call)(f"stowplan-{rig.cluster}-{name}", *words, **more)


def run_times(engine, rig):
    """How often each of a run's containers was started, by name."""
    return {name: each["State"]["StartedAt"] for name, each in ours(engine, rig.cluster).items()}


def test_the_end_of_a_run_waits_for_its_own_removals(shared, play):
    job = registration("job", container(command="true"))
    for _ in range(3):
        rig = play(job, *(run_task("job", request=n) for n in range(6)), cleanup_wait="0s")
        rig.until(lambda rig=rig: all(rig.stopped(task)() for task in range(6)))
        rig.close()
        leftovers(rig.table, rig.cluster, None).remove()
        with shared.client() as client:
            there = [each["Name"] for each in client.api.networks()]
        assert f"stowplan-{rig.cluster}" not in there
        assert ours(shared, rig.cluster) == {}


def test_a_job_that_ended_and_was_pruned_while_nobody_looked_does_not_run_twice(shared, play):
    count = "echo run >> /count/runs; sleep 1"
    volume = {"name": "count", "host": {"sourcePath": f"{shared.folder}/count"}}
    (shared.folder / "count").mkdir(exist_ok=True)
    (shared.folder / "count" / "runs").unlink(missing_ok=True)
    mounted = container(
        command=count, mountPoints=[{"sourceVolume": "count", "containerPath": "/count"}]
    )
    rig = play(
        registration("job", mounted, volumes=[volume]),
        registration("long", container()),
        *(run_task("job", request=n) for n in range(3)),
        run_task("long", request=3),
    )
    rig.until(rig.runs(4))
    rig.driver.close()  # the scheduler is killed
    with shared.client() as client:
        gone = f"stowplan-{rig.cluster}-{rig.running()[-1]}-c"
        client.api.remove_container(gone, force=True)
        end = time.monotonic() + 20
        while client.api.containers(filters={"label": f"stowplan.cluster={rig.cluster}"}):
            assert time.monotonic() < end
            time.sleep(0.1)
        client.api.prune_containers({"label": [f"stowplan.cluster={rig.cluster}"]})
    rig = rig.again()
    rig.until(lambda: all(rig.stopped(task)() for task in range(4))).go_on(0.5)
    assert (shared.folder / "count" / "runs").read_text().count("run") == 3
    for task in range(4):
        code, reason = rig.why(task)
        assert code is EXITED
        assert "how it ended is not known" in reason
    (end, *_) = [e for e in rig.events(m.TasksChanged) if e.stop_code is EXITED]
    assert end.exit_code is None
    rig.check()
    rig.close()
    leftovers(rig.table, rig.cluster, None).remove()


def test_a_service_whose_containers_went_while_nobody_looked_is_brought_back(shared, play):
    rig = play(registration("web", container(command=OBEYS)), service("web", 2))
    rig.until(rig.runs(2))
    rig.driver.close()
    by_hand(shared, "remove_container", rig, "0-c", force=True)
    rig = rig.again()
    rig.until(rig.stopped(0)).until(rig.runs(2))
    assert rig.running() == [1, 2]
    rig.check()
    rig.close()


def test_a_task_that_runs_goes_on_though_its_ended_init_container_was_pruned(shared, play):
    needs = [{"containerName": "init", "condition": "SUCCESS"}]
    rig = play(
        registration(
            "app",
            container("init", "exit 0", essential=False),
            container("main", OBEYS, dependsOn=needs),
        ),
        run_task("app"),
    )
    rig.until(rig.runs(1))
    started = run_times(shared, rig)["0-main"]
    rig.driver.close()
    by_hand(shared, "remove_container", rig, "0-init")
    rig = rig.again()
    rig.until(lambda: rig.driver.fleet.heard_all).go_on(1.5)
    assert rig.running() == [0]
    assert run_times(shared, rig) == {"0-main": started}
    rig.close()


def test_a_pruned_network_and_pause_image_are_made_anew(boot):
    engine = boot()
    rig = Rig(
        settings([engine], silence="3s"),
        [
            registration("plain", container(command=OBEYS)),
            registration("pod", container(command=OBEYS), networkMode="awsvpc"),
            run_task("pod"),
        ],
    )
    rig.until(rig.runs(1))
    rig.callers.submit(m.StopTask((0,)))
    rig.until(rig.stopped(0)).until(
        lambda: not any("pause" in name for name in ours(engine, rig.cluster))
    )
    with engine.client() as client:
        client.api.prune_containers()
        client.api.remove_network(f"stowplan-{rig.cluster}")
        client.api.remove_image("stowplan-pause:1")
    for n, family in enumerate(("plain", "pod")):
        rig.callers.submit(m.RunTask(7 + n, family, 1))
    rig.until(rig.runs(2))
    assert not [e for e in rig.events(m.TasksChanged) if e.stop_code is not None][1:]
    rig.check()
    rig.close()


def test_a_task_stops_when_the_container_that_holds_its_network_is_killed(shared, play):
    rig = play(
        registration("pod", container(command=OBEYS), networkMode="awsvpc"), service("pod", 1)
    )
    rig.until(rig.runs(1))
    by_hand(shared, "kill", rig, "0-internal_ecs_pause")
    rig.until(rig.stopped(0)).until(rig.runs(1))
    assert rig.why(0) == (
        EXITED,
        "Essential container in task exited: ~internal~ecs~pause is gone",
    )
    rig.check()


def test_one_removed_by_force_is_replaced_as_soon_as_one_that_was_killed(shared, play):
    # A look at all containers would come after 5 s; here none is needed.
    rig = play(registration("web", container()), service("web", 1), silence="5s")
    rig.until(rig.runs(1)).go_on(0.5)
    began = time.monotonic()
    by_hand(shared, "remove_container", rig, "0-c", force=True)
    rig.until(rig.stopped(0))
    assert time.monotonic() - began < 3
    rig.until(rig.runs(1))
    rig.check()


def test_a_restart_by_hand_ends_the_task_and_leaves_nothing_uncounted(shared, play):
    rig = play(registration("web", container(command=OBEYS)), service("web", 1))
    rig.until(rig.runs(1)).go_on(0.7)
    by_hand(shared, "restart", rig, "0-c", timeout=1)
    rig.until(rig.stopped(0)).until(rig.runs(1))
    rig.until(lambda: ours(shared, rig.cluster)["0-c"]["State"]["Status"] == "exited")
    by_hand(shared, "start", rig, "0-c")  # once more, long after its end
    rig.until(lambda: ours(shared, rig.cluster)["0-c"]["State"]["Status"] == "exited")
    assert rig.running() == [1]
    rig.check()


def test_what_runs_of_an_image_committed_from_a_container_is_not_that_container(shared, play):
    rig = play(registration("web", container(command=OBEYS)), service("web", 1))
    rig.until(rig.runs(1))
    made = []
    with shared.client() as client:
        name = f"stowplan-{rig.cluster}-0-c"
        client.api.commit(name, "committed", "1")
        for labels in (None, {"stowplan.cluster": rig.cluster}, {"stowplan.task": "x"}):
            one = client.api.create_container("committed:1", ["true"], labels=labels)
            client.api.start(one)
            client.api.wait(one)
            made.append(one["Id"])
        plain = {"stowplan.cluster": rig.cluster, "stowplan.run": rig.cluster}
        one = client.api.create_container("stowplan-test:1", ["true"], labels=plain)
        client.api.start(one)
        made.append(one["Id"])
        rig.go_on(2)
        assert rig.running() == [0]
        assert rig.events(m.AgentConnectionChanged) == []
        rig.close()
        leftovers(rig.table, rig.cluster, None).remove()
        for identity in made:
            assert client.api.inspect_container(identity)["State"]["Status"] == "exited"
            client.api.remove_container(identity)
        client.api.remove_image("committed:1")
