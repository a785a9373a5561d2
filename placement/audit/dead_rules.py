"""Instances that are gone do not act: nothing is heard of them but that they register again."""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History
from stowplan.placement.audit.seen import Seen, sees
from stowplan.placement.model import TaskStatus


@sees(m.TasksChanged, m.TasksHealthChanged, m.AgentConnectionChanged)
def the_dead_do_not_act(history: History, seen: Seen) -> Iterator[str]:
    """No task comes to run or is judged, and no agent connects, where the instance is gone.

    That a task stopped may be told late: it changes nothing.
    """
    if isinstance(seen, m.AgentConnectionChanged):
        if seen.connected:
            for number in seen.instances:
                if _is_gone(history, number):
                    yield f"the agent of instance {number} connects, which is gone"
        return
    if isinstance(seen, m.TasksHealthChanged):
        what = "is judged"
    elif isinstance(seen, m.TasksChanged) and seen.status is not TaskStatus.STOPPED:
        what = f"is {seen.status.name}"
    else:
        return
    for task in seen.tasks:
        facts = history.tasks.get(task)
        if facts is not None and facts.host is not None and _is_gone(history, facts.host):
            yield f"task {task} {what} on instance {facts.host}, which is gone"


def _is_gone(history: History, number: int) -> bool:
    host = history.hosts.get(number)
    if host is None:
        return False
    gone = host.status == "INACTIVE" and not host.deregistered
    return gone or host.said.ec2_instance_id in history.groups.ended
