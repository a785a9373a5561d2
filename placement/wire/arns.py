"""ARNs and ids of objects, from their numbers and names, and back (ecs 8.2).

An id of 32 hexadecimal digits holds the number of its object, hidden, and a digest that only the
same cluster makes. So no table of ids is kept, ids are the same after a restart, and an id of
another cluster, kind or world is told from one of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from stowplan.placement.wire.errors import WireError, invalid

_NUMBER_HEX, _DIGEST_BYTES = 8, 12
_TOO_MANY = 1 << 32


class Arn(NamedTuple):
    """The parts of an ARN of ECS: `kind` and the names below it."""

    region: str
    account: str
    kind: str
    names: tuple[str, ...]


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN of ECS in any partition; None: this is none."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "ecs":
        return None
    kind, *names = parts[5].split("/")
    return Arn(parts[3], parts[4], kind, tuple(names)) if names and all(names) else None


@dataclass(frozen=True)
class Account:
    """Whose resources they are, and where: what all ARNs begin with."""

    region: str = "us-east-1"
    account: str = "000000000000"

    def arn(self, kind: str, *names: str) -> str:
        """`arn:aws:ecs:REGION:ACCOUNT:KIND/NAME/…`."""
        return f"arn:aws:ecs:{self.region}:{self.account}:{kind}/{'/'.join(names)}"

    def cluster(self, name: str) -> str:
        """Of a cluster."""
        return self.arn("cluster", name)

    def task_definition(self, revision: str) -> str:
        """Of a task definition by its `family:revision`."""
        return self.arn("task-definition", revision)

    def capacity_provider(self, name: str) -> str:
        """Of a capacity provider."""
        return self.arn("capacity-provider", name)

    def owns(self, text: str) -> bool:
        """Whether this is an ARN of ECS of this account and region."""
        found = parse_arn(text)
        return found is not None and (found.region, found.account) == (self.region, self.account)

    def name_of(self, text: str, kind: str) -> str:
        """The name that a call gives as such or in an ARN of that kind.

        Raises:
            WireError: an ARN of something else; what is missing is the caller's to say.
        """
        if not text.startswith("arn:"):
            return text
        found = parse_arn(text)
        if found is None or found.kind != kind:
            raise invalid(f"{text} is no ARN of a {kind.replace('-', ' ')}.")
        if (found.region, found.account) != (self.region, self.account):
            raise invalid(f"{text} is of another region or account.")
        return found.names[-1]


@dataclass(frozen=True)
class Ids:
    """The ids of one cluster's instances and tasks, by their numbers.

    Args:
        salt: tells this cluster from another of the same name; kept as long as its state.
    """

    account: Account
    cluster: str
    salt: str
    _id_of: Callable[[str, int], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        salt = f"{self.salt}/{self.cluster}"
        object.__setattr__(self, "_id_of", lru_cache(1 << 17)(lambda k, n: _id(salt, k, n)))

    def task(self, number: int) -> str:
        """The ARN of a task."""
        return self.account.arn("task", self.cluster, self._id_of("task", number))

    def instance(self, number: int) -> str:
        """The ARN of a container instance."""
        return self.account.arn(
            "container-instance", self.cluster, self._id_of("container-instance", number)
        )

    def container(self, task: int, name: str) -> str:
        """The ARN of a container of a task."""
        own = _uuid(f"{self.salt}/{self.cluster}/{task}/{name}")
        return self.account.arn("container", self.cluster, self._id_of("task", task), own)

    def event(self, service: str, number: int) -> str:
        """The id of a line in a service's events."""
        return _uuid(f"{self.salt}/{self.cluster}/{service}/{number}")

    def service(self, name: str) -> str:
        """The ARN of a service."""
        return self.account.arn("service", self.cluster, name)

    def number(self, kind: str, text: str) -> int | None:
        """The number of a task or container instance by its id or ARN; None: not of this cluster.

        Raises:
            WireError: neither an id nor an ARN of that kind.
        """
        name = text
        if text.startswith("arn:"):
            found = parse_arn(text)
            if found is None or found.kind != kind:
                raise invalid(f"Invalid identifier: {text}")
            if (found.region, found.account) != (self.account.region, self.account.account):
                return None
            if len(found.names) == 2 and found.names[0] != self.cluster:
                raise invalid(
                    "Identifier is for a different cluster. Check your request and retry."
                )
            name = found.names[-1]
        return self._number(kind, name.replace("-", ""))

    def _number(self, kind: str, name: str) -> int | None:
        if len(name) != 2 * _DIGEST_BYTES + _NUMBER_HEX:
            return None
        try:
            hidden = int(name[-_NUMBER_HEX:], 16)
        except ValueError:
            return None
        number = hidden ^ _mask(f"{self.salt}/{self.cluster}", kind)
        return number if self._id_of(kind, number) == name else None


def _uuid(of: str) -> str:
    plain = hashlib.blake2b(of.encode(), digest_size=16).hexdigest()
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


def _id(salt: str, kind: str, number: int) -> str:
    if not 0 <= number < _TOO_MANY:
        raise WireError("ServerException", f"no id is left for {kind} {number}", 500)
    digest = hashlib.blake2b(f"{salt}/{kind}/{number}".encode(), digest_size=_DIGEST_BYTES)
    return f"{digest.hexdigest()}{number ^ _mask(salt, kind):08x}"


@lru_cache(1024)
def _mask(salt: str, kind: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{salt}/{kind}".encode(), digest_size=4).digest())
