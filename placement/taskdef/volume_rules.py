"""Rules on volumes and on what containers mount of them (ecs-semantics 1.2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.placement.taskdef.api_model import shown, usable
from stowplan.placement.taskdef.container_rules import NAME

Problems = Iterator[tuple[str, str]]

_KINDS = (
    "dockerVolumeConfiguration",
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
)


def volume_rules(task: Mapping[str, Any]) -> Problems:
    """Each volume has a name of its own and is of one kind."""
    named: dict[str, str] = {}
    launched: list[str] = []
    for i, volume in usable(task.get("volumes")):
        here, name = f"volumes[{i}]", volume.get("name", "")
        if name == "":
            yield f"{here}.name", "missing, and required: mount points name it"
        elif name is not None and not NAME.fullmatch(name):
            yield f"{here}.name", "must be 1 to 255 letters, digits, hyphens and underscores"
        elif name is not None and named.setdefault(name, here) != here:
            yield f"{here}.name", f"{named[name]} is already named {name}"
        kinds = [kind for kind in _KINDS if kind in volume]
        kinds += ["host"] if (volume.get("host") or {}).get("sourcePath") else []
        kinds += ["configuredAtLaunch"] if volume.get("configuredAtLaunch") else []
        if len(kinds) > 1:
            yield here, f"is given as {' and as '.join(kinds)}; a volume is of one kind"
        if volume.get("configuredAtLaunch"):
            launched.append(here)
        if "fsxWindowsFileServerVolumeConfiguration" in volume:
            what = "needs Windows, and stowplan places Linux containers only"
            yield f"{here}.fsxWindowsFileServerVolumeConfiguration", what
        yield from _efs_rules(volume.get("efsVolumeConfiguration"), here)
    for here in launched[1:]:
        what = f"{launched[0]} is configured at launch already; one volume of a task may be"
        yield f"{here}.configuredAtLaunch", what


def _efs_rules(volume: Mapping[str, Any] | None, path: str) -> Problems:
    if volume is None:
        return
    here, access = f"{path}.efsVolumeConfiguration", volume.get("authorizationConfig") or {}
    if access.get("accessPointId") and volume.get("rootDirectory", "/") not in ("/", "", None):
        yield f"{here}.rootDirectory", "must be absent or / where an access point is given"
    secure = access.get("accessPointId") or access.get("iam") == "ENABLED"
    if secure and volume.get("transitEncryption", "DISABLED") == "DISABLED":
        what = "must be ENABLED for an access point or iam"
        yield f"{here}.transitEncryption", what
    port = volume.get("transitEncryptionPort")
    if port is not None and not 1 <= port <= 65535:
        yield f"{here}.transitEncryptionPort", f"{port} is outside 1 to 65535"


def mount_rules(container: Mapping[str, Any], path: str, task: Mapping[str, Any]) -> Problems:
    """What a container mounts is a volume of the task, and has a place in the container."""
    listed = task.get("volumes", ())
    names = [None if each is None else each.get("name") for each in listed or ()]
    all_known = listed is not None and None not in names
    for i, mount in usable(container.get("mountPoints")):
        here, source = f"{path}.mountPoints[{i}]", mount.get("sourceVolume", "")
        for field in ("sourceVolume", "containerPath"):
            if mount.get(field, "") == "":
                yield f"{here}.{field}", "missing, and required"
        if source and all_known and source not in names:
            near = difflib.get_close_matches(source, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield f"{here}.sourceVolume", f"no volume of the task is named {shown(source)}{hint}"
