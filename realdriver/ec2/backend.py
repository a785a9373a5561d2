"""EC2 and a control plane as `status` and `down` meet them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from stowplan.placement.driver import DriverError, NotFound
from stowplan.placement.journal import Header
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.backend import Leftovers, Seen
from stowplan.realdriver.ec2 import tags
from stowplan.realdriver.ec2.config import AWS, AwsTable
from stowplan.realdriver.ec2.control import Control, Document
from stowplan.realdriver.ec2.groups import SIZE, give_back, groups_of
from stowplan.realdriver.ec2.machines import Ec2Instance, chunks, described

_TASK, _REGISTERED, _INSTANCE, _DEFINITION, _CLUSTER = range(5)  # turns
_CLUSTER_S = 60.0  # of deleting an ECS cluster whose tasks stop yet


@dataclass(frozen=True, slots=True)
class Made:
    """Something that a run made; see `realdriver.backend.Thing`."""

    kind: str
    run: str
    turn: int
    words: str
    take: Callable[[], object] = field(repr=False)

    def remove(self) -> None:
        """Take it away; one that is gone already is no error."""
        with suppress(NotFound):
            self.take()

    def __str__(self) -> str:
        return f"{self.kind} {self.words}"


class Ec2Backend:
    """An account: see `realdriver.backend.Backend`.

    Args:
        account: where it is known already; to make one takes a second.
    """

    def __init__(self, table: AwsTable, account: Account | None = None) -> None:
        self._table = table
        self._account = account or Account(table.access)

    @classmethod
    def of(cls, header: Header) -> Ec2Backend:
        """The one that a journal's header names."""
        return cls(AwsTable.model_validate_json(header.run[AWS]))

    def leftovers(self, cluster: str, run: str | None, *, reachable_only: bool) -> Leftovers:
        """What carries the cluster's tag: tasks, instances, task definitions, the ECS cluster."""
        try:
            found = tuple(self._found(cluster, run))
        except DriverError as error:
            if not reachable_only:
                raise
            return Leftovers((), (f"AWS: {error}",))
        return Leftovers(found, ())

    def look(self, cluster: str, run: str) -> Seen:
        """The tasks of a run that go on, with their containers."""
        found: dict[int, list[str]] = {}
        try:
            for task in self._control(cluster, run).tasks(stopped=False):
                number = tags.number_of(task)
                if number is not None and tags.run_of(str(task.get("startedBy", "")), [run]):
                    found[number] = [_words(task)]
        except DriverError as error:
            return Seen(found, (f"AWS: {error}",))
        return Seen(found, ())

    def _control(self, cluster: str, run: str | None) -> Control:
        name = self._table.ecs_cluster or tags.ecs_cluster(cluster)
        return Control(self._account, name, cluster, run or "")

    def _found(self, cluster: str, run: str | None) -> Iterator[Made]:
        wanted = {tags.CLUSTER: cluster} | ({tags.RUN: run} if run else {})
        machines = [each for each in described(self._account, wanted) if not each.gone]
        control = self._control(cluster, run)
        marks = control.found()
        said = marks or {}
        of = said.get(tags.RUN, "")
        mine = bool(said.get(tags.MADE)) and said.get(tags.CLUSTER) == cluster
        mine = mine and run in (None, of)
        if marks is not None:
            ours = {each.id: each.run for each in machines}
            yield from _registered(control, ours, run, of if mine else None)
        yield from self._groups(cluster, run)
        yield from _instances(self._account, machines)
        for name in control.families(tags.family(cluster, "")):
            for arn, about in control.definitions(name):
                if about.get(tags.CLUSTER) == cluster and run in (None, about.get(tags.RUN)):
                    take = partial(control.undefine, arn)
                    words = arn.rsplit("/", 1)[-1]
                    yield Made("task definition", about.get(tags.RUN, ""), _DEFINITION, words, take)
        if mine:
            take = partial(control.delete, _CLUSTER_S)
            yield Made("ECS cluster", of, _CLUSTER, control.name, take)

    def _groups(self, cluster: str, run: str | None) -> Iterator[Made]:
        """Auto Scaling groups of others that a run has marked, to be given back as they were."""
        for group in groups_of(self._account) if self._table.groups else ():
            of = group.marks.get(tags.RUN, "")
            if group.marks.get(tags.CLUSTER) == cluster and run in (None, of):
                take = partial(give_back, self._account, group)
                words = f"{group.name} (back to size {group.marks.get(SIZE, '0')})"
                yield Made("Auto Scaling group", of, _INSTANCE, words, take)


def _registered(
    control: Control, ours: Mapping[str, str], run: str | None, made_by: str | None
) -> Iterator[Made]:
    """Tasks of ours, and the registrations of our instances.

    Args:
        made_by: the run that made the ECS cluster, if that goes, too: all that is registered there
            goes with it, of Auto Scaling groups as well.
    """
    for task in control.tasks(stopped=False):
        marks = tags.read_tags(task.get("tags"))
        of = marks.get(tags.RUN, "")
        if marks.get(tags.CLUSTER) == control.cluster and run in (None, of):
            arn = task["taskArn"]
            take = partial(control.stop, arn, "stowplan down")
            yield Made("task", of, _TASK, arn.rsplit("/", 1)[-1], take)
    for each in control.instances():
        of_run = ours.get(each.get("ec2InstanceId", ""), made_by)
        if of_run is not None:
            arn, of = each["containerInstanceArn"], of_run
            take = partial(control.deregister, arn)
            words = arn.rsplit("/", 1)[-1]
            yield Made("container instance", of, _REGISTERED, words, take)


def _instances(account: Account, machines: Sequence[Ec2Instance]) -> Iterator[Made]:
    """Instances, which are all terminated with the first of them."""
    ids, once = [each.id for each in machines], threading.Lock()
    done: list[bool] = []

    def terminate() -> None:
        with once:
            for some in chunks([] if done else ids, 1000):
                account.call("ec2", "TerminateInstances", InstanceIds=some)
            done.append(True)

    for each in machines:
        words = f"{each.id} ({each.instance_type} in {each.zone}, {each.state})"
        yield Made("instance", each.run, _INSTANCE, words, terminate)


def remove_all(
    backend: Ec2Backend, cluster: str, run: str | None, within_s: float
) -> tuple[str, float]:
    """Remove what a cluster, or a run of it, has, until describe calls say that nothing is left.

    Returns:
        what it was, in words, and how many seconds it took.
    Raises:
        DriverError: something is left after so long.
    """
    begun_s = time.monotonic()
    said = ""
    while True:
        found = backend.leftovers(cluster, run, reachable_only=False)
        said = said or found.summary
        if not found.count:
            return said, time.monotonic() - begun_s
        left: DriverError | None = None
        try:
            found.remove()
        except DriverError as error:
            left = error
        if time.monotonic() - begun_s > within_s:
            raise left or DriverError(f"still there: {found.summary}")
        time.sleep(0.5)


def _words(task: Document) -> str:
    parts = [
        " ".join([each["name"], each.get("lastStatus", ""), *_bindings(each)])
        for each in task.get("containers", ())
    ]
    return "; ".join(parts)


def _bindings(container: Mapping[str, list[Mapping[str, object]]]) -> list[str]:
    return [
        f"{port['containerPort']}->{port['hostPort']}"
        for port in container.get("networkBindings", ())
        if "hostPort" in port
    ]
