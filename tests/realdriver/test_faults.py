"""What goes wrong with engines, for real: killed, hung, without power, full, and back again."""

from __future__ import annotations

import time

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode
from tests.realdriver.rig import Rig, container, ours, registration, run_task, service, settings

OBEYS = "trap 'exit 0' TERM; sleep 1000 & wait"


@pytest.fixture
def play():
    """Rigs that are let go of after the test, before their engines are."""
    rigs = []

    def make(engines, *arrivals, rounds=(), **more):
        rig = Rig(settings(engines, **more), arrivals, rounds=rounds)
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.close()


def states(engine, rig):
    """Status of each of the cluster's containers on an engine."""
    return {name: each["State"]["Status"] for name, each in ours(engine, rig.cluster).items()}


def web(count):
    """A service of so many tasks, spread over the instances."""
    return registration("web", container(command=OBEYS)), service("web", count)


def test_containers_outlive_an_engine_with_live_restore(boot, play):
    engine = boot("--live-restore")
    rig = play([engine], *web(2), lost_after="60s")
    rig.until(rig.runs(2))
    before = {n: each["State"]["Pid"] for n, each in ours(engine, rig.cluster).items()}
    engine.kill()
    rig.until(lambda: m.AgentConnectionChanged((0,), False) in rig.events(m.AgentConnectionChanged))
    engine.start()
    rig.until(lambda: m.AgentConnectionChanged((0,), True) in rig.events(m.AgentConnectionChanged))
    assert rig.running() == [0, 1]
    assert {n: each["State"]["Pid"] for n, each in ours(engine, rig.cluster).items()} == before
    rig.check()


def test_an_engine_that_is_killed_and_back_has_its_tasks_replaced(boot, play):
    engine = boot()
    rig = play([engine], *web(2), lost_after="60s")
    rig.until(rig.runs(2))
    engine.kill()
    engine.start()
    rig.until(rig.stopped(0), 30).until(rig.stopped(1)).until(rig.runs(2))
    assert rig.running() == [2, 3]
    rig.check()


def test_a_dead_engines_tasks_start_elsewhere_and_it_comes_back_clean(boot, play):
    engines = [boot(), boot()]
    rig = play(engines, *web(2))
    rig.until(rig.runs(2))
    engines[0].power_off()
    rig.until(lambda: rig.events(m.InstancesGone)).until(rig.runs(2), 30)
    assert set(states(engines[1], rig).values()) == {"running"}
    assert len(states(engines[1], rig)) == 2
    engines[0].power_on()
    rig.until(lambda: len(rig.events(m.InstanceRegistered)) == 3)
    assert states(engines[0], rig) == {}
    assert rig.why(0)[0] is StopCode.INFRASTRUCTURE_HEALTH
    rig.check()


def test_after_a_power_cut_a_job_is_lost_and_submitted_again(boot, play):
    engine = boot()
    job = registration("job", container(command="sleep 3"))
    rig = play([engine], job, run_task("job"), lost_after="60s")
    rig.until(rig.runs(1))
    engine.power_off()
    rig.until(lambda: rig.events(m.AgentConnectionChanged))
    engine.power_on()
    rig.until(rig.stopped(0))
    assert rig.why(0) == (StopCode.INFRASTRUCTURE_HEALTH, "Host EC2 (instance e0) restarted")
    rig.until(rig.stopped(1), 40)
    assert rig.why(1) == (
        StopCode.ESSENTIAL_CONTAINER_EXITED,
        "Essential container in task exited",
    )
    rig.check()


def test_a_hung_engine_holds_up_nobody_else(boot, play):
    engines = [boot(), boot()]
    many = [run_task("job", request=n, at_ms=1500 + 300 * n) for n in range(4)]
    job = registration("job", container(command="sleep 0.2"))
    rig = play(engines, *web(2), job, *many, lost_after="4s", call_timeout="2s")
    rig.until(rig.runs(2))
    engines[0].hang()
    began = time.monotonic()
    rig.until(lambda: rig.events(m.AgentConnectionChanged))
    assert time.monotonic() - began < 5
    rig.until(lambda: rig.events(m.InstancesGone), 30).until(rig.runs(2), 30)
    assert "0-c" in states(engines[1], rig) or "1-c" in states(engines[1], rig)
    engines[0].resume()
    rig.until(lambda: len(rig.events(m.InstanceRegistered)) == 3, 30)
    rig.until(lambda: not states(engines[0], rig))
    rig.check()


def test_a_full_disk_is_a_reason_not_a_crash(boot, play):
    engine = boot(data_mib=24)
    rig = play([engine], registration("job", container()), run_task("job", at_ms=1000))
    rig.until(lambda: rig.events(m.InstanceRegistered))
    engine.enter("dd", "if=/dev/zero", f"of={engine.folder}/data/filler", "bs=64k")
    rig.until(rig.stopped(0))
    assert rig.why(0)[0] is StopCode.TASK_FAILED_TO_START
    assert "no space left on device" in rig.why(0)[1]
    rig.check()


def test_draining_moves_tasks_before_they_stop(boot, play):
    engines = [boot(), boot()]
    rig = play(engines, *web(2))
    rig.until(rig.runs(2))
    rig.callers.submit(m.UpdateContainerInstancesState((0,), "DRAINING"))
    rig.until(lambda: len(states(engines[1], rig)) == 2)
    rig.until(lambda: "running" not in states(engines[0], rig).values(), 30)
    assert list(states(engines[1], rig).values()) == ["running", "running"]
    rig.check()


def test_a_deployment_that_never_runs_is_rolled_back(boot, play):
    breaker = m.CircuitBreaker(rollback=True, threshold_type="COUNT", threshold_value=1)
    bad = {**container(command=OBEYS), "image": "127.0.0.1:5999/absent:1"}
    engine = boot()
    rig = play(
        [engine],
        registration("web", container(command=OBEYS)),
        service("web", 1, circuit_breaker=breaker),
    )
    rig.until(lambda: any("steady state" in text for text in said_of_services(rig)))
    rig.callers.submit(registration("web", bad).call)
    rig.callers.submit(m.UpdateService("web", task_definition="web"))
    rig.until(lambda: any("rolling back" in text for text in said_of_services(rig)), 30)
    assert rig.running() == [0]
    assert states(engine, rig) == {"0-c": "running"}
    rig.check()


def said_of_services(rig):
    """The texts of the services' events so far."""
    commands = (command for entry in rig.rounds for command in entry.commands)
    return [each.text for each in commands if isinstance(each, m.ServiceEvent)]


@pytest.mark.parametrize("jump_s", [-400 * 86_400, 400 * 86_400])
def test_the_clock_may_jump(boot, play, monkeypatch, jump_s):
    engine = boot()
    job = registration("job", container(command="sleep 1"))
    rig = play([engine], *web(1), job, run_task("job", run_ms=60_000))
    rig.until(rig.runs(2))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    rig.until(rig.stopped(1) if rig.status(1) else rig.stopped(0))
    times = [entry.now_ms for entry in rig.rounds]
    assert times == sorted(times)
    assert times[-1] < 20_000
    rig = rig.again()
    rig.until(lambda: rig.driver.now_ms() > times[-1]).go_on(0.5)
    assert rig.events(m.InstancesGone) == []
    rig.close()
