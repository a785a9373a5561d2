"""Task definitions of templates in the API's own spelling: what CloudFormation and Terraform share.

Both name the API's members in their own way (PascalCase, snake_case) and write numbers as text and
text as numbers. Both may say an expression where a value is meant. In text that placement does not
ask for (an image, a role, a variable's value) the expression itself stands in; a name is made of
it; anywhere else it hides what is meant, and is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement.taskdef.api_model import members_of, shown, type_of

REGISTER = "RegisterTaskDefinitionRequest"
# Text whose value placement does not ask for, as SHAPE.MEMBER of the API.
_FREE = {
    *(f"{REGISTER}.{each}" for each in ("taskRoleArn", "executionRoleArn")),
    *(
        f"ContainerDefinition.{each}"
        for each in (
            *("image", "entryPoint", "command", "user", "workingDirectory", "hostname"),
            *("dockerLabels", "dnsServers", "dnsSearchDomains", "dockerSecurityOptions"),
            "credentialSpecs",
        )
    ),
    *("KeyValuePair.value", "EnvironmentFile.value", "SystemControl.value", "Tag.value"),
    *("Secret.valueFrom", "RepositoryCredentials.credentialsParameter", "HealthCheck.command"),
    *("LogConfiguration.options", "FirelensConfiguration.options", "HostEntry.ipAddress"),
    *("EFSVolumeConfiguration.fileSystemId", "EFSVolumeConfiguration.rootDirectory"),
    *("EFSAuthorizationConfig.accessPointId", "S3FilesVolumeConfiguration.fileSystemArn"),
    *("S3FilesVolumeConfiguration.accessPointArn", "S3FilesVolumeConfiguration.rootDirectory"),
    *("HostVolumeProperties.sourcePath", "DockerVolumeConfiguration.driverOpts"),
    "DockerVolumeConfiguration.labels",
}
# Names, which only have to be the same wherever they are the same.
_NAMES = {
    *(f"{REGISTER}.family", "ContainerDefinition.name", "ContainerDependency.containerName"),
    *("Volume.name", "MountPoint.sourceVolume", "VolumeFrom.sourceContainer"),
    *("ProxyConfiguration.containerName", "PortMapping.name"),
}


class Hidden(str):
    """Text that stands for a value which is not known here: the expression itself."""

    __slots__ = ()


NOT_GIVEN = object()
Resolve = Callable[[Any], Any]


@dataclass(slots=True)
class Reader:
    """Rewrites a template's value as the API would have it; gathers problems and stand-ins.

    Attributes:
        resolve: gives the value of an expression, a `Hidden` or NOT_GIVEN; else its argument.
        problems: (place, what), places in the API's spelling.
        stood_in: places of text for which an expression stands in.
    """

    resolve: Resolve
    problems: list[tuple[str, str]] = field(default_factory=list)
    stood_in: list[str] = field(default_factory=list)

    def read(self, value: Any, shape: str = REGISTER, path: str = "", owner: str = "") -> Any:
        """The value of a shape of the API; what does not fit stays, for `conform` to name."""
        value = self.resolve(value)
        kind, inner = type_of(shape)
        if value is NOT_GIVEN or value is None:
            return None
        if isinstance(value, Hidden):
            return self._hidden(value, kind, path, owner)
        if kind == "structure" and isinstance(value, Mapping):
            return self._members(value, shape, path)
        if kind == "map" and isinstance(value, Mapping):
            read = {str(k): self.read(v, inner, f"{path}.{k}", owner) for k, v in value.items()}
            return {k: v for k, v in read.items() if v is not None}
        if kind == "list" and isinstance(value, list):
            left = [each for each in map(self.resolve, value) if each is not NOT_GIVEN]
            return [self.read(v, inner, f"{path}[{i}]", owner) for i, v in enumerate(left)]
        return _as(kind, value)

    def _members(self, value: Mapping[str, Any], shape: str, path: str) -> dict[str, Any]:
        members = members_of(shape)
        # What only describe calls say is not read, and by its own name passed over by `conform`.
        described = members_of("TaskDefinition") if shape == REGISTER else ()
        spelt = {plain(name): name for name in (*described, *members)}
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = spelt.get(plain(str(key)), str(key))
            place = f"{path}.{name}" if path else name
            if name in members:
                found[name] = self.read(item, members[name], place, f"{shape}.{name}")
            else:
                found[name] = item
        return {name: each for name, each in found.items() if each is not None}

    def _hidden(self, value: Hidden, kind: str, path: str, owner: str) -> str | None:
        if kind == "string" and owner in _FREE:
            self.stood_in.append(path)
            return str(value)
        if kind == "string" and owner in _NAMES:
            self.stood_in.append(path)
            return name_of(value)
        what = f"{shown(str(value))} hides what is meant; write the value in its place"
        self.problems.append((path or "task definition", what))
        return None


def name_of(text: str) -> str:
    """A name that ECS accepts, the same for the same text."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:60] or "hidden"


def plain(name: str) -> str:
    """A member's name without what the spellings differ in."""
    return name.replace("_", "").lower()


def _as(kind: str, value: Any) -> Any:
    """A scalar as the API has it: templates take "256" for 256, 256 for "256", "true" for true."""
    if kind == "string" and isinstance(value, bool):
        return str(value).lower()
    if kind == "string" and isinstance(value, int | float):
        return str(value)
    if kind in ("integer", "long") and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "boolean" and value in ("true", "false", "True", "False"):
        return value.lower() == "true"
    return value
