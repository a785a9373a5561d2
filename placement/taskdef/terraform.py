"""Task definitions in Terraform's JSON: `.tf.json`, `terraform show -json`, a state file.

Attributes of aws_ecs_task_definition are snake_case, blocks are lists, `container_definitions` is
JSON in a text, and what is not set is empty. An expression, `${...}`, is only known after a plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.placement.taskdef.api_model import shown
from stowplan.placement.taskdef.templates import Hidden, Reader

_TYPE = "aws_ecs_task_definition"
# Terraform's own, and what AWS adds to what is registered.
_NOT_SENT = {
    *("arn", "arn_without_revision", "id", "revision", "tags_all", "skip_destroy", "track_latest"),
    *("region", "count", "for_each", "provider", "lifecycle", "depends_on", "timeouts"),
    *("provisioner", "connection", "//"),
}
# Blocks that may come several times; one alone needs no list in `.tf.json`.
_LISTS = {
    "inference_accelerator": "inferenceAccelerators",
    "placement_constraints": "placementConstraints",
}
# Blocks that come once, and are in a list nevertheless.
_SINGLE = {"runtime_platform", "ephemeral_storage"}


def is_terraform(content: Mapping[str, Any]) -> bool:
    """Whether it is one of Terraform's files."""
    state = "terraform_version" in content or "format_version" in content
    return state or "planned_values" in content or isinstance(content.get("resource"), Mapping)


def resources_of(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The task definitions by their address without the type: their attributes."""
    found: dict[str, Mapping[str, Any]] = {}
    resource = content.get("resource")
    named = resource.get(_TYPE) if isinstance(resource, Mapping) else None
    for table in named if isinstance(named, list) else [named]:
        for name, each in table.items() if isinstance(table, Mapping) else ():
            body = each[0] if isinstance(each, list) and each else each
            if isinstance(body, Mapping):
                found[str(name)] = body
    for holder in ("planned_values", "values"):
        values = content.get(holder)
        if isinstance(values, Mapping):
            found |= dict(_of_module(values.get("root_module")))
    for each in content["resources"] if isinstance(content.get("resources"), list) else ():
        if isinstance(each, Mapping) and each.get("type") == _TYPE:
            found |= dict(_of_state(each))
    return found


def _of_module(module: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(module, Mapping):
        return
    listed = module.get("resources")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and each.get("type") == _TYPE and each.get("mode") != "data":
            values = each.get("values")
            name = str(each.get("address", each.get("name"))).replace(f"{_TYPE}.", "")
            yield name, values if isinstance(values, Mapping) else {}
    children = module.get("child_modules")
    for child in children if isinstance(children, list) else ():
        yield from _of_module(child)


def _of_state(resource: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    prefix = f"{resource['module']}." if resource.get("module") else ""
    instances = resource.get("instances")
    for each in instances if isinstance(instances, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("attributes"), Mapping):
            index = f"[{json.dumps(each['index_key'])}]" if "index_key" in each else ""
            yield f"{prefix}{resource.get('name')}{index}", each["attributes"]


def reader() -> Reader:
    """What rewrites the attributes of a resource."""
    return Reader(_resolve)


def attributes_as_members(
    attributes: Mapping[str, Any], problems: list[tuple[str, str]]
) -> dict[str, Any]:
    """The attributes with blocks as the API has them, still in snake_case."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if key in _NOT_SENT or value in (None, "", [], {}):
            continue
        if key == "dynamic":
            what = "blocks hide what is meant; read `terraform show -json` of a plan"
            problems.append(("dynamic", what))
        elif key == "container_definitions":
            found["containerDefinitions"] = _containers(value, problems)
        elif key in ("volume", "proxy_configuration", "tags"):
            found |= _rewritten(key, value)
        elif isinstance(value, list) and len(value) == 1 and key in _SINGLE:
            found[key] = _set(value[0])
        elif key in _LISTS:
            listed = value if isinstance(value, list) else [value]
            found[_LISTS[key]] = [_set(each) for each in listed]
        else:
            found[key] = _set(value)
    if not attributes.get("container_definitions"):
        what = "missing: not known before apply, where it names what is made with it"
        problems.append(("container_definitions", what))
    return found


def _rewritten(key: str, value: Any) -> dict[str, Any]:
    if key == "volume":
        listed = value if isinstance(value, list) else [value]
        return {"volumes": [_volume(each) for each in listed]}
    if key == "tags":
        items = value.items() if isinstance(value, Mapping) else ()
        return {"tags": [{"key": name, "value": each} for name, each in items]}
    proxy = value[0] if isinstance(value, list) and value else value
    if not isinstance(proxy, Mapping):
        return {key: proxy}
    properties = proxy.get("properties")
    pairs = properties.items() if isinstance(properties, Mapping) else ()
    listed = [{"name": name, "value": each} for name, each in pairs]
    return {key: {**_set(proxy), "properties": listed}}


def _volume(block: Any) -> Any:
    if not isinstance(block, Mapping):
        return block
    found = {key: _single(value) for key, value in _set(block).items()}
    if "host_path" in found:
        found["host"] = {"sourcePath": found.pop("host_path")}
    if "configure_at_launch" in found:
        found["configuredAtLaunch"] = found.pop("configure_at_launch")
    return found


def _single(value: Any) -> Any:
    """A block that may come once, out of its list; what is not set in it is left out."""
    block = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(block, Mapping):
        return block
    found = {key: _single(each) for key, each in _set(block).items()}
    if not found.get("transit_encryption_port", 1):
        del found["transit_encryption_port"]
    return found


def _set(value: Any) -> Any:
    """A block without what is not set."""
    if not isinstance(value, Mapping):
        return value
    return {key: each for key, each in value.items() if each not in (None, "", [], {})}


def _containers(text: Any, problems: list[tuple[str, str]]) -> Any:
    if isinstance(text, list):
        return text
    hint = "; `terraform show -json` of a plan has the value" if "${" in str(text) else ""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        what = f"expected JSON in a text, got {shown(text)}{hint}"
        problems.append(("container_definitions", what))
        return None


def _resolve(value: Any) -> Any:
    hides = isinstance(value, str) and ("${" in value.replace("$${", "") or "%{" in value)
    return Hidden(value) if hides else value
