"""Files of task definitions: JSON and YAML, one of several in a template, and the way out."""

from __future__ import annotations

import json

import pytest

from stowplan.experiments.loading.definition_file import read_definition_file
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import task_resources
from tests.placement.taskdef.taskdef_builders import container, task

TEMPLATE = """\
AWSTemplateFormatVersion: 2010-09-09
Description: a service
Parameters:
  Memory: {Type: Number, Default: 512}
  Image: {Type: String}
Conditions:
  Big: !Equals [!Ref Memory, 512]
Resources:
  Cluster:
    Type: AWS::ECS::Cluster
  Web:
    Type: AWS::ECS::TaskDefinition
    Properties:
      Family: !Sub '${AWS::StackName}-web'
      Cpu: 256
      Memory: !Ref Memory
      NetworkMode: !If [Big, awsvpc, bridge]
      RequiresCompatibilities: [FARGATE]
      ExecutionRoleArn: !GetAtt Role.Arn
      ContainerDefinitions:
        - Name: web
          Image: !Ref Image
          Environment:
            - {Name: SINCE, Value: 2020-01-01}
            - {Name: GROUP, Value: !Join ['/', [/ecs, !Ref 'AWS::StackName']]}
          PortMappings:
            - ContainerPort: '8080'
  Worker:
    Type: AWS::ECS::TaskDefinition
    Properties:
      ContainerDefinitions:
        - {Name: worker, Image: 'worker:1', Memory: 64}
"""


def written(folder, name, text):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(file, **more):
    with pytest.raises(SpecError) as raised:
        read_definition_file(file, **more)
    return raised.value.problems


def test_a_template_in_yaml_is_read_with_its_short_forms(tmp_path):
    file = written(tmp_path, "t.yaml", TEMPLATE)
    found = read_definition_file(file.with_name("t.yaml#Web"))
    assert task_resources(found.definition) == {"CPU": 256, "MEMORY": 512, "ENI": 1}
    (web,) = found.definition.document["containerDefinitions"]
    assert web["environment"] == [
        {"name": "SINCE", "value": "2020-01-01"},
        {"name": "GROUP", "value": "/ecs/${AWS::StackName}"},
    ]
    assert found.definition.family == "aws-stackname-web"
    assert any("Memory = 512" in note for note in found.notes)
    assert any("validated for Fargate" in note for note in found.notes)
    assert read_definition_file(file.with_name("t.yaml#Worker")).definition.family == "Worker"


def test_several_in_a_template_are_named_and_which_is_asked_for(tmp_path):
    file = written(tmp_path, "t.yml", TEMPLATE)
    [(place, what)] = problems(file)
    assert (place, "t.yml#" in what) == (str(file), False)
    assert "Web, Worker; name one of them, as in FILE#Web" in what
    assert (
        "holds no AWS::ECS::TaskDefinition named Api" in problems(file.with_name("t.yml#Api"))[0][1]
    )


def test_a_problem_in_a_template_has_file_and_place(tmp_path):
    text = TEMPLATE.replace("Memory: 64", "Memory: 5")
    file = written(tmp_path, "t.yaml", text)
    [(place, what)] = problems(file.with_name("t.yaml#Worker"))
    assert place == f"{file}: Resources.Worker.Properties: containerDefinitions[0].memory"
    assert "5 is below 6" in what


def test_a_plain_definition_in_yaml_is_read(tmp_path):
    text = "family: app\ncontainerDefinitions:\n  - {name: app, image: 'app:1', memory: 128}\n"
    assert read_definition_file(written(tmp_path, "td.yaml", text)).definition.family == "app"


def test_a_template_may_be_in_json_whatever_it_is_called(tmp_path):
    file = written(tmp_path, "t.template", json.dumps(task()))
    assert read_definition_file(file).definition.family == "app"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"family": ', "not valid JSON"),
        ("a.json", '{"family": ${family}}', "looks like a template: fill it in first"),
        ("a.json.tpl", '[{"name": {{ name }}}]', "looks like a template"),
        ("a.json", "family: app\n", "if it is YAML, name it .yaml"),
        ("a.tf", 'resource "aws_ecs_task_definition" "web" {}', "terraform show -json"),
        ("a.json", '{"family": NaN}', "NaN is no JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.yaml", "a: {? [1]: 2}", "not valid YAML"),
        ("a.yaml", "&a [*a]", "not valid YAML"),
        ("a.yaml", "family: !!binary aGk=", "not valid YAML"),
        ("a.json", '{"Resources": ' + '{"Fn::If": [' * 300 + "]}" * 300 + "}", "holds no"),
        ("a.yaml", "- 1\n", "a list"),
        ("a.json", "5", "expected a JSON object, got int"),
    ],
)
def test_what_cannot_be_read_says_why_and_the_way_out(name, text, words, tmp_path):
    found = problems(written(tmp_path, name, text))
    assert found[0][0].startswith(str(tmp_path / name))
    assert words in found[0][1]


def test_a_file_that_is_not_there_is_named_where_the_scenario_names_it(tmp_path):
    [(place, what)] = problems(tmp_path / "no.json", place="s.toml: task_definitions.web")
    assert (place, "No such file" in what) == ("s.toml: task_definitions.web", True)
    assert problems(tmp_path / "no.yaml#Web")[0][0] == str(tmp_path / "no.yaml")


def test_a_file_whose_name_holds_a_hash_is_read(tmp_path):
    file = written(tmp_path, "a#b.json", json.dumps(task(container())))
    assert read_definition_file(file).definition.family == "app"


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\x80\x81\x82")
    assert "not a text file" in problems(tmp_path / "a.json")[0][1]
