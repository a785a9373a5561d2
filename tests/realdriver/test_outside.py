"""Calls from outside in the middle of a run on a real engine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import docker

from stowplan.placement import messages as m
from stowplan.placement.callers.client import Arrival
from stowplan.realdriver.docker.config import EnginesTable, machines
from tests.outside import arrivals, check_outside
from tests.realdriver.rig import Rig, container, ours, service, settings


def test_a_run_on_an_engine_takes_calls_from_outside(shared):
    document = {"family": "app", "containerDefinitions": [container()]}
    rig = Rig(settings([shared]), arrivals(document))
    try:
        check_outside(rig.callers, rig.rounds, rig.until, "app")
        there = ours(shared, rig.cluster).values()
        assert sum("FROM=outside" in (each["Config"]["Env"] or ()) for each in there) == 2
    finally:
        cleaned(shared, rig)


def test_machines_come_and_go_while_a_run_lasts(shared):
    table = settings([shared])
    document = {"family": "web", "containerDefinitions": [container(cpu=1024)]}
    calls = [Arrival(0, m.RegisterTaskDefinition(document)), service("web", 3)]
    rig = Rig(table, calls)
    try:
        rig.until(rig.runs(2))  # of three; one machine has room for two
        (first,) = machines(table, [])
        second = replace(first, spec=replace(first.spec, name="late"), address="127.0.1.9")
        rig.driver.add(second)
        rig.until(rig.runs(3))
        rig.driver.retire("e0")
        rig.until(lambda: rig.events(m.InstancesGone))
        rig.until(lambda: [rig.scheduler.tasks.instance[t] for t in rig.running()] == [1, 1])
        rig.until(lambda: len(ours(shared, rig.cluster)) == 2)  # what ran there is removed
        rig.check()
    finally:
        cleaned(shared, rig)


def test_a_machine_that_went_while_no_process_drove_the_run_is_gone_when_it_is_back(shared):
    table = settings([shared])
    document = {"family": "web", "containerDefinitions": [container()]}
    rig = Rig(table, [Arrival(0, m.RegisterTaskDefinition(document)), service("web", 1)])
    try:
        rig.until(rig.runs(1))
        rig.driver.close()
        renamed = EnginesTable.model_validate(
            {**table.model_dump(), "engine": [{**table.model_dump()["engine"][0], "name": "new"}]}
        )
        again = Rig(renamed, rig.arrivals, cluster=rig.cluster, rounds=rig.rounds)
        rig.driver = again.driver
        again.until(lambda: again.events(m.InstancesGone)).until(again.runs(1))
        assert [again.scheduler.tasks.instance[task] for task in again.running()] == [1]
        again.check()
    finally:
        cleaned(shared, rig)


def cleaned(engine, rig: Rig) -> None:
    """Let go, and take away what is left."""
    rig.close()
    with engine.client() as client:
        for found in ours(engine, rig.cluster).values():
            with suppress(docker.errors.APIError):  # its removal is under way
                client.api.remove_container(found["Id"], v=True, force=True)
