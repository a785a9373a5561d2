"""A control plane by ECS's API, as a run meets it: its instances, tasks and definitions.

Amazon ECS, or `stowplan serve`. StartTask has no token, so a call is known by its `startedBy`, and
is never made again before a look says that nothing came of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.errors import Refused
from stowplan.realdriver.ec2 import tags
from stowplan.realdriver.ec2.machines import chunks
from stowplan.realdriver.ec2.tags import ecs_tags, read_tags

_DESCRIBED = 100  # of one describe call
_AGAIN_S = 1.0
Document = dict[str, Any]


class Control:
    """Calls to ECS for one run of a cluster; from any thread.

    Args:
        name: the ECS cluster.
    """

    def __init__(self, account: Account, name: str, cluster: str, run: str) -> None:
        self.name, self.cluster, self.account = name, cluster, account
        self._run = run
        self._defining = threading.Lock()
        self._defined: dict[str, str] = {}  # name in the run -> ARN
        self._read = False

    @property
    def marks(self) -> dict[str, str]:
        """The tags of what is ours."""
        return {tags.CLUSTER: self.cluster, tags.RUN: self._run}

    # --- the cluster ------------------------------------------------------------------------------

    def ensure(self, *, make: bool) -> None:
        """See that the ECS cluster is there; make it where it is missing, if that is meant.

        Raises:
            DriverError: it is not there.
        """
        if self.found() is not None:
            return
        if not make:
            raise DriverError(f"no ECS cluster {self.name} in {self.account.region}: make it")
        marks = ecs_tags({**self.marks, tags.MADE: "yes"})
        self.account.call("ecs", "CreateCluster", clusterName=self.name, tags=marks)

    def others(self) -> tuple[int, int]:
        """How many services and tasks in the cluster are not of this program: left alone."""
        services = sum(1 for _ in self._pages("ListServices", "serviceArns"))
        tasks = sum(
            1
            for each in self.tasks(stopped=False)
            if not tags.is_ours(str(each.get("startedBy", "")))
        )
        return services, tasks

    def found(self) -> dict[str, str] | None:
        """The tags of the ECS cluster; None: there is none of that name."""
        answer = self.account.call(
            "ecs", "DescribeClusters", clusters=[self.name], include=["TAGS"]
        )
        there = [each for each in answer["clusters"] if each["status"] == "ACTIVE"]
        return read_tags(there[0].get("tags")) if there else None

    def delete(self, within_s: float) -> None:
        """Delete the ECS cluster, once nothing of it goes on any more.

        Raises:
            Refused: it does still, after so long.
        """
        end_s = time.monotonic() + within_s
        while True:
            try:
                self.account.call("ecs", "DeleteCluster", cluster=self.name)
                return
            except Refused:
                if time.monotonic() > end_s:
                    raise
            time.sleep(_AGAIN_S)

    # --- instances --------------------------------------------------------------------------------

    def instances(self) -> list[Document]:
        """Every container instance, as DescribeContainerInstances has it."""
        arns = list(self._pages("ListContainerInstances", "containerInstanceArns"))
        return [
            each
            for some in chunks(arns, _DESCRIBED)
            for each in self._call("DescribeContainerInstances", containerInstances=some)[
                "containerInstances"
            ]
        ]

    def deregister(self, arn: str) -> None:
        """Forget an instance and what runs there; one that is not known is no error."""
        with suppress(NotFound, Refused):
            self._call("DeregisterContainerInstance", containerInstance=arn, force=True)

    # --- tasks ------------------------------------------------------------------------------------

    def tasks(self, *, stopped: bool = True, known: Iterable[str] = ()) -> list[Document]:
        """Every task that runs, and with `stopped` those that ended within the hour; those of
        `known` ARNs are not described again where they have ended."""
        arns = list(self._pages("ListTasks", "taskArns", desiredStatus="RUNNING"))
        if stopped:
            seen = {*known, *arns}
            ended = self._pages("ListTasks", "taskArns", desiredStatus="STOPPED")
            arns += [arn for arn in ended if arn not in seen]
        return self.describe(arns)

    def describe(self, arns: Sequence[str]) -> list[Document]:
        """Tasks by ARN, with their tags; those that ECS knows no more are left out."""
        found: list[Document] = []
        for some in chunks(arns, _DESCRIBED):
            found += self._call("DescribeTasks", tasks=some, include=["TAGS"])["tasks"]
        return found

    def start(self, request: Mapping[str, Any]) -> Document:
        """StartTask, once. Raises Unanswered where nobody knows what became of it."""
        answer: Document = self._call("StartTask", once=True, **request)
        return answer

    def stop(self, arn: str, reason: str) -> None:
        """StopTask; one that has ended, or is not known, is no error."""
        with suppress(NotFound, Refused):
            self._call("StopTask", task=arn, reason=reason[:1000])

    # --- task definitions -------------------------------------------------------------------------

    def define(self, name: str, document: Mapping[str, Any]) -> str:
        """The ARN in ECS of a definition of the run, registered where it is not yet.

        Args:
            name: `family:revision` in the run.
        """
        with self._defining:
            if name not in self._defined:
                family = tags.family(self.cluster, str(document["family"]))
                self._look_up(family)
                if name not in self._defined:
                    marks = ecs_tags({**self.marks, tags.DEFINITION: name})
                    asked = {**document, "family": family, "tags": marks}
                    made = self.account.call("ecs", "RegisterTaskDefinition", **asked)
                    self._defined[name] = made["taskDefinition"]["taskDefinitionArn"]
            return self._defined[name]

    def _look_up(self, family: str) -> None:
        """Take over what this run registered before a crash."""
        for arn, marks in self.definitions(family):
            if marks.get(tags.RUN) == self._run:
                self._defined[marks[tags.DEFINITION]] = arn

    def definitions(self, family: str) -> Iterator[tuple[str, dict[str, str]]]:
        """(ARN, tags) of the definitions of a family that are ACTIVE."""
        pages = self.account.pages(
            "ecs", "ListTaskDefinitions", "taskDefinitionArns", familyPrefix=family
        )
        for arn in list(pages):
            answer = self.account.call(
                "ecs", "DescribeTaskDefinition", taskDefinition=arn, include=["TAGS"]
            )
            yield arn, read_tags(answer.get("tags"))

    def undefine(self, arn: str) -> None:
        """Deregister a task definition; one that is INACTIVE is no error."""
        with suppress(NotFound, Refused):
            self.account.call("ecs", "DeregisterTaskDefinition", taskDefinition=arn)

    def families(self, prefix: str) -> Iterator[str]:
        """The families with ACTIVE definitions whose names begin so."""
        yield from self.account.pages(
            "ecs", "ListTaskDefinitionFamilies", "families", familyPrefix=prefix, status="ACTIVE"
        )

    def _call(self, action: str, *, once: bool = False, **given: Any) -> Any:
        return self.account.call("ecs", action, once=once, cluster=self.name, **given)

    def _pages(self, action: str, key: str, **given: Any) -> Iterator[Any]:
        return self.account.pages("ecs", action, key, cluster=self.name, **given)
