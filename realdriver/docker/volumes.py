"""The volumes of a task: what is made before its containers, and what they mount. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.placed import Placed


def volumes(task: Placed) -> dict[str, str]:
    """Names of the volumes that the task brings, by the name that its definition gives them."""
    found = {}
    for volume in task.definition.document.get("volumes", ()):
        on_host = volume.get("host", {}).get("sourcePath")
        if not on_host and not _shared(volume) and not _elsewhere(volume):
            found[volume["name"]] = names.volume_name(task.cluster, task.number, volume["name"])
    return found


def volume_calls(task: Placed) -> Iterator[dict[str, Any]]:
    """The bodies of `POST /volumes/create`, before the first container of a task.

    What is shared and to be provisioned stays when the task ends, so it bears no label of ours.
    """
    own = volumes(task)
    for volume in task.definition.document.get("volumes", ()):
        docker, name = volume.get("dockerVolumeConfiguration", {}), volume["name"]
        if name in own or (_shared(volume) and docker.get("autoprovision")):
            labels = {**docker.get("labels", {}), **(task.labels if name in own else {})}
            options = {"Driver": docker.get("driver"), "DriverOpts": docker.get("driverOpts")}
            yield given({"Name": own.get(name, name), "Labels": labels, **options})


def binds(task: Placed, raw: Mapping[str, Any]) -> Iterator[str]:
    """Docker's Binds of a container."""
    by_name = {each["name"]: each for each in task.definition.document.get("volumes", ())}
    own = volumes(task)
    for mount in raw.get("mountPoints", ()):
        volume = by_name[mount["sourceVolume"]]
        source = volume.get("host", {}).get("sourcePath") or own.get(volume["name"])
        options = ":ro" if mount.get("readOnly") else ""
        yield f"{source or volume['name']}:{mount['containerPath']}{options}"


def _elsewhere(volume: Mapping[str, Any]) -> bool:
    """Whether it is a file system of AWS's, or a disk that AWS would attach."""
    disks = ("efs", "s3files", "fsxWindowsFileServer")
    of_aws = (*(f"{each}VolumeConfiguration" for each in disks), "configuredAtLaunch")
    return any(volume.get(field) for field in of_aws)


def _shared(volume: Mapping[str, Any]) -> bool:
    return bool(volume.get("dockerVolumeConfiguration", {}).get("scope") == "shared")


def given(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what is not given."""
    return {key: value for key, value in table.items() if value not in (None, [], {})}
