"""What people keep task definitions in, and how to get at them.

RegisterTaskDefinition's own input, describe's output, a bare list of containers (with a family),
CloudFormation's templates and Terraform's JSON are read where it is plain what is meant. For all
else the error says the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef import cloudformation, terraform
from stowplan.placement.taskdef.templates import REGISTER, Reader

_DOCKERRUN = "AWSEBDockerrunVersion"
_WRAP = 'put them in {"family": ..., "containerDefinitions": [...]}'


@dataclass(frozen=True, slots=True)
class Found:
    """A task definition that was found in a file.

    `document` is for `parse_task_definition`; `place` is where it is in the file, "" for a file
    that is one; `notes` are sentences on what was taken for granted.
    """

    document: Mapping[str, Any]
    place: str = ""
    notes: tuple[str, ...] = ()


def find_definition(content: Any, name: str = "", family: str = "") -> Found:
    """The task definition in the content of a JSON or YAML file.

    Args:
        name: which one, by logical id or address, where a template may hold several.
        family: for what says none, such as a bare list of containers.
    Raises:
        SpecError: it is none, hides what is meant, or holds several and `name` is not one of them.
    """
    if isinstance(content, list):
        return _bare(content, family)
    if not isinstance(content, Mapping):
        raise SpecError([("", f"expected a JSON object, got {type(content).__name__}")])
    if (template := cloudformation.as_template(content)) is not None:
        return _of_template(template, name)
    if terraform.is_terraform(content):
        return _of_terraform(content, name)
    if name:
        raise SpecError([("", f"is no template, so it holds no {name}")])
    if _DOCKERRUN in content:
        return _of_dockerrun(content, family)
    if "services" in content and not {"containerDefinitions", "taskDefinition"} & content.keys():
        raise SpecError([("", "a Compose file, which ECS does not take; write a task definition")])
    if "TaskDefinition" in content or "ContainerDefinitions" in content:
        return _of_properties(content)
    return Found(content)


def _bare(containers: list[Any], family: str) -> Found:
    if family and all(isinstance(each, Mapping) for each in containers):
        document = {"family": family, "containerDefinitions": containers}
        return Found(document, notes=(f"a bare list of containers, taken for family {family}",))
    what = f"a list: if these are container definitions, {_WRAP}, or name a --family"
    raise SpecError([("", what)])


def _of_dockerrun(content: Mapping[str, Any], family: str) -> Found:
    if "containerDefinitions" not in content:
        what = "a Dockerrun.aws.json of one container, which is no task definition"
        raise SpecError([(_DOCKERRUN, what)])
    if not family:
        what = f"a Dockerrun.aws.json: of its container definitions, {_WRAP}"
        raise SpecError([(_DOCKERRUN, what)])
    kept = {key: content[key] for key in ("containerDefinitions", "volumes") if key in content}
    note = f"a Dockerrun.aws.json, taken for family {family}"
    return Found({"family": family, **kept}, notes=(note,))


def _chosen(found: Mapping[str, Any], name: str, what: str) -> str:
    """Which of the definitions of a template is meant."""
    if not found:
        raise SpecError([("", f"holds no {what}")])
    if name in found or (not name and len(found) == 1):
        return name or next(iter(found))
    names = ", ".join(found)
    if name:
        raise SpecError([("", f"holds no {what} named {name}; it has {names}")])
    one = next(iter(found))
    raise SpecError([("", f"holds several: {names}; name one of them, as in FILE#{one}")])


def _of_template(template: Mapping[str, Any], name: str) -> Found:
    found = cloudformation.resources_of(template)
    chosen = _chosen(found, name, "AWS::ECS::TaskDefinition")
    reader, own = (made := cloudformation.Template(template)).reader(), found[chosen]
    place = f"Resources.{chosen}.Properties"
    document = _read(reader, {"Family": chosen} | dict(own), place)
    values = ", ".join(f"{key} = {value}" for key, value in sorted(made.defaults.items()))
    notes = (f"parameters count by their defaults: {values}",) if values else ()
    return Found(document, place, (*notes, *_stand_ins(reader)))


def _of_properties(content: Mapping[str, Any]) -> Found:
    """Properties of a resource without their template, or RegisterTaskDefinition in PascalCase."""
    inner = content.get("TaskDefinition", content)
    made = cloudformation.Template({}).reader()
    return Found(_read(made, inner, ""), notes=tuple(_stand_ins(made)))


def _of_terraform(content: Mapping[str, Any], name: str) -> Found:
    found = terraform.resources_of(content)
    chosen = _chosen(found, name, "aws_ecs_task_definition")
    place, problems = f"aws_ecs_task_definition.{chosen}", list[tuple[str, str]]()
    members = terraform.attributes_as_members(found[chosen], problems)
    if problems:
        raise SpecError([(f"{place}.{at}", what) for at, what in problems])
    made = terraform.reader()
    document = _read(made, members, place)
    return Found(document, place, tuple(_stand_ins(made)))


def _read(reader: Reader, value: Any, place: str) -> Mapping[str, Any]:
    document = reader.read(value)
    if reader.problems:
        prefix = f"{place}: " if place else ""
        raise SpecError([(prefix + at, what) for at, what in reader.problems])
    if not isinstance(document, Mapping):
        raise SpecError([(place or REGISTER, "expected an object")])
    return document


def _stand_ins(reader: Reader) -> list[str]:
    if not reader.stood_in:
        return []
    return [f"expressions stand for what they would be in {', '.join(reader.stood_in)}"]
