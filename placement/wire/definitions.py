"""Operations on task definitions. They are the account's: every cluster knows the same ones."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.describe import TaskDefinitionRecord
from stowplan.placement.wire.calls import Params, tag_pairs, taken
from stowplan.placement.wire.errors import WireError, invalid
from stowplan.placement.wire.pages import page
from stowplan.placement.wire.sentences import check_definition
from stowplan.placement.wire.show import show_definition, shown_tags
from stowplan.placement.wire.world import Ask, Document, Host, Steps

DELETE_MOST = 10


def everywhere(host: Host, call: m.Event) -> list[Ask]:
    """The same call of the registry, first, and of every cluster."""
    active = [each for each in host.clusters.values() if each.state.status == "ACTIVE"]
    return [Ask(each, call) for each in (host.registry, *active)]


def register_task_definition(host: Host, params: Params) -> Steps:
    """RegisterTaskDefinition."""
    document = {name: value for name, value in params.items() if name != "tags"}
    check_definition(document)
    taken((yield everywhere(host, m.RegisterTaskDefinition(document))))
    record = host.registry.state.task_definitions[params["family"]][-1]
    if params.get("tags"):
        call = m.TagResource("task-definition", record.name, tag_pairs(params["tags"]))
        taken((yield [Ask(host.registry, call)]))
    return _shown(host, record)


def _shown(host: Host, record: TaskDefinitionRecord, tags: bool = True) -> Document:
    answer: Document = {
        "taskDefinition": show_definition(host.account, record, host.registry.epoch_s)
    }
    return answer | {"tags": shown_tags(record.tags)} if tags else answer


def _record(host: Host, text: str, *, revision: bool = False) -> TaskDefinitionRecord:
    name = host.account.name_of(text, "task-definition")
    if revision and ":" not in name:
        raise WireError("ClientException", "Revision is missing.")
    if revision and not name.rpartition(":")[2].isdecimal():
        what = f"Invalid revision number. Number: {name.rpartition(':')[2]}"
        raise WireError("ClientException", what)
    record = host.registry.state.definition(name)
    if record is None:
        raise WireError("ClientException", "Unable to describe task definition.")
    return record


def describe_task_definition(host: Host, params: Params) -> Document:
    """DescribeTaskDefinition; a family alone is its latest ACTIVE revision."""
    record = _record(host, params["taskDefinition"])
    return _shown(host, record, "TAGS" in (params.get("include") or ()))


def deregister_task_definition(host: Host, params: Params) -> Steps:
    """DeregisterTaskDefinition."""
    record = _record(host, params["taskDefinition"], revision=True)
    taken((yield everywhere(host, m.DeregisterTaskDefinition(record.name))))
    return _shown(host, record, tags=False)


def delete_task_definitions(host: Host, params: Params) -> Steps:
    """DeleteTaskDefinitions: revisions that are INACTIVE, ten at most."""
    named = params["taskDefinitions"]
    if not 1 <= len(named) <= DELETE_MOST:
        raise invalid(f"taskDefinitions must be between 1 and {DELETE_MOST}.")
    found, failures = [], []
    for text in named:
        name = host.account.name_of(text, "task-definition")
        record = host.registry.state.definition(name) if ":" in name else None
        if ":" not in name:
            what = "The specified task definition identifier is invalid. Specify a valid name or "
            failures.append({"arn": text, "reason": f"{what}ARN and try again."})
        elif record is None:
            what = "The specified task definition does not exist. Specify a valid account, family, "
            failures.append({"arn": text, "reason": f"{what}revision and try again."})
        elif record.status == "ACTIVE":
            what = "The specified task definition is still in ACTIVE status. Please deregister the "
            failures.append({"arn": text, "reason": f"{what}target and try again."})
        else:
            found.append(record)
    if found:
        calls = [m.DeleteTaskDefinition(record.name) for record in found]
        taken((yield [ask for call in calls for ask in everywhere(host, call)]))
    return {
        "taskDefinitions": [_shown(host, each, tags=False)["taskDefinition"] for each in found],
        "failures": failures,
    }


def list_task_definitions(host: Host, params: Params) -> Document:
    """ListTaskDefinitions: by family, then by revision; `familyPrefix` is a whole family."""
    status = params.get("status", "ACTIVE")
    wanted = params.get("familyPrefix")
    records = [
        record
        for family, revisions in sorted(host.registry.state.task_definitions.items())
        if wanted in (None, family)
        for record in revisions
        if record.status == status
    ]
    arns = [host.account.task_definition(record.name) for record in records]
    if params.get("sort") == "DESC":
        arns.reverse()
    # Pages go by place here: families and revisions have no one order as texts.
    shown, token = page(range(len(arns)), params, "ListTaskDefinitions")
    answer: Document = {"taskDefinitionArns": [arns[at] for at in shown]}
    return answer if token is None else answer | {"nextToken": token}


def list_task_definition_families(host: Host, params: Params) -> Document:
    """ListTaskDefinitionFamilies: ACTIVE are those with an ACTIVE revision."""
    status, prefix = params.get("status", "ACTIVE"), params.get("familyPrefix", "")
    families = sorted(
        family
        for family, revisions in host.registry.state.task_definitions.items()
        if family.startswith(prefix)
        and (status == "ALL" or _active(revisions) == (status == "ACTIVE"))
    )
    shown, token = page(families, params, "ListTaskDefinitionFamilies")
    answer: Document = {"families": list(shown)}
    return answer if token is None else answer | {"nextToken": token}


def _active(revisions: list[TaskDefinitionRecord]) -> bool:
    return any(record.status == "ACTIVE" for record in revisions)
