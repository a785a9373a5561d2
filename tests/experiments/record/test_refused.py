"""What found no room: counted by whose it is, and explained as it was."""

from __future__ import annotations

from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.refused import Refused
from stowplan.experiments.report.refused import cells, refused_finding
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement import messages as m
from stowplan.placement.scheduler.scheduler import Scheduler
from tests.driving import definition, instance

SCENARIO = """
name = "full"
duration = "200s"
[[fleet]]
name = "f"
instance_type = "m5.large"
count = 2
zones = ["a"]
[task_definitions.big]
family = "big"
containerDefinitions = [{ name = "m", image = "x", cpu = 1500, memory = 512 }]
[task_definitions.small]
family = "small"
containerDefinitions = [{ name = "m", image = "x", cpu = 600, memory = 512 }]
[[service]]
name = "web"
task_definition = "big"
desired_count = 3
[[workload]]
name = "jobs"
task_definition = "small"
kind = "burst"
options = { at = ["20s"], count = 2, run = { mean = "10s" } }
resubmit = "30s"
"""


def test_a_run_says_who_found_no_room_and_what_would_help(tmp_path):
    path = tmp_path / "full.toml"
    path.write_text(SCENARIO)
    loaded = load_scenario(path)
    (run,) = loaded.scenario.runs()
    result = simulate(loaded, run)
    found = {each.owner: each for each in result.refused}
    web, jobs = found["web"], found["jobs"]
    assert (web.is_service, web.lacks, web.at_ms, web.instances) == (True, 1, 200_000, 2)
    (obstruction,) = web.obstructions
    assert obstruction.instances == 2
    assert "CPU short: 952 CPU units (1500 asked, 548 of 2048 free)" in obstruction.what
    assert any("one more instance of type m5.large" in each for each in web.changes)
    # Jobs are asked for again and again: explained as it was when they were first refused.
    assert (jobs.is_service, jobs.lacks, jobs.at_ms) == (False, None, 20_000)
    assert sum(jobs.reasons.values()) == result.metrics["refusals"] - sum(web.reasons.values())
    assert "600 asked, 548 of 2048 free" in cells(jobs)[4]
    finding = refused_finding([result], "Without faults")
    assert "service web found no room" in finding.text
    assert "1 lacks it at the end" in finding.text


def test_who_waits_for_capacity_that_comes_is_counted_as_queued():
    scheduler = Scheduler()
    refused = Refused(scheduler)

    def round_(now_ms, *events):
        for event in events:
            scheduler.receive(event)
        refused(m.Round(now_ms, events, scheduler.decide(now_ms)))

    provider = m.CreateCapacityProvider(
        "cp",
        (m.LaunchTemplate({"CPU": 2048, "MEMORY": 4096}, {}),),
        ("a",),
        4,
        managed_scaling=m.ManagedScaling(),
    )
    round_(0, definition("app", cpu=256, memory=512), provider)
    strategy = (m.CapacityProviderStrategyItem("cp", 1),)
    call = m.RunTask(0, "app", 2, started_by="jobs", capacity_provider_strategy=strategy)
    round_(1000, call)
    (waits,) = refused.refusals()
    assert (waits.owner, waits.queued, waits.matters) == ("jobs", 2, False)
    assert waits.instances == 0
    round_(2000, instance(0, capacity_provider="cp"))
    assert refused.refusals()[0].at_ms == 1000
