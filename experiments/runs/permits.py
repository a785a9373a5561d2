"""What must be said before anything starts on an engine: what tasks ask of the machine, which ports
the whole network sees, and which passwords and secrets are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stowplan.placement.errors import SpecError
from stowplan.realdriver.docker.config import EnginesTable, Machine
from stowplan.realdriver.docker.rights import RIGHTS, Asked, rights_of_all

ALLOWED = "allowed"  # in a journal's header: the rights that were meant


def parse_allowed(text: str) -> tuple[str, ...]:
    """`privileged,host-path` as names. Raises SpecError where there is no such right."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in RIGHTS]:
        known = ", ".join(RIGHTS)
        raise SpecError([(f"--allow {name}", f"expected one of {known}") for name in unknown])
    return names


def check_permits(
    documents: Iterable[Mapping[str, Any]], engines: EnginesTable, allowed: Sequence[str]
) -> list[Asked]:
    """The rights that task definitions ask for and nobody has said are meant.

    Raises:
        SpecError: there are some, and an engine is `shared`; names each task and right.
    """
    asked = [each for each in rights_of_all(documents) if each.right not in allowed]
    shared = [each.name or each.url for each in engines.engine if each.shared]
    if asked and shared:
        cure = f"engine {shared[0]} is shared: only what --allow names is run there"
        raise SpecError([(str(each), cure) for each in asked])
    return asked


def check_variables(documents: Iterable[Mapping[str, Any]], engines: EnginesTable) -> None:
    """Raises SpecError: names every password or secret that the environment does not have."""
    problems = [
        (f"registry.{host}.password_env", _unset(table.password_env))
        for host, table in engines.registry.items()
        if not os.environ.get(table.password_env)
    ]
    problems += [
        (f"secrets.{name}", _unset(variable))
        for name, variable in engines.secrets.items()
        if variable not in os.environ
    ]
    problems += [
        (where, f"{name!r} is not among the [secrets] of the engines file")
        for where, name in _secrets(documents)
        if name not in engines.secrets
    ]
    if problems:
        raise SpecError(problems)


def published_everywhere(
    documents: Mapping[str, Mapping[str, Any]], machines: Sequence[Machine]
) -> list[str]:
    """Task definitions with ports that the machine's whole network may reach, and these ports."""
    if all(machine.address for machine in machines):
        return []
    found = []
    for name, document in documents.items():
        if document.get("networkMode") == "none":
            continue
        ports = [
            str(port.get("hostPort") or port.get("containerPort") or port["containerPortRange"])
            for container in document.get("containerDefinitions") or ()
            for port in container.get("portMappings") or ()
        ]
        if ports:
            found.append(f"{name} ({', '.join(ports)})")
    return found


def _unset(variable: str) -> str:
    return f"the environment variable {variable} is not set"


def _secrets(documents: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for document in documents:
        for container in document.get("containerDefinitions") or ():
            place = f"task definition {document.get('family')}, container {container.get('name')}"
            for secret in container.get("secrets") or ():
                yield f"{place}: secret {secret.get('name')}", str(secret.get("valueFrom"))
