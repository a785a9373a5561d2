"""One scenario on sim and on EC2, without a change: the same decisions."""

from __future__ import annotations

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import world as simulated
from stowplan.experiments.workloads.arrivals import arrivals
from stowplan.placement import messages as m
from stowplan.placement.loop import run_loop
from stowplan.placement.scenario.scenario import instance_specs
from tests.realdriver.ec2.rig import Rig

SCENARIO = """
name = "portable"
duration = "20s"
seed = 5
[[fleet]]
name = "general"
instance_type = "m5.large"
count = 4
zones = ["us-east-1a", "us-east-1b"]
[task_definitions]
web = "web.json"
big = "big.json"
[[service]]
name = "web"
task_definition = "web"
desired_count = 6
[[service]]
name = "big"
task_definition = "big"
desired_count = 3
constraints = ["distinctInstance"]
[[workload]]
name = "jobs"
task_definition = "web"
kind = "poisson"
until = "1s"
options = { rate_per_s = 8, run = { mean = "60s" } }
strategy = ["binpack:memory"]
"""


def decided(rounds):
    """What was placed where, in order: (group, task, instance)."""
    return [
        (command.group, task, instance)
        for entry in rounds
        for command in entry.commands
        if isinstance(command, m.StartTasks)
        for task, instance in zip(command.tasks, command.instances, strict=True)
    ]


def registered(rounds):
    """What registered, in order: resources that both know, and zone."""
    return [
        (
            e.instance,
            e.resources["CPU"],
            e.resources["MEMORY"],
            e.attributes["ecs.availability-zone"],
        )
        for entry in rounds
        for e in entry.events
        if isinstance(e, m.InstanceRegistered)
    ]


def test_the_same_scenario_decides_the_same_on_sim_and_ec2(world, tmp_path):
    for family, cpu in (("web", 128), ("big", 600)):
        container = f'{{"name": "c", "image": "app:1", "cpu": {cpu}, "memory": 256}}'
        (tmp_path / f"{family}.json").write_text(
            f'{{"family": "{family}", "containerDefinitions": [{container}]}}'
        )
    (tmp_path / "portable.toml").write_text(SCENARIO)
    loaded = load_scenario(tmp_path / "portable.toml")
    run = next(iter(loaded.scenario.runs()))
    rounds: list[m.Round] = []
    scheduler, driver = simulated(loaded, run, 20_000)
    run_loop(scheduler, driver, rounds.append)
    wanted = decided(rounds)
    assert len(wanted) > 12
    rig = Rig(world, arrivals(loaded.scenario, run), fleet=instance_specs(loaded.scenario))
    rig.until(lambda: len(decided(rig.rounds)) >= len(wanted), 60)
    rig.until(rig.runs(len(wanted)))
    assert registered(rig.rounds) == registered(rounds)
    assert decided(rig.rounds) == wanted
    where = {}  # and ECS has them there
    for task in world.tasks(f"stowplan-{rig.cluster}"):
        where[task["taskArn"]] = task["containerInstanceArn"]
    assert len(where) == len(wanted)
    rig.check()
    rig.down()
