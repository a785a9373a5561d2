"""Task definitions in CloudFormation templates: AWS::ECS::TaskDefinition, with plain values.

Parameters count by their defaults, mappings and conditions by what follows from these. What else
an intrinsic function says is not known before the stack is made; see `templates` for what becomes
of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stowplan.placement.taskdef.templates import NOT_GIVEN, Hidden, Reader

_TYPE = "AWS::ECS::TaskDefinition"


def resources_of(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The task definitions of a template by their logical id: their Properties."""
    found = {}
    resources = template.get("Resources")
    for name, each in resources.items() if isinstance(resources, Mapping) else ():
        if isinstance(each, Mapping) and each.get("Type") == _TYPE:
            properties = each.get("Properties")
            found[str(name)] = properties if isinstance(properties, Mapping) else {}
    return found


def as_template(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The content as a template: a whole one, part of its Resources, or a resource alone."""
    if "Resources" in content:
        return content
    if content.get("Type") == _TYPE:
        return {"Resources": {"TaskDefinition": content}}
    return {"Resources": content} if resources_of({"Resources": content}) else None


class Template:
    """What a template says without a stack: its parameters' defaults, mappings and conditions."""

    def __init__(self, template: Mapping[str, Any]):
        self._parameters = _tables(template, "Parameters")
        self._mappings = _tables(template, "Mappings")
        conditions = template.get("Conditions")
        self._conditions = conditions if isinstance(conditions, Mapping) else {}
        self._asked: set[str] = set()
        self.defaults: dict[str, Any] = {}

    def reader(self) -> Reader:
        """What rewrites a resource of this template."""
        return Reader(self.resolve)

    def resolve(self, value: Any) -> Any:
        """The value of an intrinsic function, `Hidden` or NOT_GIVEN; else the value itself."""
        if not isinstance(value, Mapping) or len(value) != 1:
            return value
        ((function, argument),) = value.items()
        if function == "Ref":
            return self._ref(str(argument))
        if not str(function).startswith("Fn::"):
            return value
        name = str(function).removeprefix("Fn::")
        if name in ("Sub", "Join", "FindInMap", "If"):
            found = getattr(self, f"_{name.lower()}")(argument)
            if found is not None:
                return found
        if name == "GetAtt":
            parts = argument if isinstance(argument, list) else [argument]
            return Hidden("${" + ".".join(map(str, parts)) + "}")
        return Hidden("${" + f"{name}:{_short(argument)}" + "}")

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOT_GIVEN
        parameter = self._parameters.get(name, {})
        if "Default" not in parameter:
            return Hidden("${" + name + "}")
        default = self.defaults[name] = parameter["Default"]
        kind = str(parameter.get("Type", "String"))
        if kind.startswith("AWS::SSM"):
            del self.defaults[name]
            return Hidden("${" + name + "}")  # its default is the name of a stored value
        if kind == "CommaDelimitedList" or kind.startswith("List<"):
            return [each.strip() for each in str(default).split(",") if each.strip()]
        return default

    def _sub(self, argument: Any) -> str | None:
        text, own = argument, {}
        if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], Mapping):
            text, own = argument
        if not isinstance(text, str):
            return None
        hidden = False

        def value(match: re.Match[str]) -> str:
            nonlocal hidden
            name = match[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            found = self.resolve(own[name]) if name in own else self._ref(name)
            hidden |= isinstance(found, Hidden) or not isinstance(found, str | int | float)
            return str(found) if isinstance(found, str | int | float) else match[0]

        filled = re.sub(r"\$\{([^{}]*)\}", value, text)
        return Hidden(filled) if hidden else filled

    def _join(self, argument: Any) -> str | None:
        if not isinstance(argument, list) or len(argument) != 2:
            return None
        items = self.resolve(argument[1])
        if not isinstance(items, list) or not isinstance(argument[0], str):
            return None
        found = [self.resolve(each) for each in items]
        if not all(isinstance(each, str | int | float) for each in found):
            return None
        text = argument[0].join(map(str, found))
        return Hidden(text) if any(isinstance(each, Hidden) for each in found) else text

    def _findinmap(self, argument: Any) -> Any:
        value: Any = self._mappings
        for key in argument if isinstance(argument, list) else [None]:
            key = self.resolve(key)
            if not isinstance(value, Mapping) or isinstance(key, Hidden) or str(key) not in value:
                return None
            value = value[str(key)]
        return None if isinstance(value, Mapping) else value

    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            return None
        holds = self._holds({"Condition": argument[0]})
        return None if holds is None else self.resolve(argument[1 if holds else 2])

    def _holds(self, condition: Any) -> bool | None:
        """Whether a condition holds by the defaults; None: not known."""
        if not isinstance(condition, Mapping) or len(condition) != 1:
            return None
        ((function, argument),) = condition.items()
        if function == "Condition":
            name = str(argument)
            if name in self._asked:
                return None  # conditions in a circle
            self._asked.add(name)
            try:
                return self._holds(self._conditions.get(name))
            finally:
                self._asked.discard(name)
        if not isinstance(argument, list):
            return None
        if function == "Fn::Equals" and len(argument) == 2:
            one, other = map(self.resolve, argument)
            known = all(isinstance(each, str | int) for each in (one, other))
            if not known or isinstance(one, Hidden) or isinstance(other, Hidden):
                return None
            return str(one) == str(other)
        found = [self._holds(each) for each in argument]
        if function == "Fn::Not" and len(found) == 1:
            return None if found[0] is None else not found[0]
        if function in ("Fn::And", "Fn::Or"):
            settles = function == "Fn::Or"
            return settles if settles in found else None if None in found else not settles
        return None


def _tables(template: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    tables = template.get(name)
    listed = tables.items() if isinstance(tables, Mapping) else ()
    return {str(key): each for key, each in listed if isinstance(each, Mapping)}


def _short(argument: Any) -> str:
    text = str(argument)
    return text if len(text) <= 40 else f"{text[:40]}..."
