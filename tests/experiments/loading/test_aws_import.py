"""`stowplan import`: what describe calls printed becomes a scenario that checks and simulates."""

import copy
import json
import shutil
from collections import Counter

import pytest
import tomlkit

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.aws_import import import_cluster
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.runs.simulate import drive, simulate, world
from stowplan.placement.errors import SpecError
from tests.experiments.loading.made_cluster import ACCOUNT, PASSWORD, made, text_of

SHIPPED = DATA / "describe_40"


def written(folder, files):
    """These contents as files of a new folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def files():
    """What ships, to change: file name -> content."""
    return copy.deepcopy(made())


@pytest.fixture
def small():
    """One instance, one service of one task, as little of each as AWS prints."""
    arn = "arn:aws:ecs:eu-west-1:111122223333"
    return {
        "ci.json": {
            "containerInstances": [
                {
                    "containerInstanceArn": f"{arn}:container-instance/one/abc",
                    "ec2InstanceId": "i-1",
                    "status": "ACTIVE",
                    "agentConnected": True,
                    "registeredResources": [
                        {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
                        {"name": "MEMORY", "type": "INTEGER", "integerValue": 7680},
                    ],
                    "attributes": [
                        {"name": "ecs.availability-zone", "value": "eu-west-1a"},
                        {"name": "ecs.instance-type", "value": "m5.large"},
                        {"name": "team", "value": "blue"},
                    ],
                }
            ]
        },
        "s.json": {
            "services": [
                {
                    "serviceArn": f"{arn}:service/one/web",
                    "serviceName": "web",
                    "clusterArn": f"{arn}:cluster/one",
                    "status": "ACTIVE",
                    "desiredCount": 1,
                    "launchType": "EC2",
                    "taskDefinition": f"{arn}:task-definition/web:7",
                }
            ]
        },
        "td.json": {
            "taskDefinition": {
                "taskDefinitionArn": f"{arn}:task-definition/web:7",
                "family": "web",
                "revision": 7,
                "containerDefinitions": [
                    {"name": "main", "image": "web:1", "cpu": 256, "memory": 512}
                ],
            }
        },
    }


def instance(small):
    return small["ci.json"]["containerInstances"][0]


def service(small):
    return small["s.json"]["services"][0]


def imported(tmp_path, content, **more):
    return import_cluster([written(tmp_path / "in", content)], **more)


def said(draft):
    return "\n".join(draft.notes.said())


def run(tmp_path, *paths, more=()):
    out = tmp_path / "c.toml"
    return main(["import", *map(str, paths), "--out", str(out), *more]), out


def problems(tmp_path, content, **more):
    with pytest.raises(SpecError) as raised:
        imported(tmp_path, content, **more)
    return [(place.rpartition("/")[2], what) for place, what in raised.value.problems]


# --- what ships -----------------------------------------------------------------------------------


def test_the_files_that_ship_are_what_the_seed_makes():
    assert {path.name: path.read_text() for path in SHIPPED.glob("*.json")} == {
        name: text_of(content) for name, content in made().items()
    }


def test_the_cluster_that_ships_becomes_a_scenario_that_checks(tmp_path, capsys):
    code, out = run(tmp_path, SHIPPED)
    assert code == 0
    assert "53 instances, 3 capacity providers, 40 services of 123 tasks" in capsys.readouterr().out
    scenario = load_scenario(out).scenario
    assert main(["check", str(out)]) == 0
    assert sum(group.count for group in scenario.fleet) == 6
    assert {tuple(group.attributes.items()) for group in scenario.fleet} == {(("pool", "data"),)}
    general, cheap, compute = scenario.capacity_provider
    assert (general.min_size, general.first_size, general.max_size) == (2, 20, 60)
    assert general.managed_scaling.target_capacity == 90
    assert general.managed_scaling.instance_warmup == 180_000
    assert cheap.instance_types == ("m5.large", "m5a.large")
    assert cheap.mixed.on_demand_percentage_above_base_capacity == 0
    assert {each.market for each in cheap.instances} == {"spot"}
    # 9 instances of weight 1 and 2 in turn are 13 units, and the group may have 39.
    assert (compute.instance_types[0], compute.first_size, compute.max_size) == ("c5.xlarge", 9, 27)
    daemons = [each.name for each in scenario.service if each.scheduling_strategy == "DAEMON"]
    assert daemons == ["tax-sync"]


def test_a_service_keeps_its_settings(tmp_path):
    _, out = run(tmp_path, SHIPPED)
    by_name = {each.name: each for each in load_scenario(out).scenario.service}
    cart, web, stock = by_name["cart-api"], by_name["cart-web"], by_name["stock-web"]
    assert (cart.minimum_healthy_percent, cart.maximum_percent) == (50, 150)
    assert cart.circuit_breaker.rollback
    assert [(s.type, s.field) for s in by_name["cart-worker"].strategy] == [("binpack", "memory")]
    assert web.zones == ("us-east-1a", "us-east-1b", "us-east-1c")
    assert [item.capacity_provider for item in web.capacity_provider_strategy] == ["general"]
    assert stock.constraints[0].expression == "attribute:pool == data"
    assert stock.capacity_provider_strategy == ()  # launch type EC2, though there is a default
    behind = [each for each in by_name.values() if each.load_balancer is not None]
    assert len(behind) == 10
    assert {each.health_check_grace_period for each in behind} == {60_000}


def test_target_groups_say_how_their_checks_go(tmp_path):
    arn = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/1"
    told = json.loads((SHIPPED / "services.json").read_text())
    for service in (each for page in told for each in page["services"]):
        for balancer in service["loadBalancers"]:
            balancer["targetGroupArn"] = arn
    folder = tmp_path / "all"
    shutil.copytree(SHIPPED, folder)
    (folder / "services.json").write_text(json.dumps(told))
    group = {
        "TargetGroupArn": arn,
        "TargetGroupName": "web",
        "Protocol": "TCP",
        "HealthCheckIntervalSeconds": 10,
        "HealthyThresholdCount": 3,
        "UnhealthyThresholdCount": 4,
    }
    (folder / "target-groups.json").write_text(json.dumps({"TargetGroups": [group]}))
    _, out = run(tmp_path, folder)
    by_name = {each.name: each for each in load_scenario(out).scenario.service}
    found = by_name["cart-web"].load_balancer
    assert (found.health_check_interval, found.healthy_threshold_count) == (10_000, 3)
    assert (found.unhealthy_threshold_count, found.initial_threshold_count) == (4, 3)
    assert found.deregistration_delay == 300_000
    group["HealthCheckIntervalSeconds"] = 400
    (folder / "target-groups.json").write_text(json.dumps(group))
    with pytest.raises(SpecError, match="HealthCheckIntervalSeconds"):
        import_cluster([folder])


def test_the_cluster_that_ships_runs_and_every_task_finds_its_place(tmp_path):
    _, out = run(tmp_path, SHIPPED, more=("--duration", "2m"))
    loaded = load_scenario(out)
    (one,) = loaded.scenario.runs()
    found = simulate(loaded, one).metrics
    assert (found["instances"], found["service_asked"], found["started"]) == (53, 123, 4)
    assert (found["waiting"], found["refusals"], found["daemons_lacking"]) == (0, 0, 0)
    assert found["at_desired_pct"] > 99


def test_nothing_that_is_nobodys_business_is_written_unless_asked_for(tmp_path):
    def everything():
        return "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())

    run(tmp_path, SHIPPED)
    plain = everything()
    assert "DB_PASSWORD" in plain
    assert not [word for word in (PASSWORD, ACCOUNT, "-AbCdEf", "-execution") if word in plain]
    run(tmp_path, SHIPPED, more=("--force", "--with-environment"))
    assert all(word in everything() for word in (PASSWORD, ACCOUNT, "-AbCdEf", "-execution"))


# --- how files are read ---------------------------------------------------------------------------


def rows(draft):
    return [
        [row.values for row in part]
        for part in (draft.fleet, draft.providers, draft.services, draft.workloads)
    ]


def test_any_mixture_of_files_says_the_same(tmp_path, files):
    one_list = list(files.values())
    after_each_other = "\n".join(json.dumps(each) for each in files.values())
    bare = [
        item
        for content in files.values()
        for output in (content if isinstance(content, list) else [content])
        for values in output.values()
        for item in (values if isinstance(values, list) else [values])
        if "Instances" not in item or "AutoScalingGroupName" in item
    ]
    bare += [item for each in files["instances.json"]["Reservations"] for item in each["Instances"]]
    expected = rows(import_cluster([SHIPPED]))
    for number, content in enumerate((one_list, after_each_other, bare)):
        folder = written(tmp_path / str(number), {"all.json": content})
        assert rows(import_cluster([folder / "all.json"])) == expected
    assert rows(import_cluster(sorted(SHIPPED.glob("*.json")))) == expected


def test_names_alone_failures_and_what_is_there_twice_are_said(tmp_path, small):
    small["list.json"] = {"serviceArns": ["a"]}
    small["gone.json"] = {"services": [], "failures": [{"arn": "x/gone", "reason": "MISSING"}]}
    small["s2.json"] = {"services": [{**service(small), "desiredCount": 3}]}
    small["notes.json"] = {"something": "else"}
    draft = imported(tmp_path, small)
    text = said(draft)
    assert draft.services[0].values["desired_count"] == 3
    assert "hold names alone, as list calls print them; describe says more (1): list.json" in text
    assert "MISSING: AWS could not describe (1): gone" in text
    assert "a service is there twice and not the same; the later file counts (1): web" in text
    assert "passed over, as they are no output of describe (1): notes.json" in text


def test_everything_that_is_wrong_is_named_with_file_and_place_and_nothing_is_written(
    tmp_path, small, capsys
):
    service(small)["desiredCount"] = "three"
    service(small)["placementStrategy"] = [{"type": "best"}]
    instance(small)["registeredResources"] = [{"name": "CPU", "integerValue": 2048}]
    small["td.json"]["taskDefinition"]["containerDefinitions"][0]["memory"] = "much"
    folder = written(tmp_path / "in", small)
    (folder / "cut.json").write_text('{"services": [')
    code, out = run(tmp_path, folder, tmp_path / "none.json")
    text = capsys.readouterr().err
    assert code == 2
    for place in (
        "s.json: services[0].desiredCount: expected a whole number, found 'three'",
        "s.json: services[0].placementStrategy[0].type: expected random, spread or binpack",
        "ci.json: containerInstances[0].registeredResources: has no MEMORY",
        "td.json: taskDefinition: containerDefinitions[0].memory",
        "cut.json: not valid JSON",
        "none.json: No such file",
    ):
        assert place in text, text
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_named_file_that_is_something_else_is_a_problem(tmp_path):
    (tmp_path / "x.json").write_text('{"colour": "red"}')
    with pytest.raises(
        SpecError, match=r"is no output of aws ecs describe-clusters.*it has colour"
    ):
        import_cluster([tmp_path / "x.json"])


def test_of_several_clusters_one_is_to_be_named(tmp_path, small):
    other = copy.deepcopy(service(small))
    other["clusterArn"] = other["clusterArn"].replace("/one", "/two")
    other["serviceArn"] = other["serviceArn"].replace("/one/", "/two/")
    small["s.json"]["services"].append(other)
    with pytest.raises(SpecError, match="several clusters: one, two; name one"):
        imported(tmp_path, small)
    draft = imported(tmp_path, small, cluster="one")
    assert (draft.name, len(draft.services), len(draft.fleet)) == ("one", 1, 1)
    with pytest.raises(SpecError, match="no cluster 'three' in the files; there are: one, two"):
        imported(tmp_path, small, cluster="three")


def test_what_exists_is_replaced_only_if_told_so(tmp_path, small, capsys):
    folder = written(tmp_path / "in", small)
    assert run(tmp_path, folder)[0] == 0
    assert run(tmp_path, folder)[0] == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run(tmp_path, folder, more=("--force",))[0] == 0


# --- what cannot be said --------------------------------------------------------------------------


def test_instances_on_which_nothing_is_placed_are_left_out(tmp_path, small):
    for number, change in enumerate(({"status": "DRAINING"}, {"agentConnected": False})):
        more = {"containerInstanceArn": f"x:container-instance/one/{number}"}
        small["ci.json"]["containerInstances"].append(instance(small) | more | change)
    draft = imported(tmp_path, small)
    assert [row.values["count"] for row in draft.fleet] == [1]
    assert "left out, as they are DRAINING (1)" in said(draft)
    assert "left out, as their agents are not connected (1)" in said(draft)


def test_services_that_are_not_for_instances_or_lack_their_definition_are_left_out(tmp_path, small):
    for name, change in {
        "far": {"launchType": "FARGATE"},
        "spot": {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]},
        "old": {"status": "INACTIVE"},
        "lost": {"taskDefinition": "x:task-definition/lost:1"},
    }.items():
        small["s.json"]["services"].append(
            service(small) | {"serviceName": name, "serviceArn": name} | change
        )
    draft = imported(tmp_path, small)
    assert [row.values["name"] for row in draft.services] == ["web"]
    text = said(draft)
    assert "as they run on Fargate or elsewhere (2): far, spot" in text
    assert "as they are INACTIVE (1): old" in text
    assert "task definitions were not found (aws ecs describe-task-definition) (1): lost" in text


def test_a_service_that_no_instance_can_hold_is_left_out_and_the_rest_stays(
    tmp_path, small, capsys
):
    small["s.json"]["services"].append(
        service(small)
        | {"serviceName": "picky", "serviceArn": "picky"}
        | {"placementConstraints": [{"type": "memberOf", "expression": "attribute:team == red"}]}
    )
    code, out = run(tmp_path, written(tmp_path / "in", small))
    assert code == 0
    assert [each.name for each in load_scenario(out).scenario.service] == ["web"]
    assert "left out, as no instance of the fleet could take a task" in capsys.readouterr().err


def test_what_differs_from_the_catalogue_is_told_by_the_type_and_by_the_group(tmp_path, small):
    first = instance(small)
    first["registeredResources"][1]["integerValue"] = 7000
    for number, memory in enumerate((7000, 6000)):
        more = copy.deepcopy(first)
        more["containerInstanceArn"] = f"x:container-instance/one/{number}"
        more["registeredResources"][1]["integerValue"] = memory
        small["ci.json"]["containerInstances"].append(more)
    draft = imported(tmp_path, small)
    assert draft.types["m5.large"].values["memory"] == 7000
    assert draft.types["m5.large"].values["price_microusd_hour"] == 107_000
    found = Counter(
        (row.values["count"], row.values.get("resources", {}).get("MEMORY")) for row in draft.fleet
    )
    assert found == {(2, None): 1, (1, 6000): 1}


def test_a_type_that_nobody_knows_is_told_by_what_it_registers(tmp_path, small):
    instance(small)["attributes"][1]["value"] = "z9.huge"
    draft = imported(tmp_path, small)
    assert draft.types["z9.huge"].values | {} == {
        "cpu": 2048,
        "memory": 7680,
        "gpus": 0,
        "eni_slots": 2,
        "architecture": "x86_64",
    }
    assert "types that the catalogue does not have" in said(draft)


def test_two_revisions_of_a_family_keep_their_own_files(tmp_path, small):
    second = copy.deepcopy(small["td.json"])
    second["taskDefinition"]["taskDefinitionArn"] = "x:task-definition/web:10"
    second["taskDefinition"]["revision"] = 10
    small["td10.json"] = second
    newer = {"serviceName": "new", "serviceArn": "new"}
    small["s.json"]["services"].append(
        service(small) | newer | {"taskDefinition": "x:task-definition/web:10"}
    )
    code, out = run(tmp_path, written(tmp_path / "in", small))
    assert code == 0
    assert list(load_scenario(out).scenario.task_definitions) == ["web-7", "web-10"]


def test_a_service_in_a_deployment_runs_its_primary_one(tmp_path, small):
    arn = service(small)["taskDefinition"]
    service(small)["deployments"] = [
        {"status": "ACTIVE", "taskDefinition": arn.replace(":7", ":6")},
        {"status": "PRIMARY", "taskDefinition": arn},
    ]
    service(small)["deploymentController"] = {"type": "CODE_DEPLOY"}
    draft = imported(tmp_path, small)
    assert draft.services[0].values["task_definition"] == "web"
    assert "services in a deployment: it counts as done (1): web" in said(draft)
    assert "whose deployments are CODE_DEPLOY; taken for rolling updates (1): web" in said(draft)


def test_standalone_tasks_become_workloads(tmp_path, small):
    task = {
        "clusterArn": "x:cluster/one",
        "taskDefinitionArn": service(small)["taskDefinition"],
        "containerInstanceArn": "i",
        "containers": [],
        "lastStatus": "RUNNING",
    }
    groups = ("family:web", "family:web", "nightly", "service:web")
    small["t.json"] = {
        "tasks": [task | {"taskArn": str(n), "group": group} for n, group in enumerate(groups)]
        + [task | {"taskArn": "over", "group": "nightly", "lastStatus": "STOPPED"}]
    }
    draft = imported(tmp_path, small)
    counts = {row.values.get("group"): row.values["options"]["count"] for row in draft.workloads}
    assert counts == {None: 2, "nightly": 1}
    what = "tasks on container instances that were not found: they are placed anew (4)"
    assert what in said(draft)
    assert draft.running == []


def test_tasks_on_instances_are_kept_where_they_run_the_oldest_first(tmp_path, small):
    task = {
        "clusterArn": "x:cluster/one",
        "taskDefinitionArn": service(small)["taskDefinition"],
        "containerInstanceArn": instance(small)["containerInstanceArn"],
        "containers": [],
        "lastStatus": "RUNNING",
    }
    others = [
        {"group": "family:web"},
        {"group": "nightly"},
        {"group": "service:web", "lastStatus": "PENDING"},
        {"group": "service:web", "desiredStatus": "STOPPED"},
        {"group": "service:web", "taskDefinitionArn": "x:task-definition/web:6"},
        {"group": "service:gone"},
    ]
    small["t.json"] = {"tasks": [task | {"taskArn": str(n)} | o for n, o in enumerate(others)]}
    draft = imported(tmp_path, small)
    (row,) = draft.running
    assert row.values == {"instance": "i-1", "services": {"web": 2}, "standalone": {"web": 2}}
    assert draft.workloads == []
    for what in (
        "tasks left out, as they are being stopped (1): 3",
        "tasks that are not RUNNING yet: on an instance they count as running (1): 2",
        "other revisions than their services': they count as of the same (1): web (web:6)",
        "groups of their own: they have their family's (1): nightly",
    ):
        assert what in said(draft)


def as_printed(scheduler, small):
    """describe-tasks of what a scheduler has on its instances."""
    ids = scheduler.cluster.column("ec2InstanceId")
    tasks = []
    for number in scheduler.tasks.living():
        launch, row = scheduler.tasks.launch[number], scheduler.tasks.instance[number]
        tasks.append(
            {
                "taskArn": f"x/{number:04}",
                "containerInstanceArn": f"x:container-instance/one/{ids.values[ids.codes[row]]}",
                "taskDefinitionArn": service(small)["taskDefinition"],
                "group": launch.kind.group,
                "containers": [],
                "lastStatus": str(scheduler.tasks.status[number]),
                "startedAt": f"2026-01-01T00:00:{number:02}Z",
            }
        )
    return {"tasks": tasks}


def state(loaded, until_ms):
    """(instance, service) -> tasks, of a run of a scenario by then; and its scheduler."""
    (one,) = loaded.scenario.runs()
    scheduler, driver = world(loaded, one, until_ms)
    scheduler = drive(loaded, one, scheduler, driver, lambda _: None)
    ids, table = scheduler.cluster.column("ec2InstanceId"), scheduler.tasks
    names = ((ids.values[ids.codes[table.instance[t]]], t) for t in table.living())
    return Counter((name, table.launch[t].kind.group) for name, t in names), scheduler


def test_a_simulated_state_that_is_exported_and_imported_is_the_same_state(tmp_path, small):
    """Of six instances two go while the run lasts, so that tasks are not where ECS put them."""
    first = instance(small)
    small["ci.json"]["containerInstances"] = [
        first
        | {"containerInstanceArn": f"x:container-instance/one/i-{n}", "ec2InstanceId": f"i-{n}"}
        for n in range(6)
    ]
    service(small)["desiredCount"] = 21
    code, out = run(tmp_path, written(tmp_path / "in", small))
    assert code == 0
    text = out.read_text() + '[[faults.lost]]\nkind = "instance-loss"\nat = "2m"\n'
    out.write_text(text + 'instances = "ec2InstanceId in [i-1, i-4]"\n')
    before, scheduler = state(load_scenario(out), 600_000)
    assert sum(before.values()) == 21
    assert {name for name, _ in before} == {"i-0", "i-2", "i-3", "i-5"}

    small["t.json"] = as_printed(scheduler, small)
    small["ci.json"]["containerInstances"] = [
        each
        for each in small["ci.json"]["containerInstances"]
        if each["ec2InstanceId"][-1] in "0235"
    ]
    code, out = run(tmp_path, written(tmp_path / "again", small), more=("--force",))
    assert code == 0
    after, scheduler = state(load_scenario(out), 0)
    assert after == before
    assert {str(scheduler.tasks.status[t]) for t in scheduler.tasks.living()} == {"RUNNING"}
    assert state(load_scenario(out), 600_000)[0] == before  # and it stays so


def test_the_cluster_that_ships_begins_as_describe_tasks_has_it(tmp_path):
    _, out = run(tmp_path, SHIPPED)
    names, wanted = {}, Counter()
    for file in SHIPPED.glob("*.json"):
        content = json.loads(file.read_text())
        for output in content if isinstance(content, list) else [content]:
            for each in output.get("containerInstances", ()):
                names[each["containerInstanceArn"]] = each["ec2InstanceId"]
    for file in SHIPPED.glob("tasks-*.json"):
        for task in json.loads(file.read_text())["tasks"]:
            wanted[names[task["containerInstanceArn"]], task["group"]] += 1
    assert state(load_scenario(out), 0)[0] == wanted


# --- groups ---------------------------------------------------------------------------------------


def provided(small, group, **more):
    """The small cluster, its instance in a group of a capacity provider."""
    instance(small)["capacityProviderName"] = "cp"
    arn = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:x:autoScalingGroupName/asg"
    of_group = {"autoScalingGroupArn": arn, **more}
    cp = {"name": "cp", "capacityProviderArn": "cp", "autoScalingGroupProvider": of_group}
    small["cp.json"] = {"capacityProviders": [cp, {"name": "FARGATE"}]}
    sizes = {"AutoScalingGroupName": "asg", "MinSize": 0, "MaxSize": 8, "DesiredCapacity": 1}
    if group is not None:
        zones = {"AvailabilityZones": ["eu-west-1a", "eu-west-1b"]}
        small["asg.json"] = {"AutoScalingGroups": [sizes | zones | group]}
    return small


def policy(types, **distribution):
    overrides = [each if isinstance(each, dict) else {"InstanceType": each} for each in types]
    return {
        "MixedInstancesPolicy": {
            "LaunchTemplate": {"Overrides": overrides},
            "InstancesDistribution": distribution,
        }
    }


def test_a_provider_without_its_group_stays_as_it_is(tmp_path, small):
    draft = imported(tmp_path, provided(small, None))
    (row,) = draft.providers
    assert (row.values["max_size"], row.values["desired_size"]) == (1, 1)
    assert row.values["managed_scaling"] is False
    assert draft.fleet == []
    assert "capacity providers whose group was not found" in said(draft)


def test_a_provider_that_is_not_described_is_a_fleet_of_its_name(tmp_path, small):
    instance(small)["capacityProviderName"] = "cp"
    draft = imported(tmp_path, small)
    assert [row.values["capacity_provider"] for row in draft.fleet] == ["cp"]
    assert "capacity providers not found (aws ecs describe-capacity-providers)" in said(draft)


def test_a_policy_is_kept(tmp_path, small):
    shares = {"OnDemandBaseCapacity": 2, "OnDemandPercentageAboveBaseCapacity": 40}
    shares |= {"SpotAllocationStrategy": "capacity-optimized", "SpotInstancePools": 3}
    group = policy(["m5.xlarge", "m5.large"], **shares)
    group["Instances"] = [{"InstanceId": "i-1", "InstanceType": "m5.large"}]
    draft = imported(tmp_path, provided(small, group))
    row = draft.providers[0].values
    assert row["instance_types"] == ["m5.xlarge", "m5.large"]
    assert row["mixed"] == {
        "on_demand_base_capacity": 2,
        "on_demand_percentage_above_base_capacity": 40,
        "on_demand_allocation_strategy": "prioritized",
        "spot_allocation_strategy": "capacity-optimized",
        "spot_instance_pools": 3,
    }
    assert "how much EC2 has to spare nobody knows" in said(draft)
    assert "spot prices are not in the files" in said(draft)


def test_a_strategy_that_is_none_is_told(tmp_path, small):
    group = policy(["m5.large"], SpotAllocationStrategy="diversified")
    draft = imported(tmp_path, provided(small, group))
    assert draft.providers[0].values["mixed"]["spot_allocation_strategy"] == "lowest-price"
    assert "strategies that a scenario does not have: lowest-price in their place" in said(draft)


def test_weights_are_kept_where_ecs_does_not_scale_and_divide_the_sizes_where_it_does(
    tmp_path, small
):
    weighted = [{"InstanceType": "m5.large", "WeightedCapacity": "2"}]
    group = policy(weighted) | {"MinSize": 2, "DesiredCapacity": 6}
    row = imported(tmp_path, provided(small, group)).providers[0].values
    assert (row["min_size"], row["desired_size"], row["max_size"]) == (2, 2, 8)
    assert row["mixed"]["weights"] == {"m5.large": 2}
    managed = provided(small, group, managedScaling={"status": "ENABLED"})
    row = imported(tmp_path, managed).providers[0].values
    assert (row["min_size"], row["desired_size"], row["max_size"]) == (1, 1, 4)
    assert "weights" not in row["mixed"]


def test_types_chosen_by_attributes_are_those_of_ec2_that_have_them(tmp_path, small):
    asked = {"VCpuCount": {"Min": 2, "Max": 2}, "MemoryMiB": {"Min": 8192, "Max": 8192}}
    asked |= {"CpuManufacturers": ["amd"], "LocalStorage": "excluded"}
    group = policy([{"InstanceRequirements": asked}])
    code, out = run(tmp_path, written(tmp_path / "in", provided(small, group)))
    assert code == 0
    table = load_scenario(out).scenario.capacity_provider[0]
    assert "m5a.large" in table.instance_types
    assert not {"m5.large", "m5ad.large", "m6g.large"} & {*table.instance_types}
    assert table.mixed.on_demand_allocation_strategy == "lowest-price"
    assert table.instances[0].instance_type == "m5.large"  # as it runs, though of Intel's


def test_managed_scaling_and_draining_are_kept(tmp_path, small):
    scaling = {"status": "ENABLED", "targetCapacity": 80, "maximumScalingStepSize": 5}
    more = {"managedScaling": scaling, "managedTerminationProtection": "ENABLED"}
    code, out = run(
        tmp_path,
        written(tmp_path / "in", provided(small, {}, **more, managedDraining="DISABLED")),
    )
    (cp,) = load_scenario(out).scenario.capacity_provider
    assert code == 0
    assert (cp.managed_scaling.target_capacity, cp.managed_scaling.maximum_scaling_step_size) == (
        *(80, 5),
    )
    assert (cp.managed_termination_protection, cp.managed_draining) == (True, False)


def test_the_file_is_one_that_people_can_edit(tmp_path, small):
    _, out = run(tmp_path, written(tmp_path / "in", small))
    document = tomlkit.parse(out.read_text())
    document["service"][0]["desired_count"] = 3
    out.write_text(tomlkit.dumps(document))
    assert load_scenario(out).scenario.service[0].desired_count == 3
    assert out.read_text().startswith("# An ECS cluster as `aws ... describe-*` saw it")
