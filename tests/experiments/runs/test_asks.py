"""What users reported, and its cure, by the numbers of `experiments/scenarios/README.md`."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import world
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.audit.history import History, Life
from stowplan.placement.loop import run_loop
from stowplan.placement.model import AVAILABILITY_ZONE

ASKS = SCENARIOS / "asks"
NAMES = sorted(path.stem for path in ASKS.glob("*.toml"))
MEMORY, PORTS = "RESOURCE:MEMORY", "RESOURCE:PORTS"
DISTINCT = "DistinctInstance placement constraint unsatisfied."


@cache
def rounds_of(name: str, strategy: str | None = None, layout: str | None = None):
    """The rounds of one run of a scenario; the only one, where nothing is named."""
    loaded = load_scenario(ASKS / f"{name}.toml")
    [run] = [
        run
        for run in loaded.scenario.runs()
        if strategy in (None, run.strategy) and layout in (None, run.layout)
    ]
    scheduler, driver = world(loaded, run, loaded.scenario.duration)
    rounds: list[m.Round] = []
    run_loop(scheduler, driver, rounds.append)
    return rounds


def running(rounds, group: str, minute: float):
    """Tasks of a group that run at a time: (zone, instance) of each."""
    history = History()
    for entry in rounds:
        if entry.now_ms <= minute * 60_000:
            history.begin(entry.now_ms)
            for message in (*entry.accepted(), *entry.commands):
                history.take(message)
    return [
        (history.hosts[task.host].said.attributes[AVAILABILITY_ZONE][-1], task.host)
        for task in history.tasks.values()
        if task.needs.group == group and task.life is Life.PLACED and task.ran_ms is not None
    ]


def zones(rounds, group: str, minute: float) -> list[int]:
    """How many run in the zones a, b and c."""
    counts = Counter(zone for zone, _ in running(rounds, group, minute))
    return [counts[zone] for zone in "abc"]


def instances(rounds, group: str, minute: float) -> dict[int, int]:
    """How many run on each instance."""
    return dict(Counter(host for _, host in running(rounds, group, minute)))


def failures(rounds):
    """What found no room: the failures of tasks and of services, each once."""
    found = [c.failure for r in rounds for c in r.commands if isinstance(c, m.RunTaskFailed)]
    found += [c.failure for r in rounds for c in r.commands if isinstance(c, m.ServiceEvent)]
    return set(found) - {None}


@pytest.mark.parametrize("name", NAMES)
def test_no_run_breaks_a_rule(name):
    for run in load_scenario(ASKS / f"{name}.toml").scenario.runs():
        assert check_rounds(rounds_of(name, run.strategy, run.layout)) == []


def test_every_scenario_is_in_the_table():
    table = (ASKS.parent / "README.md").read_text()
    assert all(f"| `{name}` |" in table for name in NAMES)


def test_after_a_zone_comes_back_the_next_loss_takes_half_of_the_service():
    rounds = rounds_of("zone_comes_back")
    assert zones(rounds, "service:reported", 29.9) == [0, 3, 3]
    assert zones(rounds, "service:cured", 29.9) == [2, 2, 2]
    [lost] = [
        r.commands
        for r in rounds
        if r.now_ms > 30 * 60_000 and any(isinstance(e, m.InstancesGone) for e in r.events)
    ]
    taken = [len(c.tasks) for c in lost if isinstance(c, m.TasksStopped)]
    assert sum(taken) == 3 + 2


def test_a_drain_leaves_its_zone_short():
    rounds = rounds_of("drain_and_zones")
    for service in ("reported", "cured"):
        assert zones(rounds, f"service:{service}", 9.9) == [6, 6, 6]
    assert zones(rounds, "service:reported", 39.9) == [7, 4, 7]
    assert zones(rounds, "service:cured", 39.9) == [6, 6, 6]


def test_scale_in_by_binpack_empties_a_zone():
    for strategy, left in (("reported", [4, 2, 0]), ("cured", [2, 2, 2])):
        rounds = rounds_of("scale_in_zones", strategy)
        assert zones(rounds, "service:app", 9.9) == [4, 4, 4]
        assert sorted(zones(rounds, "service:app", 19.9)) == sorted(left)


def test_two_families_pile_up_unless_they_are_one_group():
    rounds = rounds_of("pile_up")
    blue = instances(rounds, "family:blue", 5)
    assert blue == instances(rounds, "family:green", 5)
    assert sorted(blue.values()) == [1, 1, 1]
    assert sorted(instances(rounds, "app", 5).values()) == [1] * 6


def test_so_many_tasks_on_an_instance_and_no_more():
    seen = {
        layout: sorted(instances(rounds_of("most_per_instance", layout=layout), "service:app", 9))
        for layout in ("free", "distinct", "cured")
    }
    assert {layout: len(hosts) for layout, hosts in seen.items()} == {
        "free": 1,
        "distinct": 4,
        "cured": 4,
    }
    cured = rounds_of("most_per_instance", layout="cured")
    assert set(instances(cured, "service:app", 9).values()) == {2}
    distinct = rounds_of("most_per_instance", layout="distinct")
    assert len(running(distinct, "service:app", 9)) == 4
    assert {failure.reason for failure in failures(distinct)} == {DISTINCT}


def test_sixteen_tasks_fill_an_instance_when_they_are_packed():
    spread = instances(rounds_of("fill_instance", "reported"), "family:runner", 5)
    assert len(spread) == 4
    assert max(spread.values()) < 16
    assert instances(rounds_of("fill_instance", "cured"), "family:runner", 5) == {0: 16}


def test_the_failure_says_that_it_is_host_ports():
    rounds = rounds_of("host_ports")
    assert len(running(rounds, "service:reported", 9)) == 3
    assert len(running(rounds, "service:cured", 9)) == 6
    [failure] = failures(rounds)
    assert (failure.reason, failure.rejected) == (PORTS, ((PORTS, 3),))


def test_a_dry_run_says_what_does_not_fit_and_why():
    rounds = rounds_of("dry_run")
    assert len(running(rounds, "family:job", 4)) == 30
    refused = [c for r in rounds[:2] for c in r.commands if isinstance(c, m.RunTaskFailed)]
    assert sum(c.count for c in refused) == 10
    assert {(c.failure.reason, c.failure.rejected) for c in refused} == {(MEMORY, ((MEMORY, 3),))}
    assert len(running(rounds, "family:job", 19)) == 40


def test_what_could_go_after_a_scale_in_and_why_no_more(capsys):
    def repacked(*arguments):
        path = str(ASKS / "gathered.toml")
        main(["optimize", path, "--goal", "repack", "--json", *arguments])
        return json.loads(capsys.readouterr().out)

    assert {host for _, host in running(rounds_of("gathered"), "service:app", 19)} == set(range(6))
    found = repacked()
    assert (found["status"], found["objective"], len(found["plan"]["freed"])) == ("optimal", 4, 4)
    refused = repacked("--free", "5")
    assert refused["status"] == "infeasible"
    assert "at most 4 instances can be freed" in json.dumps(refused)
