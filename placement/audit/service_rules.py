"""What a service's deployments owe its callers, for `placement.audit.checkers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from stowplan.placement import messages as m
from stowplan.placement.audit.balancer_rules import judged
from stowplan.placement.audit.history import History
from stowplan.placement.audit.host_rules import barred, is_static_member
from stowplan.placement.audit.hosts import TaskFacts
from stowplan.placement.audit.seen import sees
from stowplan.placement.messages import Round
from stowplan.placement.model import AVAILABILITY_ZONE, StopCode

# RUNNING for so long counts as healthy where there is no health check (ecs-semantics 5.3).
HEALTHY_AFTER_MS = 40_000


@sees(m.StopTasks)
def keep_the_healthy_floor(history: History, seen: object) -> Iterator[str]:
    """Replacing tasks leaves minimumHealthyPercent of the desired count healthy (ecs 4.6, 5.3).

    Asked of what the service scheduler stops because another deployment replaces it or its instance
    drains; what a user or a fault took is not its choice, nor is a lower count a replacement. The
    tasks that a deployment leaves must be healthy, those that a drain leaves RUNNING.
    """
    if not isinstance(seen, m.StopTasks):
        return
    if seen.stop_code is not StopCode.SERVICE_SCHEDULER_INITIATED:
        return
    stopped: dict[str, list[int]] = {}
    for task in seen.tasks:
        facts = history.tasks.get(task)
        if facts is not None and facts.service in history.services:
            stopped.setdefault(facts.service, []).append(task)
    for name, tasks in stopped.items():
        service = history.services[name]
        call = service.call
        floor = -(-call.desired_count * call.minimum_healthy_percent // 100)
        left = [history.tasks[task] for task in service.tasks if task not in tasks]
        up = [each for each in left if _is_up(history, each)]
        going = [history.tasks[task] for task in tasks if _is_up(history, history.tasks[task])]
        drained = [each for each in going if _drains(history, each)]
        # The reason names the deployment on whose behalf tasks stop; its own stop by scale-in.
        replaced = [each for each in going if f"{each.deployment})" not in seen.reason]
        if _any_but(replaced, drained):
            healthy = sum(_is_proven(history, each) for each in up)
            if healthy < floor:
                yield f"a deployment leaves service {name} {healthy} healthy tasks of {floor}"
        elif drained and len(up) < floor:
            yield f"a drain leaves service {name} {len(up)} running tasks of {floor}"


@sees(m.StartTasks)
def balances_only_what_is_uneven(history: History, seen: object) -> Iterator[str]:
    """Zone rebalancing starts a task beyond the count only in a zone that is two behind (ecs 5.7).

    With a difference of one the move would make the same difference the other way round, for ever.
    """
    if not isinstance(seen, m.StartTasks) or seen.service not in history.services or seen.found:
        return
    service = history.services[seen.service]
    settled, total = history.counts(seen.service)
    if service.daemon or not service.call.availability_zone_rebalancing or settled < total:
        return
    tasks = [history.tasks[task] for task in service.tasks]
    if total + len(seen.tasks) <= service.call.desired_count:
        return  # it fills up what is missing
    if any(each.deployment != seen.deployment or _is_sick(history, each) for each in tasks):
        return  # it replaces
    needs = history.needs_of_start(seen)
    counts = Counter(_zone(history, each.host) for each in tasks)
    usable = {
        _zone(history, number)
        for number, host in history.hosts.items()
        if not list(barred(needs, host, agent=False)) and is_static_member(needs, host)
    }
    most = max((counts[zone] for zone in usable if zone), default=0)
    for task, number in zip(seen.tasks, seen.instances, strict=True):
        there = counts[_zone(history, number)]
        if most - there < 2:
            yield (
                f"service {seen.service} balances its zones by task {task} where it has {there}, "
                f"and nowhere more than {most}"
            )


@sees(m.StartTasks, Round)
def services_keep_their_count(history: History, seen: object) -> Iterator[str]:
    """Nothing starts beyond maximumPercent; one deployment alone has its count, no more, settled.

    A daemon has one task on an instance at most.
    """
    if isinstance(seen, m.StartTasks) and seen.service is not None and not seen.found:
        service = history.services[seen.service]
        total = len(service.tasks) + len(service.draining) + len(seen.tasks)
        if not service.daemon and total > service.ceiling:
            yield f"service {seen.service} has {total} tasks, at most {service.ceiling} allowed"
    if not isinstance(seen, Round):
        return
    for name in sorted(history.touched):
        service = history.services[name]
        if service.daemon:
            hosts = Counter(history.tasks[task].host for task in service.tasks)
            crowded = [host for host, count in hosts.items() if count > 1]
            if crowded:
                yield f"daemon {name} has several tasks on instances {crowded}"
        elif service.plain:
            settled, total, call = *history.counts(name), service.call
            want = call.desired_count + call.availability_zone_rebalancing
            sick = sum(judged(history, history.tasks[task]) is False for task in service.tasks)
            kept = sum(history.marks.is_protected(t, history.now_ms) for t in service.tasks)
            if settled - sick > want + kept:
                rest = total - settled
                yield f"service {name} wants {want} tasks, has {settled} and {rest} draining"


@sees(m.StopTasks)
def protected_tasks_stay(history: History, seen: object) -> Iterator[str]:
    """Scale-in and deployments of a service leave protected tasks alone (ecs-semantics 5.6).

    What is sick, on a draining instance, or of a service that was deleted goes all the same; and a
    daemon follows its instances.
    """
    if not isinstance(seen, m.StopTasks):
        return
    if seen.stop_code is not StopCode.SERVICE_SCHEDULER_INITIATED:
        return
    for number in seen.tasks:
        task = history.tasks.get(number)
        if task is None or not history.marks.is_protected(number, history.now_ms):
            continue
        service = history.services.get(task.service or "")
        gone = service is None or service.daemon or task.service in history.endings.deleted
        if not (gone or _drains(history, task) or _is_sick(history, task)):
            yield f"service {task.service} stops task {number}, which is protected"


def _zone(history: History, number: int | None) -> str:
    host = None if number is None else history.hosts.get(number)
    return "" if host is None else host.said.attributes.get(AVAILABILITY_ZONE, "")


def _any_but(tasks: Iterable[TaskFacts], others: list[TaskFacts]) -> bool:
    return any(all(task is not other for other in others) for task in tasks)


def _is_up(history: History, task: TaskFacts) -> bool:
    sick = _is_sick(history, task)
    return task.ran_ms is not None and not sick


def _is_proven(history: History, task: TaskFacts) -> bool:
    service = history.services.get(task.service or "")
    balanced = service is not None and service.call.load_balancer is not None
    if balanced and judged(history, task) is not True:
        return False
    if task.checked or balanced:
        return task.healthy is True or not task.checked
    return task.ran_ms is not None and history.now_ms - task.ran_ms >= HEALTHY_AFTER_MS


def _drains(history: History, task: TaskFacts) -> bool:
    host = None if task.host is None else history.hosts.get(task.host)
    return host is not None and host.status == "DRAINING"


def _is_sick(history: History, task: TaskFacts) -> bool:
    """Whether its health check or its load balancer says so."""
    return task.healthy is False or judged(history, task) is False
