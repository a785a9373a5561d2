"""Moves tasks of a real cluster: those of no service one by one, all others by draining instances.

Whatever is asked for can be asked for again. A task that was started in the place of another says
so in its `startedBy`, so a second process finds out from ECS alone what the first one did.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stowplan.placement.driver import DriverError
from stowplan.realdriver.aws import cluster_calls
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.cluster_calls import ClusterCalls
from stowplan.realdriver.aws.errors import Unanswered
from stowplan.realdriver.aws.rights import ANY, ECS, OF_CLUSTER, Right

_TO_LOOK = {
    *("ecs:DescribeClusters", "ecs:ListContainerInstances", "ecs:DescribeContainerInstances"),
    *("ecs:ListServices", "ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks"),
}
RIGHTS = (
    *(right for right in cluster_calls.RIGHTS if right.action in _TO_LOOK),
    Right("ecs:StartTask", ECS + "task-definition/*", OF_CLUSTER),
    Right("ecs:StopTask", ECS + "task/{cluster}/*", OF_CLUSTER),
    Right("ecs:UpdateContainerInstancesState", ECS + "container-instance/{cluster}/*", OF_CLUSTER),
    Right(
        "iam:PassRole",
        ANY,
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        implied=True,
    ),
)

# `startedBy` of a copy: plan, step, and how the id of the task that it replaces begins. StartTask
# takes 36 characters.
_BY, _ID_CHARS = "mv", 20
_STARTED_BY = re.compile(rf"{_BY}/([0-9a-f]{{6}})/(\d+)/([0-9a-f-]+)")
_BATCH = 10  # instances of one UpdateContainerInstancesState
_TRIES = 3
_POLL_S = 2.0
_ENDING = ("DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED")
# What StartTask takes of a task as it was started; its overrides go on with it.
_OVERRIDES = ("containerOverrides", "cpu", "memory", "taskRoleArn", "executionRoleArn")


class Surprise(DriverError):
    """The cluster is not as the plan says: nothing more is done."""


@dataclass(frozen=True)
class Task:
    """A task as ECS describes it: where, of which group, and which step of which plan made it."""

    arn: str
    instance: str
    group: str
    started_by: str
    daemon: bool
    body: dict[str, Any] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """The end of its ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def interface(self) -> bool:
        """Whether it has a network interface of its own: ECS does not tell its security groups."""
        kinds = [each.get("type") for each in self.body.get("attachments", ())]
        return "ElasticNetworkInterface" in kinds or "eni" in kinds

    @property
    def made_by(self) -> tuple[str, int, str]:
        """(plan, step, how the id of the task that it replaces begins); ("", -1, "") of others."""
        found = _STARTED_BY.fullmatch(self.started_by)
        return (found[1], int(found[2]), found[3]) if found else ("", -1, "")


@dataclass
class Seen:
    """A cluster at one look. Instances are named by EC2 id, `status` and `arns` by that name."""

    arns: dict[str, str]
    status: dict[str, str]
    tasks: list[Task]
    lacking: dict[str, int]

    def held(self) -> dict[str, Counter[str]]:
        """Instance -> group -> tasks; daemons apart."""
        found: dict[str, Counter[str]] = {}
        for task in self.tasks:
            if not task.daemon:
                found.setdefault(task.instance, Counter())[task.group] += 1
        return found


class Mover:
    """Looks at one cluster, and moves its tasks.

    Args:
        mark: of the plan, six hexadecimal digits.
        say: takes a line for each thing that is done.
        wait_s: how long a task may take to start, and instances to be empty.
    """

    def __init__(
        self,
        account: Account,
        cluster: str,
        mark: str,
        say: Callable[[str], None],
        wait_s: float = 900.0,
    ) -> None:
        self._account, self._cluster, self._mark = account, cluster, mark
        self._say, self._wait_s = say, wait_s

    def look(self) -> Seen:
        """What runs where now."""
        answers: dict[str, list[dict[str, Any]]] = {}

        def keep(kind: str, answer: dict[str, Any]) -> None:
            answers.setdefault(kind, []).append(answer)

        ClusterCalls(self._account, self._cluster, keep).read(whole=False)
        instances = _each(answers, "container-instances", "containerInstances")
        services = _each(answers, "services", "services")
        names = {i["containerInstanceArn"]: _name(i) for i in instances}
        daemons = {s["serviceName"] for s in services if s["schedulingStrategy"] == "DAEMON"}
        tasks = [
            _task(each, names, daemons)
            for each in _each(answers, "tasks", "tasks")
            if each.get("containerInstanceArn") and each["lastStatus"] not in _ENDING
            and each.get("desiredStatus") != "STOPPED"
        ]  # fmt: skip
        return Seen(
            {name: arn for arn, name in names.items()},
            {_name(i): i["status"] for i in instances},
            tasks,
            {
                s["serviceName"]: s["desiredCount"] - s["runningCount"]
                for s in services
                if s["serviceName"] not in daemons and s["desiredCount"] > s["runningCount"]
            },
        )

    def move(self, step: int, old: Task | None, new: Task | None, arn: str) -> None:
        """Start a copy of a task on an instance, wait until it runs, and stop the task.

        Args:
            old: what is to stop; None: it has ended already.
            new: the copy, where it was started before.
            arn: of the container instance.

        Raises:
            Surprise: the copy does not start, or does not stay.
        """
        started = new.arn if new is not None else self._start(step, _there(old), arn)
        self._await(started)
        if old is not None:
            reason = f"moved by stowplan: {started.rpartition('/')[2]} runs in its place"
            self._ecs("StopTask", task=old.arn, reason=reason)

    def _start(self, step: int, old: Task, arn: str) -> str:
        by = f"{_BY}/{self._mark}/{step}/{old.id[:_ID_CHARS]}"
        given = {key: old.body.get("overrides", {}).get(key) for key in _OVERRIDES}
        given = {key: value for key, value in given.items() if value}
        for _ in range(_TRIES):
            try:
                answer = self._ecs(
                    "StartTask",
                    once=True,
                    taskDefinition=old.body["taskDefinitionArn"],
                    containerInstances=[arn],
                    startedBy=by,
                    group=old.body["group"],
                    overrides=given,
                    enableExecuteCommand=old.body.get("enableExecuteCommand", False),
                )
            except Unanswered:  # it may have been done: ECS knows by `startedBy`
                listed = self._ecs("ListTasks", startedBy=by)["taskArns"]
                if listed:
                    return str(listed[0])
                continue
            if answer["failures"]:
                why = answer["failures"][0].get("reason", "no reason given")
                raise Surprise(f"{old.group} cannot be started: {why}")
            return str(answer["tasks"][0]["taskArn"])
        raise Unanswered(f"StartTask for {old.group}: no answer in {_TRIES} tries")

    def _await(self, arn: str) -> None:
        until_s = time.monotonic() + self._wait_s
        while True:
            task: dict[str, Any] = next(iter(self._ecs("DescribeTasks", tasks=[arn])["tasks"]), {})
            status = task.get("lastStatus", "MISSING")
            if status == "RUNNING":
                return
            if status == "MISSING" or status in _ENDING:
                why = task.get("stoppedReason") or status
                raise Surprise(f"{arn.rpartition('/')[2]} did not stay: {why}")
            if time.monotonic() > until_s:
                raise Surprise(f"{arn.rpartition('/')[2]} is {status} after {self._wait_s:.0f} s")
            time.sleep(_POLL_S)

    def set_status(self, seen: Seen, names: Iterable[str], status: str) -> None:
        """Set instances DRAINING or ACTIVE, those that are not yet."""
        arns = [seen.arns[name] for name in names if seen.status[name] != status]
        for at in range(0, len(arns), _BATCH):
            answer = self._ecs(
                "UpdateContainerInstancesState",
                containerInstances=arns[at : at + _BATCH],
                status=status,
            )
            if answer["failures"]:
                failed = answer["failures"][0]
                raise Surprise(f"{failed['arn']} is not set {status}: {failed.get('reason')}")

    def await_empty(self, names: Sequence[str]) -> Seen:
        """Wait until ECS has moved all tasks of services away, and no service lacks any.

        Raises:
            Surprise: that did not come in time, or an instance is gone.
        """
        until_s, said = time.monotonic() + self._wait_s, -1
        while True:
            seen = self.look()
            gone = [name for name in names if name not in seen.status]
            held = seen.held()
            full = [name for name in names if held.get(name, Counter()).total()]
            if gone:
                raise Surprise(f"{', '.join(gone)}: no longer in the cluster")
            if not full and not seen.lacking:
                return seen
            if len(full) != said:
                self._say(f"{len(full)} of {len(names)} instances are not empty yet")
                said = len(full)
            if time.monotonic() > until_s:
                lacks = ", ".join(f"{name} {n}" for name, n in seen.lacking.items())
                raise Surprise(
                    f"after {self._wait_s:.0f} s {len(full)} instances are not empty: "
                    f"{', '.join(full[:5])}" + (f"; tasks that lack: {lacks}" if lacks else "")
                )
            time.sleep(_POLL_S)

    def _ecs(self, action: str, *, once: bool = False, **given: Any) -> Any:
        return self._account.call("ecs", action, once=once, cluster=self._cluster, **given)


def _there(task: Task | None) -> Task:
    if task is None:
        raise Surprise("a task that is to be moved has ended")
    return task


def _each(answers: dict[str, list[dict[str, Any]]], kind: str, key: str) -> list[dict[str, Any]]:
    return [each for answer in answers.get(kind, ()) for each in answer.get(key, ())]


def _name(instance: dict[str, Any]) -> str:
    arn = str(instance["containerInstanceArn"])
    return str(instance.get("ec2InstanceId") or arn.rpartition("/")[2])


def _task(body: dict[str, Any], names: dict[str, str], daemons: set[str]) -> Task:
    """Of one that no service has, the group is that of its family, as scenarios have it."""
    group = body.get("group", "")
    if not group.startswith("service:"):
        group = "family:" + body["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]
    return Task(
        body["taskArn"],
        names.get(body["containerInstanceArn"], ""),
        group,
        body.get("startedBy", ""),
        group.removeprefix("service:") in daemons and group.startswith("service:"),
        body,
    )
