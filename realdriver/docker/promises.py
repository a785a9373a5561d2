"""What a task asks for that its engine can promise in part, or not at all. Pure.

Nothing here stops a run: the tasks run, but a limit does not hold or a port is not reached from
where one would expect. `check --engines` and `run` say so before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from stowplan.placement.model import TaskDefinition
from stowplan.realdriver.docker.reach import EngineFacts


def broken_promises(
    facts: EngineFacts,
    url: str,
    addresses: Iterable[str],
    definitions: Iterable[TaskDefinition],
) -> list[str]:
    """Sentences, each once; empty where all that the tasks ask for holds.

    Args:
        url: how the engine is reached.
        addresses: where its instances publish ports; "": on all.
    """
    found: dict[str, None] = {}
    where = tuple(addresses)
    for definition in definitions:
        for what in (*_limits(facts, definition), *_ports(facts, url, where, definition)):
            found[f"{definition.name}: {what}"] = None
    return list(found)


def _limits(facts: EngineFacts, definition: TaskDefinition) -> Iterator[str]:
    task = {"memory": definition.memory, "cpu": definition.cpu}
    hard = any(each.memory for each in definition.containers) or definition.memory
    kinds = {"memory": bool(hard), "cpu": definition.cpu is not None}
    lacking = set(kinds) if facts.cgroup_driver == "none" else set(kinds) - set(facts.limits)
    for kind in sorted(lacking):
        if kinds[kind]:
            yield f"its {kind} limit does not hold: this engine limits no {kind}"
    several = len(definition.containers) > 1
    limited = [kind for kind, value in task.items() if value is not None and kind not in lacking]
    if several and limited and not facts.nests:
        yield (
            f"its task-level {' and '.join(limited)} is set on each of its "
            f"{len(definition.containers)} containers, and all together can exceed it "
            f"(cgroup v{facts.cgroup_version}, {facts.cgroup_driver or 'unknown driver'})"
        )


def _ports(
    facts: EngineFacts, url: str, addresses: tuple[str, ...], definition: TaskDefinition
) -> Iterator[str]:
    ports = [each for container in definition.containers for each in container.port_mappings]
    fixed = [each.host_port for each in ports if each.host_port]
    if definition.network_mode == "host":
        if facts.desktop:
            yield "the host network is that of Docker Desktop's virtual machine, not this one's"
        elif facts.rootless:
            yield "the host network is that of the rootless engine's namespace, not the machine's"
        return
    if not ports:
        return
    if facts.rootless and any(port < 1024 for port in fixed):
        yield f"host port {min(fixed)}: a rootless engine may not publish below 1024"
    loopback = [each for each in addresses if each and ip_address(each).is_loopback]
    if loopback and not url.startswith("unix://"):
        yield (
            f"its ports are published on {loopback[0]} of the engine's machine, and cannot be "
            "reached from here; `addresses` of the engine says where else"
        )
    elif loopback and facts.desktop:
        yield (
            f"its ports are published on {loopback[0]}, which Docker Desktop may not have; "
            "`addresses` of the engine says where else"
        )
