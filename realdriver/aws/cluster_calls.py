"""Reads a cluster by describe calls alone: many at a time, at a pace that AWS does not throttle.

Lists are read page by page, as each page names the next; what they name is described meanwhile.
Nothing here understands the answers: they go on as AWS gave them, in the order of the lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from stowplan.placement.driver import NotFound
from stowplan.realdriver.aws.clients import Account
from stowplan.realdriver.aws.errors import NotAllowed, Refused, Unanswered
from stowplan.realdriver.aws.pace import Pace
from stowplan.realdriver.aws.rights import ANY, ECS, OF_CLUSTER, Right

RIGHTS = (
    Right("ecs:DescribeClusters", ECS + "cluster/{cluster}"),
    Right("ecs:ListContainerInstances", ECS + "cluster/{cluster}"),
    Right("ecs:DescribeContainerInstances", ECS + "container-instance/{cluster}/*", OF_CLUSTER),
    Right("ecs:ListServices", ANY, OF_CLUSTER),
    Right("ecs:DescribeServices", ECS + "service/{cluster}/*", OF_CLUSTER),
    Right("ecs:ListTasks", ANY, OF_CLUSTER),
    Right("ecs:DescribeTasks", ECS + "task/{cluster}/*", OF_CLUSTER),
    Right("ecs:DescribeTaskDefinition"),
    Right("ecs:DescribeCapacityProviders", ECS + "capacity-provider/*"),
    Right("autoscaling:DescribeAutoScalingGroups"),
    Right("ec2:DescribeInstances"),
    Right("elasticloadbalancing:DescribeTargetGroups"),
)

AT_ONCE = 8  # requests in flight
# Calls at once and in a second, four fifths of what AWS lets an account make (ecs 7): others call,
# too. By service and what the action is about; each has a bucket of its own there.
PACES = {
    "cluster resource": (80, 16.0),
    "service": (80, 16.0),
    "other": (40, 16.0),
    "ec2": (40, 8.0),
}
_ROWS = {
    **dict.fromkeys(
        ("ListTasks", "DescribeTasks", "ListContainerInstances", "DescribeContainerInstances"),
        "cluster resource",
    ),
    **dict.fromkeys(("ListServices", "DescribeServices"), "service"),
}
_LISTS = {
    "container-instances": ("ListContainerInstances", "containerInstanceArns"),
    "services": ("ListServices", "serviceArns"),
    "tasks": ("ListTasks", "taskArns"),
}
_DESCRIBES = {
    "container-instances": ("DescribeContainerInstances", "containerInstances", 100),
    "services": ("DescribeServices", "services", 10),
    "tasks": ("DescribeTasks", "tasks", 100),
}
_TOKENS = {"nextToken": "nextToken", "NextToken": "NextToken", "Marker": "NextMarker"}
_NOBODY = "0" * 32  # an id that no object has: asking for it shows whether one may ask
_FARGATE = ("FARGATE", "FARGATE_SPOT")

Answer = dict[str, Any]
Keep = Callable[[str, Answer], None]


class ClusterCalls:
    """One reading of a cluster.

    Args:
        keep: takes each answer with a name for its kind, from one thread, in the order of lists.
        elsewhere: the endpoint is not AWS's: services that it does not have are passed over, and
            are in `passed_over` then.
    """

    def __init__(
        self, account: Account, cluster: str, keep: Keep, *, elsewhere: bool = False
    ) -> None:
        self._account, self._cluster, self._keep = account, cluster, keep
        self._elsewhere = elsewhere
        self._paces = {name: Pace(*each) for name, each in PACES.items()}
        self._missing: dict[str, None] = {}
        self.passed_over: list[str] = []
        self.calls = 0

    def read(self, *, whole: bool = True) -> None:
        """Make the calls; with `whole` False only those about instances, services and tasks.

        Raises:
            NotAllowed: naming every right that is missing; nothing was left untried for it.
            NotFound: no such cluster. Other DriverErrors: as the calls raise them.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool, ThreadPoolExecutor(len(_LISTS)) as listing:
            try:
                self._read(pool, listing, whole)
            except BaseException:  # Ctrl-C as well: whoever waits makes no more calls
                for pace in self._paces.values():
                    pace.stop()
                self._account.close()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if self._missing:
            names = ", ".join(self._missing)
            raise NotAllowed(
                f"no right to {names}: add {'it' if len(self._missing) == 1 else 'them'} to the "
                "policy of these credentials (`stowplan iam-policy` prints what is needed)",
                names,
            )

    def _read(self, pool: ThreadPoolExecutor, listing: ThreadPoolExecutor, whole: bool) -> None:
        (cluster,) = self._of("ecs", "DescribeClusters", clusters=[self._cluster]) or ({},)
        found = cluster.get("clusters", ())
        if cluster and (not found or found[0].get("status") == "INACTIVE"):
            raise NotFound(
                f"no cluster {self._cluster!r} in {self._account.region}: "
                "`aws ecs list-clusters` names those that there are"
            )
        self._keep("cluster", cluster)
        branches = {kind: listing.submit(self._list, pool, kind) for kind in _LISTS}
        described: dict[str, list[Answer]] = {}
        for kind, branch in branches.items():
            described[kind] = self._kept(kind, branch.result())
        if not whole:
            return
        self._groups(pool, found[0] if found else {}, described)
        ids = _texts(described["container-instances"], "containerInstances", "ec2InstanceId")
        ids = [each for each in ids if each.startswith("i-")]
        self._each(pool, "instances", "ec2", "DescribeInstances", "instance-id", ids, 100)
        self._definitions(pool, described)
        self._target_groups(pool, described["services"])

    def _list(self, pool: ThreadPoolExecutor, kind: str) -> list[Future[list[Answer]]]:
        """List a kind, and have what it names described while the next page is read."""
        action, key = _LISTS[kind]
        given: Answer = {"cluster": self._cluster, "maxResults": 100}
        describe, members, most = _DESCRIBES[kind]
        made = []
        while True:
            page = self._of("ecs", action, **given)
            if not page:  # no right to list: whether there is one to describe is asked all the same
                asked = {"cluster": self._cluster, members: [_NOBODY]}
                pool.submit(self._of, "ecs", describe, **asked).result()
                return []
            for arns in _batched(page[0].get(key, ()), most):
                asked = {"cluster": self._cluster, members: arns}
                made.append(pool.submit(self._of, "ecs", describe, **asked))
            if not (token := page[0].get("nextToken")):
                return made
            given["nextToken"] = token

    def _groups(
        self, pool: ThreadPoolExecutor, cluster: Answer, described: dict[str, list[Answer]]
    ) -> None:
        """Capacity providers, those of instances included, and their Auto Scaling groups."""
        names = list(cluster.get("capacityProviders", ()))
        names += _texts(
            described["container-instances"], "containerInstances", "capacityProviderName"
        )
        names = [each for each in dict.fromkeys(names) if each not in _FARGATE]
        key = "capacityProviders"
        found = self._each(
            pool, "capacity-providers", "ecs", "DescribeCapacityProviders", key, names, 100
        )
        arns = [
            each.get("autoScalingGroupProvider", {}).get("autoScalingGroupArn", "")
            for answer in found
            for each in answer.get(key, ())
        ]
        groups = [arn.rpartition("/")[2] for arn in arns if arn]
        of = "autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroupNames"
        self._each(pool, "auto-scaling-groups", *of, groups, 50)

    def _definitions(self, pool: ThreadPoolExecutor, described: dict[str, list[Answer]]) -> None:
        """The task definitions of services, and of tasks on instances."""
        names: dict[str, None] = {}
        for answer in described["services"]:
            for each in answer.get("services", ()):
                primary = [d for d in each.get("deployments", ()) if d.get("status") == "PRIMARY"]
                for one in (*primary, each):
                    names.setdefault(one.get("taskDefinition", ""))
        for answer in described["tasks"]:
            for each in answer.get("tasks", ()):
                if each.get("launchType", "EC2") == "EC2":
                    names.setdefault(each.get("taskDefinitionArn", ""))
        names.pop("", None)
        key = "taskDefinition"
        self._each(pool, "task-definitions", "ecs", "DescribeTaskDefinition", key, list(names), 0)

    def _target_groups(self, pool: ThreadPoolExecutor, services: list[Answer]) -> None:
        arns = dict.fromkeys(
            one["targetGroupArn"]
            for answer in services
            for each in answer.get("services", ())
            for one in each.get("loadBalancers", ())
            if one.get("targetGroupArn")
        )
        of = "elbv2", "DescribeTargetGroups", "TargetGroupArns"
        self._each(pool, "target-groups", *of, list(arns), 20)

    def _each(
        self,
        pool: ThreadPoolExecutor,
        kind: str,
        service: str,
        action: str,
        key: str,
        names: Sequence[str],
        most: int,
    ) -> list[Answer]:
        """Describe these, `most` in a call; 0: one, which is no list. Where a right is missing, and
        so nothing is known to ask for, it is asked for what nobody has."""
        if not names and self._missing:
            names = [_NOBODY]
        some = _batched(names, most) if most else names
        made = [pool.submit(self._all, service, action, key, each) for each in some]
        return self._kept(kind, made)

    def _all(self, service: str, action: str, key: str, names: Any) -> list[Answer]:
        """All pages; of a list of which AWS does not know one, all others."""
        given = {key: names}
        if key == "instance-id":  # by a filter, which passes over what is gone
            given = {"Filters": [{"Name": key, "Values": names}]}
        found: list[Answer] = []
        try:
            while page := self._of(service, action, **given):
                found += page
                said = {name: page[0].pop(out, None) for name, out in _TOKENS.items()}
                token = {name: value for name, value in said.items() if value}
                if not token:
                    break
                given |= token
        except NotFound:
            if isinstance(names, str) or len(names) == 1:
                return []
            return [each for name in names for each in self._all(service, action, key, [name])]
        return found

    def _kept(self, kind: str, made: Iterable[Future[list[Answer]]]) -> list[Answer]:
        answers = [answer for each in made for answer in each.result()]
        for answer in answers:
            self._keep(kind, answer)
        return answers

    def _of(self, service: str, action: str, **given: Any) -> list[Answer]:
        """The answer of one call, without what only clients read; none where it is not allowed."""
        row = _ROWS.get(action, "other") if service == "ecs" else "ec2"
        self._paces[row].wait()
        self.calls += 1
        try:
            once = service != "ecs" and self._elsewhere  # what lacks a service always will
            answer: Answer = self._account.call(service, action, once=once, **given)
        except NotAllowed as error:
            self._missing.setdefault(error.action)
            return []
        except (Refused, Unanswered) as error:
            if _NOBODY in str(given):
                return []
            if service != "ecs" and self._elsewhere:
                self.passed_over.append(service)
                return []
            raise error
        answer.pop("ResponseMetadata", None)
        return [answer]


def _texts(answers: Iterable[Answer], key: str, member: str) -> list[str]:
    """A member of each object, without those that have none."""
    found = [each.get(member) for answer in answers for each in answer.get(key, ())]
    return [text for text in dict.fromkeys(found) if text]


def _batched(names: Sequence[str], most: int) -> Iterator[list[str]]:
    for at in range(0, len(names), most):
        yield list(names[at : at + most])
