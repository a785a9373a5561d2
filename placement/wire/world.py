"""What the front stands before: clusters that are run by somebody else.

A handler that changes something is a generator: it yields the calls to make, and is sent what
became of them. So one handler serves any loop, thread or test, and nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from stowplan.placement import messages as m
from stowplan.placement.callers.callers import Answer, Answered
from stowplan.placement.describe import State
from stowplan.placement.wire.arns import Account, Ids

Document = dict[str, Any]


@dataclass
class Cluster:
    """A cluster whose loop goes on elsewhere.

    Args:
        state: what is described; kept up to date by the rounds of the loop.
        submit: makes a call in the next round; see `placement.callers`.
        epoch_s: the time of the world's 0 ms, in seconds since 1970.
        settings: what CreateCluster said that changes nothing here, to be described again.
    """

    name: str
    ids: Ids
    state: State
    submit: Callable[[m.Event, Answered], None]
    epoch_s: float
    settings: Document = field(default_factory=dict)

    def seconds(self, at_ms: int) -> float:
        """A time of the world as AWS's JSON has it."""
        return self.epoch_s + at_ms / 1000

    @property
    def arn(self) -> str:
        """The ARN of the cluster."""
        return self.ids.account.cluster(self.name)


class Machine(NamedTuple):
    """What an agent says of its machine as it registers."""

    ec2_instance_id: str
    instance_type: str
    resources: dict[str, int]
    attributes: dict[str, str]
    reserved_tcp: tuple[int, ...] = (22, 2375, 2376, 51678, 51679)
    reserved_udp: tuple[int, ...] = ()
    version_info: dict[str, str] = {}  # noqa: RUF012
    price_microusd_hour: int = 0


class Agents(Protocol):
    """The real agents of a cluster, as far as requests concern them."""

    def join(self, machine: Machine, token: str = "") -> m.InstanceRegistered:
        """A machine registers for the first time: the event to ask the cluster to take."""
        ...

    def joined(self, token: str) -> int | None:
        """The instance that registered with a client token."""
        ...

    def is_connected(self, number: int) -> bool:
        """Whether the agent of an instance is there now."""
        ...


class Ask(NamedTuple):
    """A call to make of a cluster."""

    cluster: Cluster
    call: m.Event


Steps = Generator[list[Ask], list[Answer], Document]


class Host(Protocol):
    """Whoever runs the clusters."""

    account: Account
    # Holds no instances: the task definitions of the account, which every cluster knows as well.
    registry: Cluster
    settings: dict[str, str]  # of the account, where they are not the default

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """By name."""
        ...

    def create(self, name: str, settings: Document) -> Cluster:
        """A new cluster of that name, empty and running, in place of an INACTIVE one."""
        ...

    def join(self, cluster: Cluster, machine: Machine) -> m.InstanceRegistered:
        """A machine of a simulated cluster is there: the event to ask the cluster to take.

        Raises:
            WireError: the machines of this cluster are not simulated.
        """
        ...

    def agents(self, cluster: Cluster) -> Agents | None:
        """The agents of a cluster of real ones; None: they are simulated."""
        ...

    def now_s(self) -> float:
        """The time of day, in seconds since 1970."""
        ...
