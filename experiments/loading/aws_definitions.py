"""Task definitions from describe-task-definition, without what is nobody else's business.

Placement asks for sizes, ports, modes and constraints. Values of variables, secrets, labels and log
options, names of roles and numbers of accounts stay out unless they are asked for; their kinds
stay, since ECS asks for capabilities by them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from stowplan.experiments.loading.aws_item import Item
from stowplan.experiments.loading.aws_output import AwsOutput
from stowplan.placement.errors import SpecError
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.parse import parse_task_definition

_LEFT_OUT = "not-imported"
_ACCOUNT = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_NO_ACCOUNT = "000000000000"
_ARN = re.compile(r"arn:(aws[\w-]*):([\w-]+):([\w-]*):[^:]*:.*", re.DOTALL)
# Options of log drivers that say how, not where to or by which key.
_PLAIN_OPTIONS = ("awslogs-", "mode", "max-", "enable-ecs-log-metadata", "config-file-type", "Name")


def revision_of(arn: str) -> str:
    """`family:revision` of the ARN of a task definition, or of what stands for one."""
    return arn.rpartition("/")[2]


def read_definitions(
    output: AwsOutput, used: Collection[str]
) -> dict[str, tuple[Item, TaskDefinition]]:
    """The checked task definitions of these `family:revision`; wrong ones are in `problems`."""
    found = {}
    for item in output.all("definition"):
        revision = revision_of(item.text("taskDefinitionArn"))
        if revision not in used:
            continue
        try:
            definition = parse_task_definition(item.body, item.place)
        except SpecError as error:
            output.problems += error.problems
        else:
            found[revision] = item, definition
    return found


def short_names(revisions: Collection[str]) -> dict[str, str]:
    """`family:revision` -> a name for a scenario: the family, with the revision if there are
    several. In the order of families and revisions, as their numbers are dealt anew there."""
    families: dict[str, list[str]] = {}
    for each in sorted(revisions, key=_order):
        families.setdefault(each.partition(":")[0], []).append(each)
    return {
        each: family if len(same) == 1 else each.replace(":", "-")
        for family, same in families.items()
        for each in same
    }


def _order(revision: str) -> tuple[str, int]:
    family, _, number = revision.partition(":")
    return family, int(number) if number.isdecimal() else 0


def document_of(definition: TaskDefinition, with_environment: bool) -> dict[str, Any]:
    """The input of RegisterTaskDefinition.

    Args:
        with_environment: with all values as they are; else only what placement asks for.
    """
    document = dict(definition.document)
    if with_environment:
        return document
    kept: dict[str, Any] = _plain({k: each for k, each in document.items() if k != "tags"})
    kept["containerDefinitions"] = [_container(each) for each in kept["containerDefinitions"]]
    return kept


def without_values(answer: Any) -> Any:
    """An answer of AWS without the values that `document_of` leaves out, wherever they stand, and
    without those of tags; names, ARNs and numbers of accounts stay."""
    if isinstance(answer, list | tuple):
        return [without_values(each) for each in answer]
    if not isinstance(answer, Mapping):
        return answer
    kept = {key: without_values(each) for key, each in answer.items()}
    for key in ("tags", "Tags", "TagSet"):
        if isinstance(kept.get(key), list):
            kept[key] = [_tag(each) for each in kept[key]]
    lists = all(isinstance(kept.get(key, []), list) for key in ("environment", "secrets"))
    return _container(kept, arns=True) if lists else kept


def _tag(tag: Any) -> Any:
    """A tag by its key; AWS's own say which group an instance is of."""
    if not isinstance(tag, Mapping) or str(tag.get("Key", tag.get("key"))).startswith("aws:"):
        return tag
    return {key: _LEFT_OUT if key in ("Value", "value") else each for key, each in tag.items()}


def _container(container: Mapping[str, Any], arns: bool = False) -> dict[str, Any]:
    """A container, or whatever has members of these names. `arns`: those of secrets are whole."""
    kept = dict(container)
    if "environment" in kept:
        kept["environment"] = [{**each, "value": ""} for each in kept["environment"]]
    if "secrets" in kept:
        kept["secrets"] = [_secret(each, arns) for each in kept["secrets"]]
    if "dockerLabels" in kept:
        kept["dockerLabels"] = dict.fromkeys(kept["dockerLabels"], _LEFT_OUT)
    for key in ("logConfiguration", "firelensConfiguration"):
        if key in kept:
            kept[key] = _logging(kept[key], arns)
    return kept


def _logging(configuration: Mapping[str, Any], arns: bool) -> dict[str, Any]:
    kept = dict(configuration)
    if "options" in kept:
        kept["options"] = {
            key: value if key.startswith(_PLAIN_OPTIONS) else _LEFT_OUT
            for key, value in kept["options"].items()
        }
    if "secretOptions" in kept:
        kept["secretOptions"] = [_secret(each, arns) for each in kept["secretOptions"]]
    return kept


def _secret(secret: Mapping[str, Any], arns: bool) -> dict[str, Any]:
    """A secret by its store alone: a parameter's name goes, and an ARN's where it still has one."""
    source = str(secret["valueFrom"])
    if arns:
        source = _plain(source)
    return {**secret, "valueFrom": source if source.startswith("arn:") else _LEFT_OUT}


def _plain(value: Any) -> Any:
    """Without names in ARNs, and without the numbers of accounts wherever they stand."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if not isinstance(value, str):
        return value
    if match := _ARN.fullmatch(value):
        partition, service, region = match.groups()
        ending = ".env" if value.endswith(".env") else ""
        kind = {"iam": "role/", "secretsmanager": "secret:", "ssm": "parameter/"}.get(service, "")
        account = "" if service == "s3" else _NO_ACCOUNT
        return f"arn:{partition}:{service}:{region}:{account}:{kind}{_LEFT_OUT}{ending}"
    return _ACCOUNT.sub(_NO_ACCOUNT, value)
