"""Rules on where the logs of a task's containers go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Problems = Iterator[tuple[str, str]]

_AWSLOGS_NEEDS = ("awslogs-group", "awslogs-region")
_ROOT = ("0", "root")


def log_rules(containers: Mapping[str, Mapping[str, Any]]) -> Problems:
    """Options that a driver needs; FireLens has one router, and something to route."""
    routed: list[str] = []
    routers: list[str] = []
    all_known = True
    for path, container in containers.items():
        configuration = container.get("logConfiguration", {})
        driver = None if configuration is None else configuration.get("logDriver", "")
        all_known &= driver is not None and container.get("firelensConfiguration", {}) is not None
        routed += [path] if driver == "awsfirelens" else []
        if driver == "awslogs" and configuration.get("options", {}) is not None:
            options = configuration.get("options", {})
            lacks = [name for name in _AWSLOGS_NEEDS if options.get(name, "") == ""]
            if lacks:
                yield f"{path}.logConfiguration.options", f"awslogs needs {', '.join(lacks)}"
        if container.get("firelensConfiguration"):
            routers.append(path)
            user = container.get("user") or "0"
            if user.partition(":")[0] not in _ROOT:
                yield f"{path}.user", "a container with firelensConfiguration runs as user 0"
    for path in routers[1:]:
        yield f"{path}.firelensConfiguration", f"{routers[0]} has one already; a task has one"
    if routed and not routers and all_known:
        what = "awsfirelens needs a container of the task with a firelensConfiguration"
        yield f"{routed[0]}.logConfiguration.logDriver", what
    if routers and not routed and all_known:
        what = "no container of the task has the log driver awsfirelens"
        yield f"{routers[0]}.firelensConfiguration", what
