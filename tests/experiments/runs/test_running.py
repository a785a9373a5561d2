"""A run that begins with tasks that run: they are found where they are, and nothing is started."""

from __future__ import annotations

from collections import Counter

import pytest

from stowplan.experiments.loading.load import check_scenario
from stowplan.experiments.runs.audit import judged
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header

IDS = ["i-a", "i-b", "i-c"]


def definition(family, **more):
    container = {"name": "c", "image": "x", "cpu": 400, "memory": 100, **more}
    return {"family": family, "containerDefinitions": [container]}


def document(running, service=(), **more):
    web = {"name": "web", "task_definition": "t", "desired_count": 3} | dict(service)
    return {
        "name": "running",
        "duration": "30m",
        "instance_types": {"box": {"cpu": 1000, "memory": 1000, "price_microusd_hour": 10}},
        "fleet": [
            {"name": "f", "instance_type": "box", "count": 3, "zones": ["a"],
             "ec2_instance_ids": IDS}
        ],
        "models": {"boot": {"mean": "3m"}, "start": {"mean": "20s"}},
        "task_definitions": {
            "t": definition("t"), "job": definition("job"),
            "port": definition("port", portMappings=[{"containerPort": 80, "hostPort": 80}]),
        },
        "service": [web],
        "running": running,
        **more,
    }  # fmt: skip


def played(made, until_ms=1_000_000):
    loaded = check_scenario(made)
    run = next(loaded.scenario.runs())
    scheduler, driver = world(loaded, run, until_ms)
    rounds: list[m.Round] = []
    scheduler = drive(loaded, run, scheduler, driver, rounds.append)
    verdict = judged(Header(scheduler.config), rounds, {})
    assert verdict.ok, verdict
    return scheduler, rounds


def where(scheduler):
    ids, table = scheduler.cluster.column("ec2InstanceId"), scheduler.tasks
    return Counter(
        (ids.values[ids.codes[table.instance[task]]], table.launch[task].kind.group)
        for task in table.living()
    )


def test_tasks_are_running_at_0_s_where_they_are_and_nothing_is_started():
    made = document([{"instance": "i-c", "services": {"web": 2}},
                     {"instance": "i-a", "services": {"web": 1}}])  # fmt: skip
    scheduler, rounds = played(made, 0)
    assert where(scheduler) == {("i-c", "service:web"): 2, ("i-a", "service:web"): 1}
    assert {str(scheduler.tasks.status[t]) for t in scheduler.tasks.living()} == {"RUNNING"}
    starts = [c for r in rounds for c in r.commands if isinstance(c, m.StartTasks)]
    assert [(c.found, c.tasks) for c in starts] == [(True, (0, 1, 2))]
    assert where(played(made)[0]) == where(scheduler)


def test_what_is_lacking_is_started_and_what_is_too_much_stopped():
    made = document([{"instance": "i-c", "services": {"web": 2}}], {"desired_count": 4})
    scheduler, _ = played(made)
    assert sum(where(scheduler).values()) == 4
    made = document([{"instance": "i-c", "services": {"web": 2}}], {"desired_count": 1})
    scheduler, _ = played(made)
    assert where(scheduler) == {("i-c", "service:web"): 1}


def test_tasks_of_no_service_and_of_daemons_are_there_too():
    made = document(
        [{"instance": each, "services": {"web": 1}, "standalone": {"job": 1}} for each in IDS],
        {"scheduling_strategy": "DAEMON", "desired_count": 0},
    )
    scheduler, _ = played(made)
    assert where(scheduler) == {(i, g): 1 for i in IDS for g in ("service:web", "family:job")}
    assert len(scheduler.tasks) == 6


def test_what_a_constraint_does_not_allow_there_is_started_elsewhere_and_said():
    made = document([{"instance": "i-a", "services": {"web": 2}}],
                    {"desired_count": 2, "constraints": ["distinctInstance"]})  # fmt: skip
    scheduler, rounds = played(made)
    assert set(where(scheduler).values()) == {1}
    said = [c.text for r in rounds for c in r.commands if isinstance(c, m.ServiceEvent)]
    assert any("unable to place" in text for text in said)


def test_groups_begin_with_their_instances_by_name_and_go_on_from_there():
    group = {
        "name": "cp", "instance_types": ["box"], "zones": ["a", "b"], "max_size": 5,
        "instances": [{"ec2_instance_id": f"i-{n}", "instance_type": "box", "zone": zone}
                      for n, zone in enumerate("aab")],
        "managed_scaling": {"scale_in_minutes": 1},
    }  # fmt: skip
    service = {"capacity_provider_strategy": [{"capacity_provider": "cp"}], "desired_count": 2}
    service["availability_zone_rebalancing"] = False  # which would move one to zone b
    made = document([{"instance": "i-1", "services": {"web": 2}}], service,
                    fleet=[], capacity_provider=[group])  # fmt: skip
    scheduler, rounds = played(made, 0)
    assert where(scheduler) == {("i-1", "service:web"): 2}
    launch = scheduler.tasks.launch[0]
    assert launch.kind.capacity_provider == "cp"
    scheduler, rounds = played(made, 1_800_000)
    ended = [n for r in rounds for e in r.events if isinstance(e, m.InstancesTerminated)
             for n in e.ec2_instance_ids]  # fmt: skip
    assert len(ended) == 2  # scaled in to the one that is needed


def test_a_deployment_replaces_what_was_found():
    made = document([{"instance": "i-c", "services": {"web": 2}}], {"desired_count": 2,
                    "deploy": [{"at": "5m", "task_definition": "job"}]})  # fmt: skip
    scheduler, _ = played(made)
    alive = list(scheduler.tasks.living())
    assert {scheduler.tasks.launch[task].task_definition for task in alive} == {"job:1"}
    assert min(alive) >= 2


def test_everything_that_is_wrong_is_named():
    made = document(
        [
            {"instance": "i-x", "services": {"web": 1}},
            {"instance": "i-a", "services": {"web": 3, "wbe": 1}, "standalone": {"jobs": 1}},
            {"instance": "i-b", "standalone": {"port": 2}},
            {"instance": "i-b", "services": {"late": 1}},
        ]
    )
    late = {"name": "late", "task_definition": "t", "desired_count": 1, "at": "1m"}
    made["service"].append(late)
    made["fleet"][0]["count"] = 4
    with pytest.raises(SpecError) as caught:
        check_scenario(made)
    said = "\n".join(f"{place}: {what}" for place, what in caught.value.problems)
    for what in (
        "fleet[0].ec2_instance_ids: 3 of them for 4 instances",
        "running[0].instance: no instance 'i-x' is there at 0 s",
        "running[1].services: unknown service 'wbe'; did you mean web?",
        "running[1].standalone: unknown definition 'jobs'",
        "running[2]: i-b cannot hold its tasks: 2 of them want tcp port 80",
        "running[3].instance: 'i-b' is there twice",
        "running[3].services: service 'late' is created later than at 0 s",
    ):
        assert what in said, said
    with pytest.raises(SpecError, match="cannot hold its tasks: 1200 CPU asked for, 1000"):
        check_scenario(document([{"instance": "i-a", "services": {"web": 3}}]))
