"""Everything that can be wrong with a scenario: an entry of a table each, then all at once."""

import json
from pathlib import Path

import pytest

from tests.experiments.scenarios import (
    BATCH,
    M5,
    POISSON,
    RATE,
    WEB,
    changed,
    container,
    definition,
    load,
    problems_of,
    sound,
)

BIG = definition(container(memory=9000))
ARM = definition(runtimePlatform={"cpuArchitecture": "ARM64"})
AWSVPC = definition(networkMode="awsvpc")
POOL = "attribute:pool == web"
DRAIN = {"kind": "drain", "at": "1s"}
PROVIDER = {"name": "p", "instance_types": ["m5.large"], "zones": ["a"], "max_size": 1}
# What is wrong, where (a path in the document), the value; where it is found, and words of it.
WRONG = [
    # Shapes.
    ("wrong type", (*M5, "count"), "three", "fleet[0].count", "a whole number, found 'three'"),
    ("a fraction", (*M5, "count"), 1.5, "fleet[0].count", "whole number, found 1.5"),
    ("a boolean", (*M5, "count"), True, "fleet[0].count", "whole number, found True"),
    ("too few", (*M5, "count"), 0, "fleet[0].count", "must be greater than 0, found 0"),
    (
        "no list",
        (*M5, "zones"),
        "a",
        "fleet[0].zones",
        "expected a list, such as zones = [\"...\"]; found 'a'",
    ),
    ("empty list", (*M5, "zones"), [], "fleet[0].zones", "needs at least 1"),
    ("no table", ("models",), 5, "models", "expected a table, such as [models]; found 5"),
    ("no text", ("name",), 5, "name", "expected a text, found 5"),
    (
        "no number",
        (*BATCH, "options"),
        {"machine_memory_gib": "x"},
        "workload[0].options",
        "a number",
    ),
    ("duration", ("duration",), "soon", "duration", "or a number of seconds; found 'soon'"),
    ("endless", ("duration",), float("inf"), "duration", "found inf"),
    ("resubmit", (*BATCH, "resubmit"), "no", "workload[0].resubmit", "expected a duration"),
    ("quota", ("cluster",), {"provisioning_quota": 0}, "cluster.provisioning_quota", "or false"),
    ("missing field", (*M5, "zones"), None, "fleet[0].zones", "missing, and required"),
    ("no fleet", ("fleet",), None, "fleet", "no instances"),
    ("an empty fleet", ("fleet",), [], "fleet", "no instances"),
    ("no strategies", ("strategies",), {}, "strategies", "needs at least 1"),
    (
        "unknown field",
        (*WEB, "q"),
        "red",
        "service[0].q",
        "unknown field; known: alarms, at,",
    ),
    (
        "unknown option",
        BATCH,
        POISSON | {"options": RATE | {"zzz": 1}},
        "workload[0].options.zzz",
        "unknown field; known: count, rate_per_s, run",
    ),
    (
        "one of a list of tables",
        ("service",),
        sound()["service"][0],
        "service",
        'a list, such as [[service]] with name = "...", task_definition = "..."; found {',
    ),
    (
        "faults without a name",
        ("faults",),
        [DRAIN],
        "faults",
        'a table, such as faults = { NAME = [{ kind = "zone-loss", at = "5m" }] }; found [{',
    ),
    (
        "a table or false",
        ("capacity_provider",),
        [PROVIDER | {"managed_scaling": {"target": 90}}],
        "capacity_provider[0].managed_scaling.target",
        "unknown field; known: instance_warmup,",
    ),
    (
        "a number or a table or false",
        ("capacity_provider",),
        [PROVIDER | {"managed_scaling": 5}],
        "capacity_provider[0].managed_scaling",
        "expected a table, such as managed_scaling = {}; found 5",
    ),
    ("seconds in quotes", ("duration",), "600", "duration", "a number of seconds; found '600'"),
    ("typo", (*M5, "zone"), "a", "fleet[0].zone", "unknown field; did you mean zones?"),
    ("typo above", ("strategy",), "random", "strategy", "did you mean strategies?"),
    (
        "typo inside",
        (*WEB, "scale"),
        [{"at": 1, "desired_count": 1, "desired_cont": 1}],
        "service[0].scale[0].desired_cont",
        "did you mean desired_count?",
    ),
    ("typo in a map", ("faults", "x"), [DRAIN | {"zoen": "a"}], "faults.x[0].zoen", "mean zone?"),
    ("choice", ("faults", "x"), [{"kind": "los", "at": 1}], "faults.x[0].kind", "must be 'zone-"),
    ("distribution", ("models",), {"boot": {}}, "models.boot", "constant distribution needs mean"),
    ("strategy is text", ("strategies", "x"), [5], "strategies.x", "expected a strategy such as"),
    ("constraint is text", (*WEB, "constraints"), [5], "service[0].constraints[0]", "found 5"),
    (
        "no task definition",
        ("task_definitions", "web"),
        "wbe.json",
        "task_definitions.web",
        "wbe.json: No such file",
    ),
    ("no calibration", ("models",), {"calibration": "c.json"}, "models.calibration", "no file c.j"),
    (
        "a setting that is no duration",
        ("settings",),
        {"random": {"web": {"at": "soon"}}},
        "settings.random.web.at",
        "expected a duration such as",
    ),
    # Names.
    (
        "instance type",
        (*M5, "instance_type"),
        "m5.lrge",
        "fleet[0].instance_type",
        "mean m5.large?",
    ),
    ("no such type", (*M5, "instance_type"), "q", "fleet[0].instance_type", '[instance_types."q"]'),
    ("definition", (*WEB, "task_definition"), "wbe", "service[0].task_definition", "mean web?"),
    ("kind", (*BATCH, "kind"), "poison", "workload[0].kind", "did you mean poisson?; known: ali"),
    ("layout part", ("layouts", "x"), {"wbe": []}, "layouts.x.wbe", "'wbe'; did you mean web?"),
    ("duplicate", (*BATCH, "name"), "web", "workload[0].name", "'web' is taken by service[0]"),
    ("group twice", ("fleet",), [*sound()["fleet"] * 2], "fleet[1].name", "is taken by fleet[0]"),
    (
        "deploy",
        WEB,
        sound()["service"][0] | {"deploy": [{"at": 8, "task_definition": "wbe"}]},
        "service[0].deploy[0].task_definition",
        "did you mean web?",
    ),
    (
        "scale",
        WEB,
        sound()["service"][0] | {"at": 9, "scale": [{"at": 8, "desired_count": 1}]},
        "service[0].scale[0].at",
        "8000 ms is before the service is created, at 9000 ms",
    ),
    # Strategies.
    ("strategy", ("strategies", "x"), "binpak:cpu", "strategies.x", "did you mean binpack?"),
    ("strategy of a service", (*WEB, "strategy"), "best", "service[0].strategy", "strategy 'best'"),
    ("field", ("strategies", "x"), "binpack", "strategies.x", "binpack: binpack needs a field"),
    ("spread field", ("strategies", "x"), "spread:zone", "strategies.x", "spread needs a field"),
    ("resource", ("strategies", "x"), "binpack:memry", "strategies.x", "resource 'memry'"),
    (
        "spread attribute",
        ("strategies", "x"),
        "spread:attribute:ecs.availabilty-zone",
        "strategies.x",
        "did you mean ecs.availability-zone?",
    ),
    (
        "a chain in one text",
        ("strategies", "x"),
        "binpack:cpu,spread:instanceId",
        "strategies.x",
        'a chain of strategies is a list: ["binpack:cpu", "spread:instanceId"]',
    ),
    (
        "a chain in one text that begins with a typo",
        (*WEB, "strategy"),
        "binpak, random",
        "service[0].strategy",
        'a chain of strategies is a list: ["binpak", "random"]',
    ),
    (
        "an attribute with a comma",
        ("strategies", "x"),
        "spread:attribute:a,b",
        "strategies.x",
        "no instance of the fleet has attribute 'a,b'",
    ),
    ("six strategies", ("strategies", "x"), ["random"] * 6, "strategies.x", "ECS allows 5"),
    ("no file", ("strategies", "x"), "no.py:Mine", "strategies.x", "no file no.py"),
    (
        "no class",
        ("strategies", "x"),
        "mine.py:Yours",
        "strategies.x",
        "mine.py has no class Yours",
    ),
    ("no keys", ("strategies", "x"), "keyless.py:A", "strategies.x", "has no method keys"),
    ("syntax", (*WEB, "strategy"), "syntax.py:A", "service[0].strategy", "syntax.py:2: SyntaxE"),
    ("raises", (*BATCH, "strategy"), "raises.py:A", "workload[0].strategy", "raises.py:2: ZeroD"),
    ("refuses", ("strategies", "x"), "mine.py:Mine:refused", "strategies.x", "refused"),
    ("cannot be made", ("strategies", "x"), "init.py:A", "strategies.x", "KeyError: 'x'"),
    # Queries and constraints.
    (
        "query",
        (*WEB, "constraints"),
        ["attribute:pool = web"],
        "service[0].constraints",
        "position",
    ),
    ("query in a layout", ("layouts", "x"), {"web": ["a b"]}, "layouts.x.web", "position"),
    (
        "attribute",
        (*WEB, "constraints"),
        ["attribute:pol == web"],
        "service[0].constraints",
        "no instance of the fleet has attribute 'pol'; did you mean pool?; their own: pool",
    ),
    (
        "ECS's attribute",
        (*WEB, "constraints"),
        ["attribute:ecs.instance-typ == m5.large"],
        "service[0].constraints",
        "did you mean ecs.instance-type?",
    ),
    (
        "maxPerInstance",
        (*WEB, "constraints"),
        ["maxPerInstance: x"],
        "service[0].constraints",
        "'x'",
    ),
    ("memberOf", (*WEB, "constraints"), ["memberOf:"], "service[0].constraints", "an expression"),
    ("too many", (*WEB, "constraints"), [POOL] * 11, "service[0]", "11 placement constraints, ECS"),
    # Demands that no instance meets, though all are empty.
    (
        "too big",
        ("task_definitions", "web"),
        BIG,
        "service[0]",
        "256 CPU, 9000 MEMORY): RESOURCE:MEM",
    ),
    ("architecture", ("task_definitions", "web"), ARM, "service[0]", "=arm64): ATTRIBUTE"),
    ("provider", (*BATCH, "capacity_provider"), "cp", "workload[0]", "EMPTY CAPACITY PROVIDER"),
    ("value", ("layouts", "x"), {"web": ["attribute:pool == wbe"]}, "layouts.x.web", "MemberOf"),
    # What would begin after the end.
    (
        "fleet too late",
        (*M5, "at"),
        "1m",
        "fleet[0].at",
        "60000 ms is not before the end of the run",
    ),
    ("service too late", (*WEB, "at"), "2m", "service[0].at", "120000 ms is not before the end"),
    (
        "scale too late",
        (*WEB, "scale"),
        [{"at": "59s", "desired_count": 2}, {"at": "61s", "desired_count": 3}],
        "service[0].scale[1].at",
        "61000 ms is not before the end of the run, 60000 ms: nothing would happen",
    ),
    ("deploy too late", (*WEB, "deploy"), [{"at": "61s"}], "service[0].deploy[0].at", "not before"),
    (
        "fault too late",
        ("faults", "loss"),
        [{"kind": "zone-loss", "zone": "a", "at": "15m"}],
        "faults.loss[0].at",
        "900000 ms is not before the end of the run",
    ),
    # Faults.
    (
        "zone",
        ("faults", "x"),
        [{"kind": "zone-loss", "zone": "c", "at": 1}],
        "faults.x[0].zone",
        "a, b",
    ),
    (
        "no zone",
        ("faults", "x"),
        [{"kind": "zone-loss", "at": 1}],
        "faults.x[0].zone",
        "needs the zone",
    ),
    ("no query", ("faults", "x"), [DRAIN], "faults.x[0].instances", "needs a cluster query"),
    (
        "broken query",
        ("faults", "x"),
        [DRAIN | {"instances": "attribute:pool =="}],
        "faults.x[0].instances",
        "position",
    ),
    (
        "attribute of a drain",
        ("faults", "x"),
        [DRAIN | {"instances": "attribute:pol == web"}],
        "faults.x[0].instances",
        "did you mean pool?",
    ),
    (
        "nothing to pull",
        ("faults", "x"),
        [{"kind": "registry-failure", "at": "1s", "until": "2s"}],
        "faults.x[0].kind",
        "needs [images]",
    ),
    (
        "a scheduler that never comes back",
        ("faults", "x"),
        [{"kind": "scheduler-restart", "at": "1s"}],
        "faults.x[0].until",
        "a scheduler-restart needs the time at which it is over",
    ),
    (
        "slow disks nowhere",
        ("faults", "x"),
        [{"kind": "slow-disk", "at": "1s"}],
        "faults.x[0].instances",
        "a slow-disk needs a cluster query",
    ),
    # Containers and images.
    ("behaviour of nobody", ("behaviour",), {"wbe": {}}, "behaviour.wbe", "did you mean web?"),
    (
        "behaviour of no container",
        ("behaviour",),
        {"web": {"ap": {}}},
        "behaviour.web.ap",
        "did you mean app?",
    ),
    ("no such image", ("images",), {"x": {"layers": {"a": 1}}}, "images", "image 'app:1'"),
    ("no layers", ("images",), {"x": {"layers": {}}}, "images.x.layers", "at least 1"),
    (
        "a layer of two sizes",
        ("images",),
        {"app:1": {"layers": {"a": 1}}, "x": {"layers": {"a": 2}}},
        "images.x.layers.a",
        "a layer has one size",
    ),
    ("cached, but not known", (*M5, "cached_images"), ["app:2"], "fleet[0].cached_images", "image"),
    (
        "pull behaviour",
        (*M5, "image_pull_behavior"),
        "never",
        "fleet[0].image_pull_behavior",
        "pref",
    ),
    (
        "volatile",
        ("faults", "x"),
        [DRAIN | {"instances": "runningTasksCount == 0"}],
        "faults.x[0].instances",
        "stays the same",
    ),
    # Workloads.
    ("no trace", (*BATCH, "file"), "no.csv", "workload[0].file", "no file no.csv"),
    ("no trace given", (*BATCH, "file"), None, "workload[0]", "alibaba_batch needs a file"),
    ("no option", (*BATCH, "options"), {}, "workload[0].options.machine_memory_gib", "missing"),
    (
        "typo in an option",
        BATCH,
        POISSON | {"options": {"rate_per_sec": 1.0, "run": {"mean": "1s"}}},
        "workload[0].options.rate_per_sec",
        "did you mean rate_per_s?",
    ),
    (
        "option inside",
        BATCH,
        POISSON | {"options": RATE | {"run": {"distribution": "lognormal"}}},
        "workload[0].options.run",
        "needs median",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "place", "words"), [pytest.param(*case[1:], id=case[0]) for case in WRONG]
)
def test_what_is_wrong_is_named_once_with_file_and_place(folder, path, value, place, words):
    Path("keyless.py").write_text("class A:\n    pass\n")
    Path("syntax.py").write_text("x = 1\ndef\n")
    Path("raises.py").write_text("x = 1\nx / 0\n")
    Path("init.py").write_text("class A:\n    def __init__(self):\n        raise KeyError('x')\n")
    [(found, what)] = problems_of(changed(path, value))
    assert found.startswith(f"test.toml: {place}")
    assert words in what


def test_zones_of_awsvpc_tasks_must_be_in_the_fleet(folder):
    document = changed(("task_definitions", "web"), AWSVPC)
    load(document)
    document["service"][0]["zones"] = ["c"]
    [(place, what)] = problems_of(document)
    assert place == "test.toml: service[0]"
    assert what.endswith("LOCATION")


def test_every_problem_of_meaning_is_named_at_once_each_with_its_file(folder):
    document = changed((*WEB, "task_definition"), "wbe")
    document["fleet"][0]["instance_type"] = "m5.lrge"
    document["strategies"] = {"a": "binpak", "b": ["random", "no.py:Mine"]}
    document["faults"]["loss"][0]["zone"] = "z"
    document["layouts"]["parted"] = {"web": ["attribute:pol == web"], "nobody": []}
    document["workload"][0]["options"] = {}
    document["workload"].append(POISSON | {"name": "web", "options": RATE, "kind": "burst"})
    Path("web.json").write_text(json.dumps(definition(container(memory=5), networkMode="x")))
    assert {place for place, _ in problems_of(document)} == {
        "web.json: networkMode",
        "web.json: containerDefinitions[0].memory",
        "test.toml: service[0].task_definition",
        "test.toml: fleet[0].instance_type",
        "test.toml: strategies.a",
        "test.toml: strategies.b",
        "test.toml: faults.loss[0].zone",
        "test.toml: layouts.parted.web",
        "test.toml: layouts.parted.nobody",
        "test.toml: workload[0].options.machine_memory_gib",
        "test.toml: workload[1].name",
        "test.toml: workload[1].options.rate_per_s",
        "test.toml: workload[1].options.count",
    }


def test_every_problem_of_shape_is_named_at_once_with_those_of_other_files(folder):
    document = changed((*M5, "count"), "three")
    document["sed"] = 5
    document["workload"][0]["file"] = "no.csv"
    document["strategies"]["x"] = "no.py:Mine"
    Path("web.json").write_text("{")
    assert {place for place, _ in problems_of(document)} == {
        "web.json",
        "test.toml: fleet[0].count",
        "test.toml: sed",
        "test.toml: workload[0].file",
        "test.toml: strategies.x",
    }


def test_of_an_unknown_type_nothing_more_is_said(folder):
    document = changed((*M5, "instance_type"), "m5.huge")
    document["strategies"]["zones"] = "spread:attribute:ecs.availability-zone"
    assert [place for place, _ in problems_of(document)] == ["test.toml: fleet[0].instance_type"]


def test_extra_strategies_are_checked_as_well(folder):
    [(place, what)] = problems_of(sound(), extra_strategies={"mine": "no.py:Mine"})
    assert (place, what) == ("strategy mine", "no file no.py")


def test_what_is_wrong_in_shape_hides_nothing_of_what_is_wrong_elsewhere(folder):
    document = changed((*WEB, "task_definition"), "wbe")
    document["service"].insert(0, {"name": "lost", "desired_count": 1})
    document["service"][1]["scale"] = [{"at": "1s"}, {"at": "2s", "desired_count": 1}]
    document["service"].append({"name": "late", "task_definition": "web", "at": "9s"})
    document["service"][2]["scale"] = [{"at": "8s", "desired_count": 1}]
    document["service"][2]["strategy"] = "binpak"
    document["workload"][0]["options"] = {}
    document["workload"].append(POISSON | {"options": RATE | {"zzz": 1}, "until": "soon"})
    document["faults"]["loss"] += [{"kind": "zone-loss"}, {"kind": "zone-loss", "at": 1}]
    document["layouts"]["parted"]["lost"] = ["attribute:pol == web"]
    assert {place for place, _ in problems_of(document)} == {
        "test.toml: service[0].task_definition",  # missing
        "test.toml: service[1].task_definition",
        "test.toml: service[1].scale[0].desired_count",
        "test.toml: service[2].scale[0].at",
        "test.toml: service[2].strategy",
        "test.toml: workload[0].options.machine_memory_gib",
        "test.toml: workload[1].until",
        "test.toml: workload[1].options.zzz",
        "test.toml: faults.loss[1].at",
        "test.toml: faults.loss[2].zone",
        "test.toml: layouts.parted.lost",  # the attribute, not the service
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*M5, "atributes"), {"pool": "web"}),
        ((*M5, "zones"), 5),
        ((*M5, "count"), "three"),
        (("fleet",), {"name": "general"}),
        (("service",), "web"),
        ((*WEB, "name"), 5),
        (("instance_types",), {"m5.large": {"cpu": 4}}),
        (("task_definitions", "web"), 5),
        (("task_definitions",), "web.json"),
        (("duration",), None),
        (("images",), {"app:1": 5}),
        (("images",), {"app:1": {"layers": {"a": 1}}, "app:2": 5}),
        (("strategies",), "random"),
        (("strategies",), {}),
        ((*BATCH, "fil"), "trace.csv"),
    ],
)
def test_nothing_is_said_of_what_lacks_only_because_its_shape_is_wrong(folder, path, value):
    document = changed(path, value)
    if "atributes" in path:
        del document["fleet"][0]["attributes"]
    if "fil" in path:
        del document["workload"][0]["file"]
    document["settings"] = {"random": {"web": {"desired_count": 2}}}
    assert len(problems_of(document)) == 1


def test_without_a_fleet_the_rest_is_checked_too(folder):
    document = changed(("fleet",), None)
    document["service"][0]["task_definition"] = "wbe"
    places = [place for place, _ in problems_of(document)]
    assert places == ["test.toml: fleet", "test.toml: service[0].task_definition"]


def test_what_a_kind_needs_and_its_options_are_said_at_once(folder):
    document = changed(BATCH, {k: v for k, v in POISSON.items() if k != "until"})
    found = dict(problems_of(document))
    assert found["test.toml: workload[0]"] == "poisson needs until"
    assert "test.toml: workload[0].options.rate_per_s" in found
