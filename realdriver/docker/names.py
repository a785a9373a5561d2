"""How everything that we make on an engine is called and labelled, so that it is found again.

A name says which container of which task it is, so the engine itself refuses to make it twice.
Labels say which cluster and run it belongs to. What lacks them is not ours and is never touched.
"""

from __future__ import annotations

import re

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


def volume_name(cluster: str, task: int, volume: str) -> str:
    """The name of a volume that lives as long as its task."""
    return f"stowplan-{cluster}-{task}-{volume}"
