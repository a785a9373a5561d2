"""What found no room in a run, and why: counted as it goes, explained when it is over.

Of each service and workload the first time that it was refused is kept: the kind of task, and a
copy of the cluster as it was after that round. What still lacks room at the end is explained by the
end. So a run pays for a copy for each of them, and for explanations only once it is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, overload

from stowplan.experiments.loading.catalogue import catalogue_offers
from stowplan.placement import messages as m
from stowplan.placement.callers.client import RESUBMIT, RETRY
from stowplan.placement.cluster.arrays import names
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.changes import Change, Offer
from stowplan.placement.engine.explain import Explanation, explain_kind
from stowplan.placement.engine.obstacles import Resident
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import AVAILABILITY_ZONE, INSTANCE_TYPE, TaskKind
from stowplan.placement.scheduler.lacking import (
    lack_of_service,
    offers_of,
    residents,
    service_lacks,
)
from stowplan.placement.scheduler.scheduler import Scheduler

OWNERS_MOST = 40  # of a run that are explained; all are counted
_Said = m.RunTaskFailed | m.TasksProvisioning | m.ServiceEvent
_SAID = (m.RunTaskFailed, m.TasksProvisioning, m.ServiceEvent)


@dataclass(frozen=True, slots=True)
class Obstruction:
    """So many instances that the same things keep a task off, and the nearest miss of them."""

    instances: int
    nearest: str
    what: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A service or workload of which tasks found no room.

    `reasons`: how often it was said, by ECS's reason; `queued`: how many of these were tasks that
    went to PROVISIONING, to wait for capacity; `lacks`: tasks without a room at the end,
    None where that is not known of a workload. The rest is of `at_ms`: on how many of `instances`
    one more task fits (`fits`), what keeps it off the others, nearest first, and the changes of
    which each alone would place it, the cheapest first. No `at_ms`: it was counted alone.
    """

    owner: str
    is_service: bool
    reasons: dict[str, int]
    queued: int = 0
    lacks: int | None = None
    at_ms: int | None = None
    instances: int = 0
    fits: int = 0
    obstructions: tuple[Obstruction, ...] = ()
    changes: tuple[str, ...] = ()

    @property
    def matters(self) -> bool:
        """Whether more happened than that tasks had to wait until capacity came."""
        return bool(self.lacks) or sum(self.reasons.values()) > self.queued


class Refusals(Sequence[Refusal]):
    """What found no room, explained once somebody reads it; a pickle of it is a list.

    Args:
        make: explains; called at most once.
    """

    def __init__(self, make: Callable[[], list[Refusal]]) -> None:
        self._make: Callable[[], list[Refusal]] | None = make
        self._made: list[Refusal] = []

    def _read(self) -> list[Refusal]:
        if self._make is not None:
            self._made, self._make = self._make(), None
        return self._made

    @overload
    def __getitem__(self, index: int) -> Refusal: ...

    @overload
    def __getitem__(self, index: slice) -> list[Refusal]: ...

    def __getitem__(self, index: int | slice) -> Refusal | list[Refusal]:
        return self._read()[index]

    def __len__(self) -> int:
        return len(self._read())

    def __eq__(self, other: object) -> bool:
        return self._read() == (other._read() if isinstance(other, Refusals) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._read())

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._read(),)


@dataclass(slots=True)
class _First:
    kind: TaskKind
    cluster: Cluster
    at_ms: int


@dataclass
class Refused:
    """Call it with every round, when `scheduler` has decided it; then ask for the `refusals`."""

    scheduler: Scheduler
    reasons: dict[tuple[str, bool], Counter[str]] = field(default_factory=dict)
    _first: dict[tuple[str, bool], _First] = field(default_factory=dict)
    _queued: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def __call__(self, entry: m.Round) -> None:
        """Take in one round."""
        for said in entry.commands:
            if type(said) in _SAID and said.failure is not None:  # type: ignore[union-attr]
                self._take(entry, said)  # type: ignore[arg-type]

    def _take(self, entry: m.Round, said: _Said) -> None:
        assert said.failure is not None
        count, call = 1, None
        service = None if isinstance(said, m.RunTaskFailed) else said.service
        if service is None and not isinstance(said, m.ServiceEvent):
            call = _call(entry, said.request)
        if isinstance(said, m.RunTaskFailed):
            count = said.count
        elif isinstance(said, m.TasksProvisioning):
            count = len(said.tasks)
        queued = count if isinstance(said, m.TasksProvisioning) else 0
        if service is not None:
            key = service, True
        else:
            assert not isinstance(said, m.ServiceEvent)
            name = "" if call is None else call.started_by.removesuffix(RETRY)
            key = name.removesuffix(RESUBMIT), False
        self.reasons.setdefault(key, Counter())[said.failure.reason] += count
        self._queued[key] += queued
        # A scheduler that was killed since has the state of another time.
        alive = self.scheduler.now_ms == entry.now_ms
        if alive and key not in self._first and len(self._first) < OWNERS_MOST:
            kind = self._kind(service, call, said)
            if kind is not None:
                copy = self.scheduler.cluster.copy()
                self._first[key] = _First(kind, copy, entry.now_ms)

    def _kind(self, service: str | None, call: m.RunTask | None, said: _Said) -> TaskKind | None:
        try:
            if service is not None:
                return lack_of_service(self.scheduler, service).kind
            if call is None or isinstance(said, m.ServiceEvent):
                return None
            return self.scheduler.launches.of_run_task(call, said.capacity_provider).kind
        except PlacementError:
            return None

    def refusals(
        self, scheduler: Scheduler | None = None, end_ms: int | None = None
    ) -> list[Refusal]:
        """What found no room, the most often refused first.

        Args:
            scheduler: as it is at the end, where it is not the one that was followed.
            end_ms: when that is; default: the last round.
        """
        last = scheduler or self.scheduler
        end_ms = last.now_ms if end_ms is None else end_ms
        found = []
        for key, reasons in self.reasons.items():
            name, is_service = key
            counted = Refusal(name, is_service, dict(reasons.most_common()), self._queued[key])
            found.append(self._explained(counted, last, end_ms, self._first.get(key)))
        return sorted(found, key=lambda each: -sum(each.reasons.values()))

    def _explained(
        self, counted: Refusal, last: Scheduler, end_ms: int, first: _First | None
    ) -> Refusal:
        name, lacks = counted.owner, None
        if counted.is_service and name in last.services:
            lack = lack_of_service(last, name)
            lacks = lack.count
            if service_lacks(last, name) and lack.count:
                there = partial(residents, last)
                offers = all_offers(last.cluster, offers_of(last), lack.kind)
                told = explain_kind(last.engine, lack.kind, there, offers)
                return _told(replace(counted, lacks=lacks, at_ms=end_ms), last.cluster, told)
        if first is None:
            return replace(counted, lacks=lacks)
        engine = last.engine.on(first.cluster)
        offers = all_offers(last.cluster, offers_of(last), first.kind)
        told = explain_kind(engine, first.kind, _nobody, offers)
        return _told(replace(counted, lacks=lacks, at_ms=first.at_ms), first.cluster, told)


def tells_of_none(entry: m.Round) -> bool:
    """Whether a round says that something found no room."""
    return any(isinstance(said, _SAID) and said.failure is not None for said in entry.commands)


def _nobody(_: int) -> Sequence[Resident]:
    """Of a time that has passed it is not known which tasks were where."""
    return ()


def _call(entry: m.Round, request: int | None) -> m.RunTask | None:
    for event in entry.events:
        if type(event) is m.RunTask and event.request == request:
            return event
    return None


def _told(refusal: Refusal, cluster: Cluster, found: Explanation) -> Refusal:
    groups = [
        Obstruction(
            len(group.rows),
            described(cluster, group.best.row),
            "; ".join(obstacle.words for obstacle in group.best.obstacles),
        )
        for group in found.groups()
    ]
    return replace(
        refusal,
        instances=len(found.fits) + len(found.misses),
        fits=len(found.fits),
        obstructions=tuple(groups),
        changes=tuple(change_words(cluster, change) for change in found.changes),
    )


# --- words, which `stowplan explain` has too ------------------------------------------------------


def instance_names(cluster: Cluster, rows: Sequence[int]) -> list[str]:
    """The EC2 ids of instances, their numbers where they have none."""
    found = names(cluster.column("ec2InstanceId"), rows)
    return [name or str(row) for name, row in zip(found, rows, strict=True)]


def described(cluster: Cluster, row: int) -> str:
    """`i-12 (m5.large, eu-west-1a)`."""
    strings = cluster.strings_of(row)
    named = (f"attribute:{INSTANCE_TYPE}", f"attribute:{AVAILABILITY_ZONE}")
    about = ", ".join(strings[subject] for subject in named if subject in strings)
    name = instance_names(cluster, [row])[0]
    return f"{name} ({about})" if about else name


def change_words(cluster: Cluster, change: Change) -> str:
    """What a change is, with the instance that it is about."""
    if change.row is None:
        return change.words
    return change.words.replace("{instance}", instance_names(cluster, [change.row])[0])


def all_offers(cluster: Cluster, provided: list[Offer], kind: TaskKind) -> list[Offer]:
    """What could be added: by capacity providers, else of the types that ship with stowplan."""
    zones = cluster.column(f"attribute:{AVAILABILITY_ZONE}").values
    return [*provided, *catalogue_offers(kind, min(zones, default="a"))]
