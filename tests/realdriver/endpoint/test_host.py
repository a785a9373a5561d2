"""A host of clusters: who waits gets in, and nobody waits for a loop that has ended."""

import math
import threading
import time
from dataclasses import replace

import pytest

from stowplan.experiments.runs.serving import SimulatedWorlds
from stowplan.placement.wire.arns import Account
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.protocol import Request
from stowplan.realdriver.endpoint.host import LocalHost
from stowplan.realdriver.endpoint.pace import Clock, Gate

CONTAINER = {"name": "a", "image": "a", "cpu": 1, "memory": 16}


def test_who_waits_gets_in_between_two_rounds():
    gate, ended, rounds = Gate(), threading.Event(), []

    def loop():
        with gate:
            while not ended.is_set():
                rounds.append(None)
                time.sleep(0.002)  # a round, with the gate held
                gate.give_way()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        for _ in range(20):
            before = len(rounds)
            with gate.visit():
                waited = len(rounds) - before
            assert waited <= 3
    finally:
        ended.set()
        thread.join(5)
    assert not thread.is_alive()


class Breaking(SimulatedWorlds):
    """Worlds whose journals break at a call for a task."""

    def __call__(self, name, **options):
        world = super().__call__(name, **options)

        def record(entry):
            if name and any(type(event).__name__ == "RunTask" for event in entry.events):
                raise OSError("no space left on device")

        return replace(world, record=record)


def asked(host, operation, **params):
    """What a request is answered with; fails where it is answered with nothing."""
    came, answers = threading.Event(), []

    def replied(answer):
        answers.append(answer)
        came.set()

    host.reply(Request(operation, params), replied)
    assert came.wait(20), f"{operation} was not answered"
    (answer,) = answers
    return answer


def test_a_cluster_whose_loop_broke_says_so_and_others_go_on(caplog):
    host = LocalHost(Account(), Breaking(), Clock(100.0), time.time)
    try:
        host.create("broken")
        host.create("whole")
        made = asked(host, "RegisterTaskDefinition", family="f", containerDefinitions=[CONTAINER])
        assert not isinstance(made, WireError), made
        for _ in range(2):  # the call that broke it, and one after it
            answer = asked(host, "RunTask", cluster="broken", taskDefinition="f")
            assert isinstance(answer, WireError)
            assert (answer.code, answer.status) == ("ServerException", 500)
        assert "cluster broken goes on no more" in caplog.text
        assert asked(host, "DescribeClusters", clusters=["broken"])["clusters"]
        made = asked(host, "CreateService", cluster="whole", serviceName="s", desiredCount=0,
                     taskDefinition="f")  # fmt: skip
        assert made["service"]["status"] == "ACTIVE"
    finally:
        host.close()


@pytest.mark.parametrize("factor", [0.0, 1.0, float("inf")])
def test_a_host_that_is_closed_has_no_thread_left(factor):
    before = threading.active_count()
    host = LocalHost(Account(), SimulatedWorlds(), Clock(factor), time.time)
    host.create("one")
    assert threading.active_count() == before + 2
    host.close()
    assert threading.active_count() == before


def test_a_restored_world_goes_on_from_where_it_was(tmp_path):
    def running(host):
        (found,) = asked(host, "DescribeClusters", clusters=["one"])["clusters"]
        return found["runningTasksCount"]

    def wait(host, count):
        end = time.monotonic() + 20
        while running(host) < count:
            assert time.monotonic() < end, "no task came to run"
            time.sleep(0.02)

    host = LocalHost(Account(), SimulatedWorlds(state=tmp_path), Clock(math.inf), time.time)
    host.create("one")
    asked(host, "RegisterTaskDefinition", family="f", containerDefinitions=[CONTAINER])
    host.launch("one", "m5.large", 1, ("us-east-1a",))
    asked(host, "CreateService", cluster="one", serviceName="s", desiredCount=1, taskDefinition="f")
    wait(host, 1)
    before = host.times()["clusters"]["one"]
    host.close()
    host = LocalHost(Account(), SimulatedWorlds(state=tmp_path), Clock(0.0), time.time)
    try:
        host.create("one")
        host.create("two")
        answer = asked(host, "RunTask", cluster="one", taskDefinition="f")
        assert answer["tasks"][0]["createdAt"] < time.time() + before
        host.advance(60_000)
        wait(host, 2)
        times = host.times()["clusters"]
        assert before < times["one"] <= before + 61
        assert times["two"] <= 60
    finally:
        host.close()
