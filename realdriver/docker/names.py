"""How everything that we make on an engine is called and labelled, so that it is found again.

A name says which container of which task it is, so the engine itself refuses to make it twice.
Labels say which cluster and run it belongs to. What lacks them is not ours and is never touched,
and neither is what has another name: an image that was committed from a container of ours carries
its labels on, and so does all that is run of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

CLUSTER, RUN, INSTANCE = "stowplan.cluster", "stowplan.run", "stowplan.instance"
TASK, CONTAINER, DEFINITION = "stowplan.task", "stowplan.container", "stowplan.task-definition"
# The container that only holds a task's network or limits; ECS's agent calls it so, too.
PAUSE = "~internal~ecs~pause"
PAUSE_IMAGE = "stowplan-pause:1"


def cluster_name(text: str) -> str:
    """A name that engines accept, made from any text."""
    return re.sub(r"[^a-zA-Z0-9_.]+", "-", text).strip("-._").lower() or "cluster"


def network_name(cluster: str) -> str:
    """The bridge network of a cluster, the same on every engine."""
    return f"stowplan-{cluster}"


def container_name(cluster: str, task: int, container: str) -> str:
    """The name of one container of a task, on its engine."""
    return f"stowplan-{cluster}-{task}-{container.replace('~', '_').strip('_')}"


def is_ours(name: str, labels: Mapping[str, str] | None) -> bool:
    """Whether a container of this name with these labels is one that we made."""
    of_task = [(labels or {}).get(label, "") for label in (CLUSTER, TASK, CONTAINER)]
    cluster, task, container = of_task
    if not all(of_task) or not task.isdecimal():
        return False
    return name.lstrip("/") == container_name(cluster, int(task), container)


def volume_name(cluster: str, task: int, volume: str) -> str:
    """The name of a volume that lives as long as its task."""
    return f"stowplan-{cluster}-{task}-{volume}"
