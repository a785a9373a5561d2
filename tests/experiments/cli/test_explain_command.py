"""`stowplan explain` and `try`: the moment that is meant, the answer, and what is refused."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest

from stowplan.experiments.cli.main import main
from stowplan.placement import messages as m
from stowplan.placement.journal import Header, JournalWriter
from stowplan.placement.model import PlacementStrategy
from stowplan.placement.scheduler.scheduler import SchedulerConfig
from stowplan.realdriver.journal import DurableJournal
from tests.driving import (
    Driven,
    definition,
    gone,
    instance,
    member_of,
    on,
    provider,
    run_task,
    running,
    stopped,
)

PACK = (PlacementStrategy("binpack", "memory"),)


def journal_of(rounds, file):
    with gzip.open(file, "wb") as stream:
        writer = JournalWriter(stream, Header(SchedulerConfig()))
        for entry in rounds:
            writer(entry)
    return str(file)


def service(name="web", count=3, **fields):
    fields = {"placement_strategy": PACK, **fields}
    return m.CreateService(name, "app", count, **fields)


@pytest.fixture
def short(tmp_path):
    """Two instances of 1,000 MiB; web wants three tasks of 600 MiB, and finds room for all of them
    once a third instance comes, at 4 s."""
    driven = Driven()
    driven.round(definition("app", cpu=10, memory=600), definition("job", cpu=10, memory=500))
    driven.round(*(instance(n, memory=1000, zone="ab"[n]) for n in range(2)), service())
    driven.round(running(0, 1))
    driven.round(instance(2, memory=1000, zone="c"))
    driven.round(running(2))
    return journal_of(driven.rounds, tmp_path / "run.jsonl.gz")


def asked(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words):
    assert main(list(words)) == 2
    return capsys.readouterr().err


def test_the_moment_is_the_last_at_which_it_lacked_room(short, capsys):
    found = asked(capsys, "explain", "web", "--journal", short)
    assert (found["at_ms"], found["lacks"], found["wanted"]) == (3000, 1, 3)
    assert found["nearest"]["instance"] == "i-0"
    (memory,) = found["nearest"]["obstacles"]
    assert (memory["reason"], memory["needed"], memory["short"]) == ("RESOURCE:MEMORY", 600, 200)
    assert found["changes"][0]["less"] == {"MEMORY": 200}
    assert [group["instances"] for group in found["groups"]] == [["i-0", "i-1"]]


def test_another_moment_may_be_asked_for(short, capsys):
    late = asked(capsys, "explain", "web", "--journal", short, "--at", "4.5s")
    assert (late["at_ms"], late["lacks"], len(late["misses"])) == (4500, 0, 3)
    early = asked(capsys, "explain", "web", "--journal", short, "--at", "2")
    assert (early["lacks"], len(early["misses"])) == (1, 2)
    assert "the journal ends after 5 s" in refused(
        capsys, "explain", "web", "--journal", short, "--at", "6s"
    )


def test_a_sentence_comes_first_and_then_the_table(short, capsys):
    assert main(["explain", "web", "--journal", short]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "service web after 3.00 s: 1 of 3 tasks find no room; one more fits on none of 2 instances"
    )
    assert lines[1] == "nearest miss: i-0 (a): memory short: 200 MiB (600 asked, 400 of 1000 free)"
    assert lines[2] == (
        "cheapest change: ask for 200 MiB of memory less (of 600), and it fits on i-0"
    )
    assert lines[5].split()[:2] == ["instances", "nearest"]
    assert lines[6].split()[:3] == ["2", "i-0", "(a)"]


def test_a_task_that_runs_says_where(short, capsys):
    assert main(["explain", "1", "--journal", short]) == 0
    assert "task 1 of service:web after 5.00 s: it is RUNNING on i-1 (b)" in capsys.readouterr().out


def test_a_family_is_explained_at_its_last_refusal(tmp_path, capsys):
    driven = Driven()
    driven.round(definition("app", memory=600, host_port=8080), instance(0))
    driven.round(run_task(0), run_task(1, 2, placement_constraints=()))
    driven.round(running(0))
    driven.round(gone(0))
    journal = journal_of(driven.rounds, tmp_path / "run.jsonl.gz")
    found = asked(capsys, "explain", "app", "--journal", journal)
    assert (found["name"], found["at_ms"]) == ("request 1 of app", 2000)
    assert (found["lacks"], found["wanted"]) == (2, 2)
    memory, port = found["nearest"]["obstacles"]
    assert (memory["short"], port["what"]) == (176, "tcp port 8080 taken")
    assert port["tasks"] == [0]


def test_a_task_that_waits_for_a_capacity_provider(tmp_path, capsys):
    driven = Driven()
    cp = provider(memory=1000, scaling={}, max_size=1)
    driven.round(definition("app", memory=600), cp, instance(0, memory=5000))
    driven.round(run_task(0, capacity_provider_strategy=on(cp=1)))
    journal = journal_of(driven.rounds, tmp_path / "run.jsonl.gz")
    for name in ("0", "app"):
        found = asked(capsys, "explain", name, "--journal", journal)
        assert (found["lacks"], found["nearest"]["instance"]) == (1, "i-0")
        assert found["nearest"]["obstacles"][0]["what"] == "not of capacity provider cp"
        assert [change["sort"] for change in found["changes"]] == ["capacity provider", "instance"]
        words = found["changes"][1]["words"]
        assert (
            words
            == "add one more instance of type that cp launches in zone a of capacity provider cp"
        )


def test_a_daemon_lacks_a_task_where_it_has_none(tmp_path, capsys):
    driven = Driven()
    driven.round(definition("app", memory=600), instance(0, memory=1000), instance(1, memory=500))
    driven.round(service("agent", 0, scheduling_strategy="DAEMON", placement_strategy=()))
    journal = journal_of(driven.rounds, tmp_path / "run.jsonl.gz")
    found = asked(capsys, "explain", "agent", "--journal", journal)
    assert (found["name"], found["lacks"], found["wanted"]) == ("daemon agent", 1, 2)
    there = {miss["instance"]: miss["obstacles"] for miss in found["misses"]}
    assert [o["what"] for o in there["i-1"]] == ["memory short"]
    assert there["i-0"][-1]["found"] == "task 0 of service:agent there"


def test_a_cluster_on_real_engines_is_read_from_its_journal(tmp_path, short, capsys):
    with gzip.open(short) as stream:
        lines = stream.read().splitlines()
    durable = DurableJournal(tmp_path / "mine" / "journal.sqlite")
    durable.begin(Header(SchedulerConfig()))
    for line in lines[1:]:
        durable(msgspec.json.decode(line, type=m.Round))
    durable.close()
    words = ("explain", "web", "--cluster", "mine", "--state", str(tmp_path))
    assert asked(capsys, *words) == asked(capsys, "explain", "web", "--journal", short, "--at", "5")
    then = asked(capsys, *words, "--at", "4s")
    assert then == asked(capsys, "explain", "web", "--journal", short, "--at", "4s")
    # A task of a service is explained by the service, and one that ended long ago by a replay.
    one = asked(capsys, "explain", "1", *words[2:])
    assert one == asked(capsys, "explain", "1", "--journal", short, "--at", "5")


def test_the_state_now_is_explained_without_a_replay(tmp_path, short, capsys, monkeypatch):
    durable = DurableJournal(tmp_path / "mine" / "journal.sqlite")
    durable.begin(Header(SchedulerConfig()))
    with gzip.open(short) as stream:
        for line in stream.read().splitlines()[1:]:
            durable(msgspec.json.decode(line, type=m.Round))
    durable.close()
    monkeypatch.setattr("stowplan.experiments.runs.moments.moment_of", None)
    found = asked(capsys, "explain", "web", "--cluster", "mine", "--state", str(tmp_path))
    assert (found["lacks"], found["wanted"], found["at_ms"]) == (0, 3, 5000)


SCENARIO = """
name = "tight"
question = "?"
seed = 1
duration = "10m"
task_definitions = { web = "web.json" }
service = [{ name = "web", task_definition = "web", desired_count = 5 }]
[[fleet]]
name = "all"
instance_type = "m5.large"
count = 4
zones = ["a", "b"]
"""


def test_a_scenario_is_simulated_to_the_first_refusal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    container = {"name": "c", "image": "i", "cpu": 1500, "memory": 100}
    document = {"family": "web", "containerDefinitions": [container]}
    (tmp_path / "web.json").write_text(json.dumps(document))
    (tmp_path / "tight.toml").write_text(SCENARIO)
    found = asked(capsys, "explain", "tight.toml", "web")
    assert (found["lacks"], found["wanted"], len(found["misses"])) == (1, 5, 4)
    assert found["nearest"]["obstacles"][0]["short"] == 1500 - (2048 - 1500)
    sorts = [change["sort"] for change in found["changes"]]
    assert sorts == ["instance", "smaller"]
    later = asked(capsys, "explain", "tight.toml", "web", "--at", "5m")
    assert (later["at_ms"], later["lacks"]) == (300_000, 1)
    assert "ends after 600 s" in refused(capsys, "explain", "tight.toml", "web", "--at", "11m")
    assert "matches no run" in refused(capsys, "explain", "tight.toml", "web", "--only", "x")


def test_what_is_not_there_is_one_error(short, capsys):
    said = refused(capsys, "explain", "nothing", "--journal", short)
    assert said == (
        "stowplan: nothing: no service, task or family of that name by then; services: web; tasks "
        "are numbers below 3\n"
    )
    assert "no such file" in refused(capsys, "explain", "web", "--journal", "nowhere")
    both = refused(capsys, "explain", "web", "--journal", short, "--cluster", "x")
    assert "--journal and --cluster: one of them expected" in both
    assert "--only" in refused(capsys, "explain", "web", "--journal", short, "--only", "x")


# --- try --------------------------------------------------------------------------------------


def tried(tmp_path, memory, **fields):
    container = {"name": "c", "image": "i", "cpu": 10, "memory": memory, **fields}
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"family": "new", "containerDefinitions": [container]}))
    return str(file)


def test_tasks_that_do_not_exist_yet_are_placed_as_the_engine_would(tmp_path, short, capsys):
    file = tried(tmp_path, 300)
    words = ("try", file, "--journal", short, "--strategy", "binpack:memory")
    two = asked(capsys, *words, "--count", "2")
    assert (two["placed"], two["lacks"], two["fits"]) == (["i-0", "i-1"], 0, ["i-2"])
    four = asked(capsys, *words, "--count", "4")
    assert (four["placed"], four["lacks"]) == (["i-0", "i-1", "i-2"], 1)
    # Two thirds less of the task's memory is a greater change than one more instance.
    assert [change["sort"] for change in four["changes"]] == ["instance", "smaller"]
    assert four["changes"][1]["less"] == {"MEMORY": 200}
    assert main([*words, "--count", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "3 of 4 tasks of new:1 would be placed: 1 on i-0 (a), 1 on i-1 (b), 1 on i-2 (c)"
    )
    assert "1 of 4 tasks find no room" in lines[1]


def test_a_port_is_named_with_the_tasks_that_were_tried_before(tmp_path, short, capsys):
    file = tried(tmp_path, 10, portMappings=[{"containerPort": 80, "hostPort": 80}])
    found = asked(capsys, "try", file, "--journal", short, "--count", "4")
    assert sorted(found["placed"]) == ["i-0", "i-1", "i-2"]
    held = {miss["obstacles"][0]["tasks"][0] for miss in found["misses"]}
    assert held == {3, 4, 5}  # numbered on from those that run


def test_constraints_and_zones_hold(tmp_path, short, capsys):
    words = ("try", tried(tmp_path, 300), "--journal", short, "--constraint")
    placed = asked(capsys, *words, "attribute:ecs.availability-zone == c")["placed"]
    assert placed == ["i-2"]
    assert "unknown placement strategy" in refused(
        capsys, "try", words[1], "--journal", short, "--strategy", "nothing"
    )
    assert "distinctInstance takes no expression" in refused(
        capsys, *words, "distinctInstance: attribute:a == b"
    )


def test_a_definition_that_is_wrong_is_told_with_its_place(tmp_path, short, capsys):
    file = tmp_path / "new.json"
    file.write_text('{"family": "new", "containerDefinitions": [{"name": "c"}]}')
    assert "containerDefinitions" in refused(capsys, "try", str(file), "--journal", short)


def test_try_names_every_mistake(tmp_path, short, capsys):
    file = tmp_path / "new.json"
    file.write_text('{"family": "new", "containerDefinitions": [{"name": "c"}]}')
    words = ("--strategy", "binpack:memory,nothing", "--constraint", "distinctInstance: x == y")
    said = refused(capsys, "try", str(file), "--journal", short, *words)
    for part in ("containerDefinitions", "--strategy nothing", "--constraint distinctInstance"):
        assert part in said


def test_a_standalone_task_that_has_ended_is_explained_by_its_call(tmp_path, capsys):
    driven = Driven()
    driven.round(definition("app", memory=600), instance(0, memory=1000))
    driven.round(run_task(0, placement_constraints=member_of("attribute:rack exists")))
    driven.round(run_task(1))
    driven.round(stopped(0))
    driven.round(at_ms=9_000_000)
    journal = journal_of(driven.rounds, tmp_path / "run.jsonl.gz")
    found = asked(capsys, "explain", "0", "--journal", journal)
    assert (found["name"], found["fits"]) == ("task 0 of family:app", ["i-0"])
