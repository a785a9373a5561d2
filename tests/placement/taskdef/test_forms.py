"""What people keep task definitions in: templates of CloudFormation and Terraform, bare lists."""

from __future__ import annotations

import json

import pytest

from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.api_model import members_of, type_of
from stowplan.placement.taskdef.forms import find_definition
from stowplan.placement.taskdef.parse import parse_task_definition, task_resources
from tests.placement.taskdef.taskdef_builders import container, demo, task
from tests.placement.taskdef.test_public_style import ACCEPTED, style

REGISTER = "RegisterTaskDefinitionRequest"
DEFINITIONS = {name: style(name) for name in ACCEPTED} | {
    name: demo(name) for name in ("web", "api", "worker", "cache", "batch")
}


def stack(properties, **others):
    return {
        "Resources": {"Web": {"Type": "AWS::ECS::TaskDefinition", "Properties": properties}}
    } | (others)


def read(content, name="", family=""):
    found = find_definition(content, name, family)
    return parse_task_definition(found.document, found.place)


def problems(content, name="", family=""):
    with pytest.raises(SpecError) as raised:
        read(content, name, family)
    return raised.value.problems


# --- CloudFormation -------------------------------------------------------------------------------


def pascal(value, shape=REGISTER, text=False):
    """The value as a template has it; with `text`, numbers and truth as text."""
    kind, inner = type_of(shape)
    if value is None:
        return {"Ref": "AWS::NoValue"}
    if kind == "structure":
        members = members_of(shape)
        return {k[0].upper() + k[1:]: pascal(v, members[k], text) for k, v in value.items()}
    if kind == "list":
        return [pascal(each, inner, text) for each in value]
    if text and kind in ("integer", "boolean"):
        return str(value).lower()
    if not text and kind == "string" and value.isdigit() and not value.startswith("0"):
        return int(value)
    return value


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_template_of_a_definition_reads_like_the_definition(name, text):
    expected = parse_task_definition(DEFINITIONS[name])
    found = read(stack(pascal(DEFINITIONS[name], text=text)))
    assert (found, found.document) == (expected, expected.document)


APP = {"Name": "app", "Image": "app:1", "Memory": 128}


def test_a_family_that_is_left_out_is_the_logical_id():
    assert read(stack({"ContainerDefinitions": [APP]})).family == "Web"


def test_a_part_of_a_template_is_read_too():
    resource = stack({"ContainerDefinitions": [APP]})["Resources"]["Web"]
    assert read({"Web": resource, "Bucket": {"Type": "AWS::S3::Bucket"}}).family == "Web"
    assert read(resource).family == "TaskDefinition"


def test_parameters_count_by_their_defaults_with_a_note():
    template = stack(
        {
            "Cpu": {"Ref": "Cpu"},
            "RequiresCompatibilities": {"Ref": "Where"},
            "ContainerDefinitions": [APP | {"Memory": {"Ref": "Memory"}}],
        },
        Parameters={
            "Cpu": {"Type": "String", "Default": "512"},
            "Memory": {"Type": "Number", "Default": 256},
            "Where": {"Type": "CommaDelimitedList", "Default": "EC2, FARGATE"},
        },
    )
    found = find_definition(template)
    assert task_resources(parse_task_definition(task(container(memory=256), cpu="512"))) == (
        {"CPU": 512, "MEMORY": 256}
    )
    assert found.document["requiresCompatibilities"] == ["EC2", "FARGATE"]
    assert "Cpu = 512, Memory = 256" in found.notes[0]


def test_text_that_placement_does_not_ask_for_may_be_an_expression():
    sub = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/${Repository}:1"
    group = {"Fn::Join": ["/", ["/ecs", {"Ref": "AWS::StackName"}]]}
    options = {"awslogs-group": group, "awslogs-region": {"Ref": "AWS::Region"}}
    name = {"Fn::Sub": "${Stage}-app"}
    template = stack(
        {
            "Family": {"Fn::Sub": "${AWS::StackName}-web"},
            "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "TaskRoleArn": {"Fn::ImportValue": {"Fn::Sub": "${Stage}-role"}},
            "ContainerDefinitions": [
                APP
                | {
                    "Name": name,
                    "Image": {"Fn::Sub": sub},
                    "LogConfiguration": {"LogDriver": "awslogs", "Options": options},
                    "Environment": [{"Name": "DB", "Value": {"Ref": "Database"}}],
                    "Secrets": [{"Name": "KEY", "ValueFrom": {"Ref": "Secret"}}],
                },
                APP
                | {
                    "Name": "side",
                    "DependsOn": [{"ContainerName": name, "Condition": "START"}],
                    "Links": [],
                },
            ],
        }
    )
    found = find_definition(template)
    read_ = parse_task_definition(found.document)
    (first, second) = found.document["containerDefinitions"]
    assert first["image"] == sub
    assert second["dependsOn"][0]["containerName"] == first["name"] == "stage-app"
    assert "ecs.capability.execution-role-ecr-pull" in read_.requires_attributes
    assert "containerDefinitions[0].image" in found.notes[0]


@pytest.mark.parametrize(
    ("properties", "place"),
    [
        ({"Cpu": {"Ref": "Cpu"}}, "cpu"),
        ({"NetworkMode": {"Fn::ImportValue": "mode"}}, "networkMode"),
        ({"ContainerDefinitions": {"Ref": "All"}}, "containerDefinitions"),
        (
            {"ContainerDefinitions": [APP | {"Memory": {"Fn::Select": [0, {"Ref": "Sizes"}]}}]},
            "containerDefinitions[0].memory",
        ),
        (
            {
                "ContainerDefinitions": [
                    APP | {"PortMappings": [{"ContainerPort": {"Ref": "Port"}}]}
                ]
            },
            "containerDefinitions[0].portMappings[0].containerPort",
        ),
        (
            {"ContainerDefinitions": [APP | {"Environment": {"Fn::If": ["Big", [], []]}}]},
            "containerDefinitions[0].environment",
        ),
    ],
)
def test_an_expression_that_hides_what_counts_is_a_problem_with_its_place(properties, place):
    [(found, what)] = problems(stack({"ContainerDefinitions": [APP]} | properties))
    assert found == f"Resources.Web.Properties: {place}"
    assert "hides what is meant" in what


CONDITIONS = {
    "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
    "IsNot": {"Fn::Not": [{"Condition": "IsProd"}]},
    "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsNot"}]},
    "Any": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "IsNot"}]},
    "Round": {"Condition": "Round"},
}


@pytest.mark.parametrize(
    ("condition", "cpu"), [("IsProd", 1024), ("IsNot", None), ("Both", None), ("Any", 1024)]
)
def test_conditions_and_mappings_follow_from_the_defaults(condition, cpu):
    size = {"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Cpu"]}
    template = stack(
        {
            "Cpu": {"Fn::If": [condition, size, {"Ref": "AWS::NoValue"}]},
            "ContainerDefinitions": [
                APP,
                {"Fn::If": [condition, APP | {"Name": "b"}, {"Ref": "AWS::NoValue"}]},
            ],
        },
        Parameters={"Stage": {"Type": "String", "Default": "prod"}},
        Mappings={"Sizes": {"prod": {"Cpu": 1024}}},
        Conditions=CONDITIONS,
    )
    found = read(template)
    assert found.cpu == cpu
    assert len(found.containers) == (1 if cpu is None else 2)


def test_a_condition_that_is_not_known_hides_what_is_meant():
    choice = {"Fn::If": ["Round", "256", "512"]}
    template = stack({"Cpu": choice, "ContainerDefinitions": [APP]}, Conditions=CONDITIONS)
    assert problems(template)[0][0] == "Resources.Web.Properties: cpu"


def test_one_of_several_is_named_and_what_is_none_says_so():
    two = stack({"ContainerDefinitions": [APP]})
    two["Resources"]["Api"] = two["Resources"]["Web"]
    assert read(two, "Api").family == "Api"
    assert "Web, Api; name one of them, as in FILE#Web" in problems(two)[0][1]
    assert "named Bpi; it has Web, Api" in problems(two, "Bpi")[0][1]
    none = {"Resources": {"B": {"Type": "AWS::S3::Bucket"}}}
    assert problems(none) == (("", "holds no AWS::ECS::TaskDefinition"),)


def test_a_rule_that_a_template_breaks_has_its_place_in_the_template():
    [(place, _)] = problems(stack({"ContainerDefinitions": [APP | {"Memory": 5}]}))
    assert place == "Resources.Web.Properties: containerDefinitions[0].memory"


def test_an_unknown_property_is_named():
    [(place, what)] = problems(stack({"ContainerDefinitions": [APP | {"Memroy": 5}]}))
    assert place.endswith("containerDefinitions[0].Memroy")
    assert "unknown field" in what


def test_describe_in_pascal_case_is_read():
    described = {"TaskDefinition": {"Family": "a", "ContainerDefinitions": [APP]}}
    described["TaskDefinition"] |= {"TaskDefinitionArn": "arn", "Compatibilities": ["EC2"]}
    assert read(described).family == "a"


# --- Terraform ------------------------------------------------------------------------------------


def snake(name):
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).replace("gi_b", "gib")


def attributes(document):
    """A definition as `terraform show -json` has it, with what is not set empty."""
    found = {snake(k): v for k, v in document.items() if v is not None}
    found["container_definitions"] = json.dumps(found["container_definitions"])
    unset = {
        "ipc_mode": "",
        "pid_mode": "",
        "tags": None,
        "volume": [],
        "placement_constraints": [],
    }
    found = unset | {"arn": "arn:1", "revision": 3, "track_latest": False} | found
    found["volume"] = [volume_block(each) for each in found.pop("volumes", [])]
    for block in ("runtime_platform", "ephemeral_storage"):
        if block in found:
            found[block] = [{snake(k): v for k, v in found[block].items()}]
    if "inference_accelerators" in found:
        listed = found.pop("inference_accelerators")
        found["inference_accelerator"] = [{snake(k): v for k, v in each.items()} for each in listed]
    if proxy := found.get("proxy_configuration"):
        properties = {each["name"]: each["value"] for each in proxy["properties"]}
        block = {"container_name": proxy["containerName"], "type": proxy["type"]}
        found["proxy_configuration"] = [block | {"properties": properties}]
    if found.get("tags"):
        found["tags"] = {each["key"]: each["value"] for each in found["tags"]}
    return found


def volume_block(volume):
    unset = {"host_path": "", "configure_at_launch": False}
    unset |= {"docker_volume_configuration": [], "efs_volume_configuration": []}
    found = unset | {"name": volume["name"]}
    found["host_path"] = volume.get("host", {}).get("sourcePath", "")
    found["configure_at_launch"] = volume.get("configuredAtLaunch", False)
    if docker := volume.get("dockerVolumeConfiguration"):
        found["docker_volume_configuration"] = [{snake(k): v for k, v in docker.items()}]
    if efs := volume.get("efsVolumeConfiguration"):
        block = {snake(k): v for k, v in efs.items()} | {"transit_encryption_port": 0}
        if access := block.get("authorization_config"):
            block["authorization_config"] = [{snake(k): v for k, v in access.items()}]
        found["efs_volume_configuration"] = [block]
    return found


def shown_plan(values, address="aws_ecs_task_definition.web"):
    resource = {"address": address, "type": "aws_ecs_task_definition", "values": values}
    other = {"address": "aws_s3_bucket.b", "type": "aws_s3_bucket", "values": {}}
    child = {"resources": [resource]}
    module = {"resources": [other], "child_modules": [child]}
    return {"format_version": "1.2", "planned_values": {"root_module": module}}


def state(values):
    resource = {"type": "aws_ecs_task_definition", "name": "web"}
    return {
        "version": 4,
        "terraform_version": "1.9.5",
        "resources": [resource | {"instances": [{"attributes": values}]}],
    }


def shown_state(values):
    return {"format_version": "1.0", "values": shown_plan(values)["planned_values"]}


def source(values):
    return {"resource": {"aws_ecs_task_definition": {"web": values}}}


@pytest.mark.parametrize("form", [shown_plan, shown_state, state, source])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_terraforms_json_of_a_definition_reads_like_the_definition(name, form):
    expected = parse_task_definition(DEFINITIONS[name])
    found = read(form(attributes(DEFINITIONS[name])))
    assert found == expected
    assert found.document["containerDefinitions"] == expected.document["containerDefinitions"]
    assert volumes_of(found) == volumes_of(expected)


def volumes_of(definition):
    """The volumes without what is empty or false, which templates leave out or spell out."""
    listed = definition.document.get("volumes", ())
    return [{k: v for k, v in each.items() if v not in ({}, False)} for each in listed]


TEXT = json.dumps([container(image="${aws_ecr_repository.app.repository_url}:1")])


def test_expressions_of_terraform_stand_where_placement_does_not_ask():
    values = {"family": "${var.stage}-web", "container_definitions": TEXT}
    values |= {"execution_role_arn": "${aws_iam_role.ecs.arn}", "cpu": 512, "memory": 1024}
    found = find_definition(source(values))
    assert parse_task_definition(found.document).cpu == 512
    assert found.document["family"] == "var-stage-web"
    assert "containerDefinitions[0].image" in found.notes[0]


@pytest.mark.parametrize(
    ("values", "place", "words"),
    [
        ({"cpu": "${var.cpu}"}, "cpu", "hides what is meant"),
        (
            {"container_definitions": '${jsonencode([{name = "a"}])}'},
            "container_definitions",
            "terraform show -json",
        ),
        ({"container_definitions": None}, "container_definitions", "missing"),
        ({"dynamic": {"volume": {}}}, "dynamic", "blocks hide"),
        ({"network_mode": "%{ if var.vpc }awsvpc%{ endif }"}, "networkMode", "hides"),
        ({"colour": "red"}, "colour", "unknown field"),
    ],
)
def test_expressions_that_hide_what_counts_are_problems(values, place, words):
    base = {"family": "web", "container_definitions": json.dumps([container()])}
    [(found, what)] = problems(source(base | values))
    assert found.startswith("aws_ecs_task_definition.web")
    assert found.endswith(place)
    assert words in what


def test_what_is_known_after_apply_only_says_so():
    [(place, what)] = problems(shown_plan({"family": "web"}))
    assert place == "aws_ecs_task_definition.web.container_definitions"
    assert "not known before apply" in what


def test_several_of_terraform_are_told_apart_by_address():
    values = {"family": "web", "container_definitions": json.dumps([container()])}
    named = {"web": values, "api": [values | {"family": "api"}]}
    content = {"resource": {"aws_ecs_task_definition": named}}
    assert read(content, "api").family == "api"
    assert "web, api" in problems(content)[0][1]


# --- others ---------------------------------------------------------------------------------------


def test_a_bare_list_needs_a_family():
    assert read([container()], family="app") == parse_task_definition(task())
    assert "containerDefinitions" in problems([container()])[0][1]
    assert "containerDefinitions" in problems([1], family="app")[0][1]


def test_a_dockerrun_of_several_containers_needs_a_family():
    run = {"AWSEBDockerrunVersion": 2, "volumes": [], "containerDefinitions": [container()]}
    assert read(run, family="app").containers[0].name == "app"
    assert "put them in" in problems(run)[0][1]
    assert "one container" in problems({"AWSEBDockerrunVersion": "1", "Image": {}})[0][1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text", "expected a JSON object"),
        (None, "expected a JSON object"),
        ({"services": {"web": {"image": "a"}}}, "Compose"),
    ],
)
def test_what_is_no_task_definition_says_what_it_is(content, words):
    assert words in problems(content)[0][1]


def test_a_name_in_a_file_that_is_no_template_is_a_problem():
    assert "no template" in problems(task(), "Web")[0][1]
