"""What a task definition asks of the machine beyond a container of its own. Pure.

Each right has a name, which `--allow` takes. With one of them a task can read or change what is not
its own, up to the whole machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/var/run", "/run", "/var", "/")
RIGHTS = {
    "privileged": "runs privileged: the whole machine is its own",
    "docker-socket": "has the Docker socket: with it, any container can be started",
    "host-path": "has a folder of the machine",
    "host-network": "is on the machine's own network",
    "host-pid": "sees the machine's processes",
    "host-ipc": "shares the machine's memory segments",
    "capabilities": "has capabilities that containers lack",
    "devices": "has devices of the machine",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A right that a task asks for; `what` says where and of what, "" where there is no more."""

    family: str
    right: str
    what: str = ""

    def __str__(self) -> str:
        more = f" ({self.what})" if self.what else ""
        return f"task definition {self.family} {RIGHTS[self.right]}{more}: {self.right}"


def rights_of(document: Mapping[str, Any]) -> Iterator[Asked]:
    """The rights that a task definition (RegisterTaskDefinition's input) asks for."""
    inner = document.get("taskDefinition")
    document = inner if isinstance(inner, Mapping) else document
    family = str(document.get("family", ""))
    for field, right in (
        ("networkMode", "host-network"),
        ("pidMode", "host-pid"),
        ("ipcMode", "host-ipc"),
    ):
        if document.get(field) == "host":
            yield Asked(family, right)
    for volume in document.get("volumes") or ():
        path = (volume.get("host") or {}).get("sourcePath") or _bound(volume)
        if path:
            clean = path.rstrip("/") or "/"
            right = "docker-socket" if clean in SOCKETS else "host-path"
            yield Asked(family, right, f"volume {volume.get('name')}: {path}")
    for container in document.get("containerDefinitions") or ():
        name = f"container {container.get('name')}"
        if container.get("privileged"):
            yield Asked(family, "privileged", name)
        linux = container.get("linuxParameters") or {}
        if added := (linux.get("capabilities") or {}).get("add"):
            yield Asked(family, "capabilities", f"{name}: {', '.join(added)}")
        if devices := [each.get("hostPath") for each in linux.get("devices") or ()]:
            yield Asked(family, "devices", f"{name}: {', '.join(map(str, devices))}")


def rights_of_all(documents: Iterable[Mapping[str, Any]]) -> list[Asked]:
    """The rights that any of these asks for, each once."""
    return list(dict.fromkeys(each for document in documents for each in rights_of(document)))


def _bound(volume: Mapping[str, Any]) -> str | None:
    """The folder of the machine that a volume of the `local` driver is bound to, if it is."""
    options = (volume.get("dockerVolumeConfiguration") or {}).get("driverOpts") or {}
    binds = "bind" in str(options.get("o", "")).split(",")
    return options.get("device") if binds else None
