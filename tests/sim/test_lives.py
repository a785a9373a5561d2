"""Tasks in simulation that are more than a start and an end, and the line of each instance."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.placement.model import StopCode, TaskStatus
from stowplan.placement.scenario.containers import ContainerBehaviour, ImageTable, PullTable
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.sim.containers import ContainerModels
from tests.driving import run_task
from tests.sim.test_driver import driver, models, news, spec, stop

HEALTH = {"command": ["CMD", "true"], "interval": 10}
PULL = PullTable.model_validate({"latency": "100ms", "ms_per_mib": 10.0})


def container(name: str, **fields):
    return {"name": name, "image": name, "cpu": 256, "memory": 64, **fields}


def after(name: str, condition: str):
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


def family(name: str, *containers) -> Arrival:
    document = {"family": name, "containerDefinitions": list(containers)}
    return Arrival(0, m.RegisterTaskDefinition(document))


def does(containers: dict, name: str = "app", **more) -> ContainerModels:
    table = {key: ContainerBehaviour.model_validate(each) for key, each in containers.items()}
    return ContainerModels({f"{name}:1": table}, **more)


def start(*tasks, name="app", request=None, on=0) -> m.StartTasks:
    return m.StartTasks(f"{name}:1", "g", tasks, (on,) * len(tasks), request=request)


def world_of(*arrivals, **options):
    """A world in which everything has registered; starts take 100 ms, stops 50."""
    world = driver(*arrivals, **options)
    world.wait(None)
    return world


def told(world) -> list[tuple[int, str, tuple[int, ...]]]:
    """(ms, `RUNNING` | `STOPPED` | `healthy` | `unhealthy`, tasks) of all that is reported."""
    found = []
    for at, event in news(world):
        if isinstance(event, m.TasksChanged):
            found.append((at, str(event.status), event.tasks))
        elif isinstance(event, m.TasksHealthChanged):
            found.append((at, "healthy" if event.healthy else "unhealthy", event.tasks))
    return found


def reasons(world) -> list[tuple[int, StopCode, str]]:
    return [
        (at, e.stop_code, e.reason)
        for at, e in news(world)
        if isinstance(e, m.TasksChanged) and e.status is TaskStatus.STOPPED
    ]


def runs_until(world, at_ms: int) -> None:
    while world.wait(at_ms):
        pass


# --- the line -------------------------------------------------------------------------------------

BIG = family("app", container("c", cpu=1024))
HALF = family("half", container("c", cpu=512))
PAIR = family("pair", container("c", cpu=768), container("d", essential=False))


def test_a_task_waits_for_the_room_of_one_that_stops():
    world = world_of(BIG)
    world.execute(start(0))
    runs_until(world, 1000)
    world.execute(stop(0))
    world.execute(start(1))
    assert told(world) == [(1050, "STOPPED", (0,)), (1150, "RUNNING", (1,))]


def test_where_nothing_stops_nothing_waits_and_the_line_is_kept_no_longer():
    world = world_of(HALF)
    world.execute(start(0, 1, name="half"))
    runs_until(world, 1000)
    world.execute(stop(0))
    runs_until(world, 2000)
    assert not world.driver._lives._agents.by_instance
    world.execute(start(2, name="half"))
    assert told(world) == [(2100, "RUNNING", (2,))]


def test_none_overtakes_the_head_of_the_line():
    def follows(*last):
        world = world_of(BIG, HALF)
        world.execute(start(0, 1, name="half"))
        runs_until(world, 1000)
        world.execute(stop(0))
        runs_until(world, 1020)
        for command in (stop(1), start(2), start(3, name="half"), *last):
            world.execute(command)
        return told(world)

    gone = [(1050, "STOPPED", (0,)), (1070, "STOPPED", (1,))]
    assert follows() == [*gone, (1170, "RUNNING", (2,))], "3 would have fitted at 1050"
    assert follows(stop(2)) == [(1020, "STOPPED", (2,)), *gone, (1150, "RUNNING", (3,))]


def test_tasks_with_agents_and_without_wait_in_one_line():
    world = world_of(BIG, PAIR)
    world.execute(start(0, name="pair"))
    runs_until(world, 1000)
    world.execute(stop(0))
    world.execute(start(1))
    world.execute(stop(1))
    world.execute(start(2, name="pair"))
    assert told(world) == [
        (1000, "STOPPED", (1,)),
        (1050, "STOPPED", (0,)),
        (1150, "RUNNING", (2,)),
    ]


def test_host_ports_are_waited_for():
    web = container("c", portMappings=[{"containerPort": 80, "hostPort": 80}])
    world = world_of(family("app", web))
    world.execute(start(0))
    runs_until(world, 1000)
    world.execute(stop(0))
    world.execute(start(1))
    assert told(world) == [(1050, "STOPPED", (0,)), (1150, "RUNNING", (1,))]


# --- several containers ---------------------------------------------------------------------------


def test_containers_start_in_their_order_and_stop_in_reverse():
    init = container("init", essential=False)
    world = world_of(
        family("app", init, container("app", **after("init", "SUCCESS"))),
        containers=does({"init": {"run": {"mean": "3s"}}}),
    )
    world.execute(start(0))
    runs_until(world, 10_000)
    world.execute(stop(0))
    assert told(world) == [(10_050, "STOPPED", (0,))]
    again = world_of(
        family("app", init, container("app", **after("init", "SUCCESS"))),
        containers=does({"init": {"run": {"mean": "3s"}}}),
    )
    again.execute(start(0))
    assert told(again) == [(5200, "RUNNING", (0,))], "100 ms for each start, 5 s from look to look"


def test_the_working_container_runs_as_long_as_the_workload_says():
    arrivals = (
        family("app", container("proxy"), container("app", **after("proxy", "START"))),
        Arrival(0, run_task(0), 5000),
    )
    world = world_of(*arrivals)
    world.execute(start(0, request=0))
    assert told(world) == [(200, "RUNNING", (0,)), (5250, "STOPPED", (0,))]


def test_a_container_that_does_not_obey_is_killed_after_its_stop_timeout():
    world = world_of(
        family("app", container("app", stopTimeout=7)),
        containers=does({"app": {"obeys_sigterm": False}}),
    )
    world.execute(start(0))
    runs_until(world, 1000)
    world.execute(stop(0))
    assert told(world) == [(8000, "STOPPED", (0,))]


def test_crashes_end_a_task_with_ecss_reason_or_are_restarted():
    crash = does({"app": {"crash_percent": 100, "crash_after": {"mean": "70s"}}})
    world = world_of(family("app", container("app")), containers=crash)
    world.execute(start(0))
    why = "Essential container in task exited: app exit code 1"
    assert reasons(world) == [(70_100, StopCode.ESSENTIAL_CONTAINER_EXITED, why)]
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    world = world_of(family("app", container("app", restartPolicy=policy)), containers=crash)
    world.execute(start(0))
    assert told(world) == [(100, "RUNNING", (0,))], "it runs on, restarted again and again"


def test_health_changes_are_found_by_the_checks():
    def healths(**behaviour):
        world = world_of(
            family("app", container("app", healthCheck=HEALTH)),
            containers=does({"app": behaviour}),
        )
        world.execute(start(0))
        return told(world)[1:]

    assert healths() == [(10_100, "healthy", (0,))]
    assert healths(healthy_after="15s") == [(20_100, "healthy", (0,))]
    assert healths(healthy_after=False) == [(30_100, "unhealthy", (0,))]
    assert healths(healthy_after="45s") == [(30_100, "unhealthy", (0,)), (50_100, "healthy", (0,))]
    assert healths(unhealthy_after="60s") == [
        (10_100, "healthy", (0,)),
        (80_100, "unhealthy", (0,)),
    ]


def test_what_happens_to_played_tasks_behind_a_partition_is_told_when_it_is_over():
    cut = Fault.model_validate(
        {
            "kind": "partition",
            "instances": "attribute:ecs.availability-zone == a",
            "at": "10s",
            "detect": "1s",
            "until": "1m",
        }
    )
    short = does({"app": {"run": {"mean": "20s"}}})
    world = world_of(family("app", container("app")), faults=[cut], containers=short)
    world.execute(start(0))
    runs_until(world, 30_000)
    world.execute(start(1))
    assert told(world) == [
        (60_000, "STOPPED", (0,)),
        (60_100, "RUNNING", (1,)),
        (80_100, "STOPPED", (1,)),
    ], "the agent hears of task 1 only when it is back"


# --- images ---------------------------------------------------------------------------------------

IMAGES = {"app": ImageTable(layers={"app": 200})}


def image_host(number: int = 0, **fields) -> InstanceSpec:
    plain = spec(number)
    return InstanceSpec(plain.name, 0, plain.resources, plain.attributes, 1, None, **fields)


def test_a_task_runs_when_its_image_is_there_and_the_next_one_sooner():
    models = ContainerModels(images=IMAGES, pulls=PULL)
    world = world_of(family("app", container("app")), containers=models)
    world.execute(start(0))
    runs_until(world, 5000)
    world.execute(start(1))
    assert told(world) == [(5200, "RUNNING", (1,))], "the registry is asked, all layers are there"


def test_a_cached_image_saves_the_pull_and_prefer_cached_the_question():
    def first(**fields):
        models = ContainerModels(images=IMAGES, pulls=PULL)
        world = world_of(
            family("app", container("app")), fleet=[image_host(**fields)], containers=models
        )
        world.execute(start(0))
        return told(world)[0][0]

    assert first() == 100 + 2000 + 100
    assert first(cached_images=("app",)) == 100 + 100
    assert first(cached_images=("app",), image_pull_behavior="prefer-cached") == 100


def test_without_a_registry_only_cached_images_start():
    down = Fault.model_validate({"kind": "registry-failure", "at": 0, "until": "1m", "reason": "x"})
    models = ContainerModels(images=IMAGES, pulls=PULL)
    fleet = [image_host(0), image_host(1, cached_images=("app",))]
    world = world_of(family("app", container("app")), fleet=fleet, faults=[down], containers=models)
    world.execute(start(0, on=0))
    world.execute(start(1, on=1))
    log = [e for _, e in news(world) if isinstance(e, m.TasksChanged)]
    assert [(str(e.status), e.tasks) for e in log] == [("STOPPED", (0,)), ("RUNNING", (1,))]
    assert log[0].stop_code is StopCode.TASK_FAILED_TO_START
    assert log[0].reason == "CannotPullContainerError: x"


def test_a_slow_disk_makes_starts_and_pulls_slow():
    slow = Fault.model_validate(
        {
            "kind": "slow-disk",
            "instances": "attribute:ecs.availability-zone == a",
            "at": 0,
            "until": "1m",
            "factor": 3.0,
        }
    )
    world = world_of(BIG, faults=[slow])
    runs_until(world, 1000)
    world.execute(start(0))
    assert told(world) == [(1300, "RUNNING", (0,))]
    models = ContainerModels(images=IMAGES, pulls=PULL)
    world = world_of(family("app", container("app")), faults=[slow], containers=models)
    runs_until(world, 1000)
    world.execute(start(0))
    assert told(world) == [(1000 + 3 * 2200, "RUNNING", (0,))]
    world = world_of(BIG, faults=[slow])
    runs_until(world, 60_001)
    world.execute(start(0))
    assert told(world) == [(60_101, "RUNNING", (0,))]


# --- engines that are modelled --------------------------------------------------------------------


def crowded(*arrivals, **options):
    """A world in which n calls at a time take n times as long each."""
    return world_of(*arrivals, models=models().model_copy(update={"servers": 1.0}), **options)


def asked_for(run_ms):
    return Arrival(0, run_task(7, family="pair"), run_ms)


def test_stops_share_a_machine_whoever_plays_the_task():
    both = family("pair", container("c"), container("d"))
    for definition, gone_ms in ((both, 1100), (BIG, 1050)):
        name = definition.call.document["family"]
        world = crowded(definition)
        world.execute(start(0, name=name))
        runs_until(world, 1000)
        world.execute(stop(0))
        assert told(world) == [(gone_ms, "STOPPED", (0,))]


def test_the_time_of_a_played_task_counts_from_RUNNING_and_ends_with_a_stop():
    both = family("pair", container("c"), container("d"))
    world = crowded(both, asked_for(1000))
    world.execute(start(0, name="pair", request=7))
    # Two starts beside each other, then two stops.
    assert told(world) == [(200, "RUNNING", (0,)), (1300, "STOPPED", (0,))]
    # One that is not essential is stopped because the other has ended.
    world = crowded(family("pair", container("c"), container("d", essential=False)), asked_for(500))
    world.execute(start(0, name="pair", request=7))
    assert told(world) == [(200, "RUNNING", (0,)), (800, "STOPPED", (0,))]


def test_what_ends_by_itself_while_it_is_stopped_is_told_once():
    does_c = does({"c": {"run": {"mean": "120ms"}}})
    world = crowded(family("app", container("c")), containers=does_c)
    world.execute(start(0))
    runs_until(world, 200)
    world.execute(stop(0))
    assert told(world) == [(220, "STOPPED", (0,))]
