"""200 random task definitions on our agent; with the real one there, whether the two agree."""

from __future__ import annotations

import json

import pytest

from tests.realdriver.agents import procs, real
from tests.realdriver.agents.procs import Server
from tests.realdriver.agents.rig import until
from tests.realdriver.agents.suite import Outcome, cases, differences, play, wrong

COUNT, AGREE = 200, 0.98


def played_by(kind, count, boot, folder, seed=0):
    """The outcomes of the cases on one kind of agent."""
    folder.mkdir()
    server, engine = Server(folder).start(), boot()
    make = real.RealAgent if kind == "real" else None
    if make is None:
        agent = procs.agent(server, engine, 1, folder / "agent", "--cleanup-wait", "2m")
    else:
        agent = make(server, engine, 1, folder / "agent", "default")
    agent.start()
    try:
        ecs = server.client()
        until(lambda: ecs.list_container_instances()["containerInstanceArns"], 60)
        return [play(ecs, engine, case, f"case{case.number}") for case in cases(count, seed)]
    finally:
        agent.end()
        server.end()


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_our_agent_does_as_the_rules_say(boot, tmp_path):
    found = played_by("ours", COUNT, boot, tmp_path / "ours")
    problems = {
        case.number: what
        for case, outcome in zip(cases(COUNT), found, strict=True)
        if (what := wrong(case, outcome))
    }
    print(f"{COUNT - len(problems)} of {COUNT} as the rules say")
    assert not problems, json.dumps(problems, indent=1)


@pytest.mark.long
@pytest.mark.timeout(14400)
@pytest.mark.skipif(real.BINARY is None, reason="STOWPLAN_ECS_AGENT names no ECS agent")
def test_our_agent_and_the_real_one_agree(boot, tmp_path):
    ours = played_by("ours", COUNT, boot, tmp_path / "ours")
    theirs = played_by("real", COUNT, boot, tmp_path / "real")
    apart = {
        number: what
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True))
        if (what := differences(a, b))
    }
    agree = 1 - len(apart) / COUNT
    print(f"ours and the real agent agree in {agree:.1%} of {COUNT} cases")
    assert agree >= AGREE, json.dumps(apart, indent=1)


@pytest.mark.long
def test_a_few_definitions_on_our_agent(boot, tmp_path):
    chosen = cases(4, seed=5)
    found = played_by("ours", 4, boot, tmp_path / "ours", seed=5)
    assert [wrong(case, outcome) for case, outcome in zip(chosen, found, strict=True)] == [[]] * 4


def test_the_cases_have_all_that_is_to_be_compared():
    found = cases(COUNT)
    assert len({json.dumps(case.containers) for case in found}) > COUNT // 2
    waits = [w["condition"] for c in found for e in c.containers for w in e.get("dependsOn", ())]
    assert {"START", "COMPLETE", "SUCCESS"} == set(waits)
    assert 0.15 < sum(case.stop for case in found) / COUNT < 0.45
    assert any("invalid" in e["image"] for c in found for e in c.containers)


def test_what_agents_do_not_agree_in_is_named():
    a = Outcome("UserInitiated", "enough", {"main": 137}, ["c0", "main"], {"stoppedAt": 10.0})
    assert differences(a, a) == []
    b = Outcome("UserInitiated", "enough", {"main": 0}, ["main", "c0"], {"stoppedAt": 12.0})
    assert [each.partition(":")[0] for each in differences(a, b)] == [
        "exit_codes", "order", "stoppedAt",
    ]  # fmt: skip
    c = Outcome(*("UserInitiated", "enough", {"main": 137}, ["c0", "main"]), {"stoppedAt": 11.4})
    assert differences(a, c) == []
