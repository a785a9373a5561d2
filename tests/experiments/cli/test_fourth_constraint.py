"""A constraint of a further type, added as CONTRIBUTING says: a class and a line in CONSTRAINTS.

It works in check, simulate, verify, explain and report, and every goal of `optimize` keeps it or
refuses it with a sentence. Each shape that a class can have is tried.
"""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.cli.optimize import answer_scenario
from stowplan.experiments.cli.regret import with_least
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.journals import read_journal_file
from stowplan.experiments.report.formats import short_reason
from stowplan.experiments.report.report import write_report
from stowplan.experiments.runs.audit import stated_by_class
from stowplan.experiments.runs.simulate import simulate
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.audit.history import History, Life
from stowplan.placement.constraints import CONSTRAINTS, Constraint
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.optimal.optimize import GOALS
from stowplan.placement.query import parse_query
from stowplan.placement.testing import make_cluster, make_kind

ZONE = "ecs.availability-zone"


class AtMostTwo(Constraint):
    """A limit without an expression."""

    most = 2

    def __init__(self, expression):
        if expression:
            raise ValueError("atMostTwo takes no expression")


class AtMost(Constraint):
    """A limit by its expression."""

    example = "2"

    def __init__(self, expression):
        self.most = int(expression)


class InZone(Constraint):
    """A query by its expression."""

    example = "a"

    def __init__(self, expression):
        self.query = parse_query(f"attribute:{ZONE} == {expression}")


class OnlyEven(Constraint):
    """Code that depends on the instance alone."""

    volatile = False

    def __init__(self, expression):
        pass

    def allows(self, task, cluster):
        return np.arange(cluster.size) % 2 == 0


class MaxPerZone(Constraint):
    """Code that depends on what runs, on other instances too."""

    example = "2"

    def __init__(self, expression):
        if not (expression or "").isdecimal():
            raise ValueError(f"maxPerZone needs a number, found {expression!r}")
        self._most = int(expression)

    def allows(self, task, cluster):
        codes, _ = cluster.column(f"attribute:{ZONE}")
        there = np.bincount(codes, weights=cluster.group_count(task.group))
        return there[codes] < self._most


class OneOnEven(Constraint):
    """A limit, and code beside it."""

    most = 1
    volatile = False

    def __init__(self, expression):
        pass

    def allows(self, task, cluster):
        return np.arange(cluster.size) % 2 == 0


class Plain:
    """One that says the least that can be said, and derives from nothing."""

    reason = "Plain placement constraint unsatisfied."
    volatile = True

    def __init__(self, expression):
        pass

    def allows(self, task, cluster):
        return cluster.group_count(task.group) < 2


def at_most(most):
    return lambda hosts: max(Counter(hosts).values()) <= most


def even(hosts):
    return all(number % 2 == 0 for number, _ in hosts)


def two_a_zone(hosts):
    return max(Counter(zone for _, zone in hosts).values()) <= 2


# name -> class, its text in a file, whether (number, zone) of the hosts of a group keep it, and the
# goals that keep it; all others refuse it.
ALL = frozenset(GOALS)
SHAPES = {
    "atMostTwo": (AtMostTwo, "atMostTwo", at_most(2), ALL),
    "atMost": (AtMost, "atMost: 2", at_most(2), ALL),
    "inZone": (InZone, "inZone: a", lambda hosts: {zone for _, zone in hosts} <= {"a"}, ALL),
    "onlyEven": (OnlyEven, "onlyEven", even, {"placement"}),
    "maxPerZone": (MaxPerZone, "maxPerZone: 2", two_a_zone, set()),
    "oneOnEven": (OneOnEven, "oneOnEven", lambda h: even(h) and at_most(1)(h), {"placement"}),
    "plain": (Plain, "plain", at_most(2), set()),
}
JUDGED = {"atMostTwo", "atMost", "inZone"}
MOVED = JUDGED | {"onlyEven", "oneOnEven"}

SCENARIO = """
name = "fourth"
duration = "5m"
fleet = [
  {{ name = "g", instance_type = "m5.large", count = 4, zones = ["a"] }},
  {{ name = "h", instance_type = "m5.large", count = 4, zones = ["b"] }},
]
service = [
  {{ name = "free", task_definition = "app", desired_count = 5 }},
  {{ name = "web", task_definition = "app", desired_count = {count}, constraints = ["{text}"] }},
]
[strategies]
default = "default"
binpack = "binpack:memory"
optimal = ["optimal:30s", "binpack:memory"]
[task_definitions.app]
family = "app"
containerDefinitions = [{{ name = "app", image = "app", cpu = 128, memory = 512 }}]
"""


@pytest.fixture(params=SHAPES)
def shape(request, monkeypatch):
    """A registered type, and nothing else: name, text, whether hosts keep it, goals."""
    factory, *rest = SHAPES[request.param]
    monkeypatch.setitem(CONSTRAINTS, request.param, factory)
    return request.param, *rest


def written(tmp_path, text, count=4):
    path = tmp_path / "fourth.toml"
    path.write_text(SCENARIO.format(text=text, count=count))
    return path


def simulated(path, strategy, journal=None):
    loaded = load_scenario(path)
    run = next(run for run in loaded.scenario.runs() if run.strategy == strategy)
    return simulate(loaded, run, journal)


def hosts_of(journal, service):
    """(number, zone) of each task of a service that has a place in the end."""
    history = History(lambda constraint: None)
    for entry in read_journal_file(journal)[1]:
        history.begin(entry.now_ms)
        for message in (*entry.accepted(), *entry.commands):
            history.take(message)
    return [
        (facts.host, history.hosts[facts.host].said.attributes[ZONE])
        for facts in history.tasks.values()
        if facts.service == service and facts.life is Life.PLACED
    ]


# --- check, simulate, verify, explain, report -----------------------------------------------------


@pytest.mark.parametrize("strategy", ["default", "binpack", "optimal"])
def test_a_run_keeps_it_and_verify_says_by_what_it_was_judged(shape, strategy, tmp_path, capsys):
    name, text, keeps, _ = shape
    path, journal = written(tmp_path, text), tmp_path / "run.jsonl.gz"
    assert main(["check", str(path)]) == 0
    results = [simulated(path, strategy, journal)]
    hosts = hosts_of(journal, "web")
    assert len(hosts) == 4
    assert keeps(hosts)
    capsys.readouterr()
    assert main(["verify", str(journal)]) == 0
    said = capsys.readouterr().out
    assert "replay to the same commands, 0 violations" in said
    assert (f"not judged: constraint {name} has code of its own" in said) == (name not in JUDGED)
    loaded = load_scenario(path)
    write_report(loaded.scenario, with_least(results), tmp_path / "report.html")
    assert "web" in (tmp_path / "report.html").read_text()


def test_what_finds_no_place_is_explained_by_its_name(shape, tmp_path, capsys):
    name, text, keeps, _ = shape
    # More than any of the shapes holds on eight instances, and less than there is room for.
    result = simulated(written(tmp_path, text, count=100), "default", tmp_path / "run.jsonl.gz")
    assert keeps(hosts_of(tmp_path / "run.jsonl.gz", "web"))
    reasons = result.metrics["refusals_by_reason"]
    assert f"{name[:1].upper()}{name[1:]} placement constraint unsatisfied." in reasons
    assert short_reason(f"{name[:1].upper()}{name[1:]} placement constraint unsatisfied.") == name
    assert main(["verify", str(tmp_path / "run.jsonl.gz")]) == 0


def test_kernels_choose_and_explain_as_the_reference_does(shape):
    _, text, _, _ = shape
    kind = make_kind(100, 100, constraints=(text.replace(": ", ":"),), strategies=("binpack:cpu",))
    answers = []
    for kernels in (True, False):
        engine = Engine(make_cluster(8, zones="aabb"), np.random.default_rng(0), kernels=kernels)
        filled = engine.fill(kind, 100)
        again = engine.place([kind] * 9)
        failures = {at: (why.reason, why.rejected) for at, why in again.failures.items()}
        answers.append((filled.rows, filled.failure, again.instances.tolist(), failures))
    assert answers[0] == answers[1]
    assert len(answers[0][0]) in (4, 16, 40)


def test_verify_finds_a_journal_that_breaks_what_a_type_states(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(CONSTRAINTS, "atMost", AtMost)
    path, journal = written(tmp_path, "atMost: 2"), tmp_path / "run.jsonl.gz"
    # A scheduler that lets three in, as the class states it in this moment ...
    monkeypatch.setitem(CONSTRAINTS, "atMost", lambda expression: AtMost("4"))
    simulated(path, "binpack", journal)
    rounds = read_journal_file(journal)[1]
    assert not check_rounds(rounds, stated=stated_by_class)
    # ... is found by the audit's own book once it states two.
    monkeypatch.setitem(CONSTRAINTS, "atMost", AtMost)
    found = check_rounds(rounds, stated=stated_by_class)
    assert {(v.checker, v.verdict) for v in found} == {("constraints", "broken")}
    assert "atMost allows 2" in found[0].what
    assert main(["verify", str(journal)]) == 1


def test_a_journal_with_a_type_that_is_not_here_is_refused_with_a_sentence(
    tmp_path, monkeypatch, capsys
):
    journal = tmp_path / "run.jsonl.gz"
    with monkeypatch.context() as registered:
        registered.setitem(CONSTRAINTS, "atMost", AtMost)
        simulated(written(tmp_path, "atMost: 2"), "binpack", journal)
    capsys.readouterr()
    assert main(["verify", str(journal)]) == 1
    said = capsys.readouterr().err.splitlines()
    what = "CONSTRAINTS has no atMost, so it can be neither replayed nor judged"
    assert said == [f"{journal}: {what}"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("maxPerZone", "maxPerZone needs a number, found None"),
        ("maxPerZone: two", "maxPerZone needs a number, found 'two'"),
    ],
)
def test_an_expression_that_makes_no_sense_is_found_by_check(
    text, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(CONSTRAINTS, "maxPerZone", MaxPerZone)
    assert main(["check", str(written(tmp_path, text))]) == 2
    assert f"service web.constraints: placement constraint maxPerZone: {words}" in (
        capsys.readouterr().err
    )


# --- every goal of optimize -----------------------------------------------------------------------


@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_keeps_it_or_refuses_it_with_a_sentence(shape, goal, tmp_path):
    name, text, keeps, goals = shape
    scenario = load_scenario(written(tmp_path, text)).scenario
    if goal not in goals:
        with pytest.raises(SpecError, match=f"{name}.* (depends on what|has code of its own)"):
            answer_scenario(scenario, goal)
        return
    answer = answer_scenario(scenario, goal)
    if (goal, name) == ("hours", "inZone"):
        # The plan tells no zones; that there is no place at all in one that is not there tells.
        nowhere = load_scenario(written(tmp_path, "inZone: a")).scenario
        fleet = tuple(group.model_copy(update={"zones": ("b",)}) for group in nowhere.fleet)
        answer = answer_scenario(nowhere.model_copy(update={"fleet": fleet}), goal)
        assert answer.status == "infeasible"
        return
    assert answer.status == "optimal"
    hosts = hosts_of_hours(answer.plan) if goal == "hours" else hosts_of_plan(answer.plan)
    assert len(hosts) == 4
    assert keeps(hosts)
    if goal in ("instances", "hours") and "atMost" in name:
        # All nine would fit on one instance, were they free.
        free = load_scenario(written(tmp_path, "maxPerInstance: 9")).scenario
        assert answer.objective == 2 * answer_scenario(free, goal).objective


def hosts_of_plan(plan):
    """(number, zone) of each of web's tasks; the number is in the name where there is one."""
    hosts, number = [], 0
    for line in plan.instances:
        for copy in range(line.copies):
            number += 1
            name = line.names[copy] if line.names else None
            row = number if name is None else int(name.removeprefix("i-"), 16)
            for index, count in line.tasks:
                if plan.tasks[index].owner == "web":
                    hosts += [(row, line.zone)] * count
    return hosts


def hosts_of_hours(plan):
    """(number, no zone) of each of web's tasks."""
    return [
        (host, None)
        for host, group in zip(plan.instance.tolist(), plan.groups, strict=True)
        if group == "service:web"
    ]


def test_repack_moves_only_where_it_is_kept_and_leaves_the_rest(shape, tmp_path, capsys):
    name, text, keeps, _ = shape
    path = written(tmp_path, text)
    assert main(["optimize", str(path), "--goal", "repack", "--strategy", "default", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["moves"]
    moves = [move for move in plan["moves"] if move["group"] == "service:web"]
    assert name in MOVED or not moves
    numbers = [int(move["to"].removeprefix("i-"), 16) for move in moves]
    assert not moves or keeps([(number, "a" if number < 4 else "b") for number in numbers])


def test_repack_refuses_to_make_room_for_what_it_cannot_express(shape, tmp_path, capsys):
    name, text, _, _ = shape
    path = written(tmp_path, text, count=100)
    code = main(["optimize", str(path), "--goal", "repack", "--waiting", "--strategy", "default"])
    captured = capsys.readouterr()
    if name in MOVED:
        assert code == 0
        assert "no moves make room for all that wait" in captured.out
    else:
        assert code == 2
        assert f"{name}" in captured.err
        assert "depends on what else is running" in captured.err


def test_code_that_answers_with_something_else_is_one_error():
    class Odd(Constraint):
        """Not a mask."""

        def __init__(self, expression):
            pass

        def allows(self, task, cluster):
            return np.ones(cluster.size + 1)

    engine = Engine(
        make_cluster(2), np.random.default_rng(0), constraints={**CONSTRAINTS, "odd": Odd}
    )
    with pytest.raises(PlacementError, match="constraint odd: allows: expected 2 truth values"):
        engine.place([make_kind(1, constraints=("odd",))])
