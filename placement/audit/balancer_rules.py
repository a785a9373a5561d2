"""What a load balancer's target owes a task, for `placement.audit.checkers`.

Read from ecs-semantics 5.3 check by check, where the scheduler computes the moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.history import History
from stowplan.placement.audit.hosts import Life, TaskFacts
from stowplan.placement.audit.seen import sees
from stowplan.placement.model import TaskStatus

CHECKS_MOST = 100_000  # a target that has not passed by then never will


def target_state(balancer: m.LoadBalancer, age_ms: int) -> bool | None:
    """What the checks of a target say of a task that has been RUNNING for so long; None: nothing
    yet, or what ECS ignores in the grace period."""
    state: bool | None = None
    passed = failed = 0
    at_ms = balancer.registration_ms
    for _ in range(CHECKS_MOST):
        at_ms += balancer.health_check_interval_ms
        if at_ms > age_ms:
            break
        if balancer.ready_after_ms is not None and at_ms >= balancer.ready_after_ms:
            passed, failed = passed + 1, 0
            enough = balancer.initial_threshold if state is None else balancer.healthy_threshold
            if passed >= enough:
                return True
        else:
            passed, failed = 0, failed + 1
            if failed >= balancer.unhealthy_threshold:
                state = False
                if balancer.ready_after_ms is None:
                    break
    return None if age_ms < balancer.grace_period_ms else state


def judged(history: History, task: TaskFacts) -> bool | None:
    """Whether a task's target is healthy now; a task without one: True."""
    service = history.services.get(task.service or "")
    if service is None or service.call.load_balancer is None:
        return True
    if task.ran_ms is None:
        return None
    return target_state(service.call.load_balancer, history.now_ms - task.ran_ms)


@sees(m.StopTasks, m.TasksChanged)
def targets_drain_before_a_stop(history: History, seen: object) -> Iterator[str]:
    """A RUNNING task with a target is told to stop when the deregistration delay is over, no other
    task waits, and none that was told to wait ends by that order before (ecs 4.1, 5.3)."""
    if isinstance(seen, m.StopTasks):
        for task in seen.tasks:
            facts = history.tasks.get(task)
            if facts is None or facts.life is not Life.PLACED:
                continue
            due = _due_ms(history, facts)
            if seen.not_before_ms != due:
                found = seen.not_before_ms
                yield f"task {task} may be stopped from {found} ms on, its target drains to {due}"
    elif isinstance(seen, m.TasksChanged) and seen.status is TaskStatus.STOPPED:
        for task in seen.tasks:
            facts = history.tasks.get(task)
            if facts is None or facts.drains_until_ms is None or facts.life is not Life.STOPPING:
                continue
            at_ms = history.now_ms if seen.since_ms is None else seen.since_ms
            if seen.reason.startswith("Scaling activity") and at_ms < facts.drains_until_ms:
                until = facts.drains_until_ms
                yield f"task {task} stopped at {at_ms} ms, its target drains until {until} ms"


def _due_ms(history: History, task: TaskFacts) -> int | None:
    service = history.services.get(task.service or "")
    balancer = service.call.load_balancer if service else None
    if balancer is None or task.ran_ms is None or not balancer.deregistration_delay_ms:
        return None
    return history.now_ms + balancer.deregistration_delay_ms
