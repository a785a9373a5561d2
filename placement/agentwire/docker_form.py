"""The parts of a container definition that ACS sends in Docker's own words, and back.

ECS's backend translates them into the `config` and `hostConfig` of Docker's API, as JSON in a
string; the agent hands them on. Each row of the tables says one member in both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MIB = 1 << 20
_SECOND = 1_000_000_000
Convert = Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


class _Row(NamedTuple):
    """A member by its path in a container definition, and its name in Docker's API."""

    path: str
    docker: str
    there: Convert = _same
    back: Convert = _same


def _pairs(first: str, second: str, colon: str) -> tuple[Convert, Convert]:
    """A list of two members each, as a list of `a:b`."""

    def there(given: Any) -> list[str]:
        return [f"{each[first]}{colon}{each[second]}" for each in given]

    def back(given: Any) -> list[dict[str, str]]:
        parts = (text.partition(colon) for text in given)
        return [{first: a, second: b} for a, _, b in parts]

    return there, back


def _check(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Test": list(given["command"]),
        "Interval": given.get("interval", 30) * _SECOND,
        "Timeout": given.get("timeout", 5) * _SECOND,
        "Retries": given.get("retries", 3),
        "StartPeriod": given.get("startPeriod", 0) * _SECOND,
    }


def _check_back(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "command": given["Test"],
        "interval": given["Interval"] // _SECOND,
        "timeout": given["Timeout"] // _SECOND,
        "retries": given["Retries"],
    }
    period = given.get("StartPeriod", 0) // _SECOND
    return found | ({"startPeriod": period} if period else {})


def _ulimits(given: Any) -> list[dict[str, Any]]:
    return [{"Name": e["name"], "Soft": e["softLimit"], "Hard": e["hardLimit"]} for e in given]


def _ulimits_back(given: Any) -> list[dict[str, Any]]:
    return [{"name": e["Name"], "softLimit": e["Soft"], "hardLimit": e["Hard"]} for e in given]


def _tmpfs(given: Any) -> dict[str, str]:
    return {
        each["containerPath"]: ",".join((f"size={each['size']}m", *each.get("mountOptions", ())))
        for each in given
    }


def _tmpfs_back(given: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for path, text in given.items():
        size, *options = text.split(",")
        each: dict[str, Any] = {"containerPath": path, "size": int(size[len("size=") : -1])}
        found.append(each | ({"mountOptions": options} if options else {}))
    return found


def _devices(given: Any) -> list[dict[str, str]]:
    return [
        {
            "PathOnHost": each["hostPath"],
            "PathInContainer": each.get("containerPath", each["hostPath"]),
            "CgroupPermissions": "".join(p[0] for p in each.get("permissions", ())) or "rwm",
        }
        for each in given
    ]


_PERMISSIONS = {"r": "read", "w": "write", "m": "mknod"}


def _devices_back(given: Any) -> list[dict[str, Any]]:
    return [
        {
            "hostPath": each["PathOnHost"],
            "containerPath": each["PathInContainer"],
            "permissions": [_PERMISSIONS[letter] for letter in each["CgroupPermissions"]],
        }
        for each in given
    ]


def _log(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"Type": given["logDriver"], "Config": given.get("options", {})}


def _log_back(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"logDriver": given["Type"], "options": given.get("Config", {})}


def _sysctls(given: Any) -> dict[str, str]:
    return {each["namespace"]: each["value"] for each in given}


def _sysctls_back(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"namespace": name, "value": value} for name, value in given.items()]


def _mib(value: int) -> int:
    return value * MIB


def _mib_back(value: int) -> int:
    return value // MIB


CONFIG = (
    _Row("user", "User"),
    _Row("workingDirectory", "WorkingDir"),
    _Row("hostname", "Hostname"),
    _Row("pseudoTerminal", "Tty"),
    _Row("interactive", "OpenStdin"),
    _Row("disableNetworking", "NetworkDisabled"),
    _Row("dockerLabels", "Labels"),
    _Row("healthCheck", "Healthcheck", _check, _check_back),
)
HOST_CONFIG = (
    _Row("readonlyRootFilesystem", "ReadonlyRootfs"),
    _Row("privileged", "Privileged"),
    _Row("dnsServers", "Dns"),
    _Row("dnsSearchDomains", "DnsSearch"),
    _Row("dockerSecurityOptions", "SecurityOpt"),
    _Row("extraHosts", "ExtraHosts", *_pairs("hostname", "ipAddress", ":")),
    _Row("ulimits", "Ulimits", _ulimits, _ulimits_back),
    _Row("systemControls", "Sysctls", _sysctls, _sysctls_back),
    _Row("logConfiguration", "LogConfig", _log, _log_back),
    _Row("memoryReservation", "MemoryReservation", _mib, _mib_back),
    _Row("linuxParameters.initProcessEnabled", "Init"),
    _Row("linuxParameters.capabilities.add", "CapAdd"),
    _Row("linuxParameters.capabilities.drop", "CapDrop"),
    _Row("linuxParameters.sharedMemorySize", "ShmSize", _mib, _mib_back),
    _Row("linuxParameters.swappiness", "MemorySwappiness"),
    _Row("linuxParameters.tmpfs", "Tmpfs", _tmpfs, _tmpfs_back),
    _Row("linuxParameters.devices", "Devices", _devices, _devices_back),
)


def in_docker_words(container: Mapping[str, Any], rows: tuple[_Row, ...]) -> dict[str, Any]:
    """The members of a container definition that rows of a table say, as Docker has them."""
    found = {}
    for row in rows:
        value: Any = container
        for name in row.path.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value not in (None, [], {}):
            found[row.docker] = row.there(value)
    return found


def in_ecs_words(docker: Mapping[str, Any], rows: tuple[_Row, ...]) -> dict[str, Any]:
    """What Docker's words were made from; those that no row has are passed over."""
    found: dict[str, Any] = {}
    for row in rows:
        if docker.get(row.docker) not in (None, [], {}):
            *outer, last = row.path.split(".")
            place = found
            for name in outer:
                place = place.setdefault(name, {})
            place[last] = row.back(docker[row.docker])
    return found
