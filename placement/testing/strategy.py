"""The contract of a strategy: `check_strategy(Mine)` says whether it may join `STRATEGIES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import Cluster, IntArray
from stowplan.placement.engine.engine import Engine
from stowplan.placement.model import AVAILABILITY_ZONE, InstanceStatus, TaskKind
from stowplan.placement.strategies.protocol import (
    DeviceChooser,
    Strategy,
    StrategyFactory,
    make_strategy,
)
from stowplan.placement.testing.worlds import add_instance, make_kind

_ARRAYS = (
    *("registered", "remaining", "active", "present", "agent_connected", "running_tasks_count"),
    *("registered_at_ms", "device_capacity", "device_left"),
)
# Fields to hold against the one under test: where the factory takes several, they must differ.
_FIELDS = ("cpu", "memory", "instanceId", f"attribute:{AVAILABILITY_ZONE}", "attribute:rack")
_SEEDS = 12  # of worlds, and of draws
_GONE = 3


def check_strategy(factory: StrategyFactory, field: str | None = None) -> None:
    """Assert that the strategies that `factory` makes keep the contract of `Strategy.keys`.

    The keys are finite numbers, one for every candidate and in their order, for any number of
    candidates; they follow from the arguments alone, chance included, and nothing is changed by
    asking. Unless they are drawn by lot, the order of candidates does not change when instances
    that were registered before them are gone: a key is of the candidate, not of a row number. And
    every input has its say: not all candidates tie always, what is drawn matters, so does `field`.
    Where the strategy also chooses devices, it names as many as asked for, that fit.

    Args:
        factory: what `STRATEGIES` would hold.
        field: a field that the strategy takes; None to make it without one.
    Raises:
        AssertionError: something of that does not hold; the message says what, and in which world.
    """
    name = getattr(factory, "__name__", None) or repr(factory)
    subject = _Subject(name if field is None else f"{name}({field!r})", factory, field)
    first = subject.make()
    trials = list(_trials(field))
    keys = [_keys(subject, first, trial) for trial in trials]
    _check_it_repeats(subject, first, trials, keys)
    _check_rows_that_are_gone_do_not_matter(subject, first, trials, keys)
    if not isinstance(first, DeviceChooser) and all(len(np.unique(k)) == 1 for k in keys):
        subject.fail("ranks all candidates equal in every world: it decides nothing")
    _check_chance_matters(subject, first, trials, keys)
    _check_field_matters(subject, trials, keys)
    for trial in trials:
        if isinstance(first, DeviceChooser) and trial.task.devices:
            _check_devices(subject, first, trial)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The strategy under test, by a name for messages."""

    name: str
    factory: StrategyFactory
    field: str | None

    def make(self) -> Strategy:
        try:
            return make_strategy(self.factory, self.field)
        except Exception as error:
            raise AssertionError(f"{self.name}: cannot be made: {error!r}") from error

    def fail(self, what: str, trial: _Trial | None = None) -> None:
        raise AssertionError(f"{self.name}: {what}" + (f"\n{trial}" if trial else ""))


@dataclass(frozen=True, slots=True)
class _Trial:
    """One question put to a strategy."""

    task: TaskKind
    cluster: Cluster
    candidates: IntArray
    groups: tuple[str, ...]

    def __str__(self) -> str:
        return f"candidates {self.candidates.tolist()} for {self.task}\n{self.cluster.dump()}"

    def state(self) -> dict[str, object]:
        """All that can be read of the cluster, to see whether it has changed."""
        cluster = self.cluster
        counts: dict[str, NDArray[Any]] = {
            f"tasks of {group}": cluster.group_count(group) for group in self.groups
        }
        subjects = ("ec2InstanceId", *(f for f in _FIELDS if f.startswith("attribute:")))
        columns = {subject: cluster.column(subject) for subject in subjects}
        arrays: dict[str, NDArray[Any]] = {name: getattr(cluster, name) for name in _ARRAYS}
        return {
            "candidates": self.candidates.tolist(),
            "version": (cluster.version, cluster.freed_version, cluster.attributes_version),
            "size and resources": (cluster.size, list(cluster.resources)),
            "free ports": cluster.ports_free(self.task).tolist(),
            **{name: array.tolist() for name, array in (arrays | counts).items()},
            **{name: (list(c.values), c.codes.tolist()) for name, c in columns.items()},
        }


def _unchanged(subject: _Subject, trial: _Trial, ask: Callable[[], Any]) -> Any:
    """What `ask` answers, having changed nothing that can be read of the trial."""
    before = trial.state()
    try:
        answer = ask()
    except Exception as error:
        raise AssertionError(f"{subject.name}: raised {error!r}\n{trial}") from error
    after = trial.state()
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        subject.fail(f"changed what it was given: {', '.join(changed)}", trial)
    return answer


def _keys(
    subject: _Subject, strategy: Strategy, trial: _Trial, rng: Generator | None = None
) -> NDArray[Any]:
    """The keys of one trial, checked for their form."""
    rng = default_rng(0) if rng is None else rng
    task, cluster, candidates = trial.task, trial.cluster, trial.candidates
    answer = _unchanged(subject, trial, lambda: strategy.keys(task, cluster, candidates, rng))
    if not isinstance(answer, np.ndarray):
        subject.fail(f"gave a {type(answer).__name__}, not a numpy array", trial)
    if answer.shape != candidates.shape:
        subject.fail(f"gave keys of shape {answer.shape}, not {candidates.shape}", trial)
    if answer.dtype.kind not in "biuf":
        subject.fail(f"gave keys of type {answer.dtype}, not numbers", trial)
    if not np.isfinite(answer).all():
        subject.fail(f"gave keys that are not finite: {answer.tolist()}", trial)
    keys: NDArray[Any] = answer.copy()
    return keys


def _check_it_repeats(
    subject: _Subject, first: Strategy, trials: list[_Trial], keys: list[NDArray[Any]]
) -> None:
    asked = list(zip(trials, keys, strict=True))[::-1]
    for trial, expected in asked:
        if not np.array_equal(_keys(subject, first, trial), expected):
            subject.fail("answers differently when asked again with an equal rng", trial)
    fresh = subject.make()
    for trial, expected in asked:
        copy = _Trial(trial.task, trial.cluster.copy(), trial.candidates, trial.groups)
        if not np.array_equal(_keys(subject, fresh, copy), expected):
            subject.fail("made anew it answers differently, so it remembers earlier calls", trial)


def _check_rows_that_are_gone_do_not_matter(
    subject: _Subject, first: Strategy, trials: list[_Trial], keys: list[NDArray[Any]]
) -> None:
    for trial, expected in zip(_trials(subject.field, gone=_GONE), keys, strict=True):
        rng, untouched = default_rng(0), default_rng(0).bit_generator.state
        ranks = _ranks(_keys(subject, first, trial, rng))
        if rng.bit_generator.state != untouched:
            return
        if not np.array_equal(ranks, _ranks(expected)):
            subject.fail(
                f"orders candidates differently after {_GONE} other instances came and went: its "
                "keys are not aligned with the candidates, or depend on row numbers",
                trial,
            )


def _check_chance_matters(
    subject: _Subject, first: Strategy, trials: list[_Trial], keys: list[NDArray[Any]]
) -> None:
    drew = False
    for trial, expected in zip(trials, keys, strict=True):
        for seed in range(1, _SEEDS):
            rng = default_rng(seed)
            before = rng.bit_generator.state
            if not np.array_equal(_keys(subject, first, trial, rng), expected):
                return
            if rng.bit_generator.state == before:
                break
            drew = True
    if drew:
        subject.fail("draws from rng, but nothing that it draws changes a key")


def _check_field_matters(subject: _Subject, trials: list[_Trial], keys: list[NDArray[Any]]) -> None:
    others = 0
    for field in _FIELDS:
        if subject.field is None or field.lower() == subject.field.lower():
            continue
        try:
            other = make_strategy(subject.factory, field)
        except ValueError:
            continue
        others += 1
        for trial, expected in zip(trials, keys, strict=True):
            if not np.array_equal(_keys(subject, other, trial), expected):
                return
    if others:
        subject.fail("any other field gives the same keys in every world")


def _check_devices(subject: _Subject, first: Any, trial: _Trial) -> None:
    task, cluster = trial.task, trial.cluster
    for row in trial.candidates.tolist():
        ask = partial(first.devices, task, cluster, row)
        chosen = _unchanged(subject, trial, partial(ask, default_rng(0)))
        again, left = ask(default_rng(0)), cluster.device_left[row]
        if chosen != again:
            subject.fail(f"chose devices {chosen}, then {again}, with an equal rng", trial)
        if not isinstance(chosen, tuple) or len(set(chosen)) != task.devices:
            subject.fail(f"chose devices {chosen!r}, not a tuple of {task.devices}", trial)
        if len(chosen) != task.devices or not set(chosen) <= set(range(len(left))):
            subject.fail(f"chose devices {chosen!r} that are not there, or one twice", trial)
        if any(left[device] < task.device_milli for device in chosen):
            subject.fail(f"chose devices {chosen!r} on row {row} where one does not fit", trial)


def _ranks(keys: NDArray[Any]) -> NDArray[np.intp]:
    return np.unique(keys, return_inverse=True)[1]


def _trials(field: str | None, gone: int = 0) -> Iterator[_Trial]:
    """The same worlds at every call, except for `gone` instances that came and went first."""
    for seed in range(_SEEDS):
        rng = default_rng(seed)
        own = f"family:own{seed}"
        size = 1 + seed % 7
        cluster = Cluster()
        for row in range(gone):
            _random_instance(cluster, default_rng(1000 + row), field)
            cluster.set_status(row, InstanceStatus.INACTIVE)
        for _ in range(size):
            _random_instance(cluster, rng, field)
        groups = (own, "family:other")
        _book_some(cluster, rng, groups, gone)
        devices = seed % 3
        task = make_kind(1, 1, group=own, devices=devices, device_milli=600 * bool(devices))
        fitting = np.flatnonzero(Engine(cluster, rng).allowed(task)).astype(np.int64)
        for candidates in (fitting, fitting[::2], fitting[-1:]):
            if len(candidates):
                yield _Trial(task, cluster, candidates, groups)


def _random_instance(cluster: Cluster, rng: Generator, field: str | None) -> None:
    zone, rack = "abc"[rng.integers(3)], f"rack{rng.integers(4)}"
    attributes = {"rack": rack} if rng.random() < 0.8 else {}
    resources = {"GPU": int(rng.integers(3)), "ENI": int(rng.integers(4))}
    if field is not None and field.startswith("attribute:"):
        attributes.setdefault(field.removeprefix("attribute:"), rack)
    elif field is not None and field not in ("cpu", "memory", "instanceId", "host"):
        resources.setdefault(field, int(rng.integers(1, 9)))
    cpu, memory = (int(n) for n in rng.integers(2, 13, 2))
    devices = (1000,) * int(rng.integers(2, 5))
    add_instance(
        *(cluster, cpu, memory),
        zone=zone,
        attributes=attributes,
        devices=devices,
        resources=resources,
    )


def _book_some(cluster: Cluster, rng: Generator, groups: Sequence[str], first: int) -> None:
    """Tasks of two groups here and there, so that counts and remaining amounts differ."""
    for row in np.repeat(np.arange(first, cluster.size), 3).tolist():
        cpu, memory, devices = (int(n) for n in rng.integers(0, 3, 3))
        group = groups[int(rng.random() < 0.4)]
        task = make_kind(cpu, memory, group=group, devices=devices, device_milli=500)
        if rng.random() < 0.6 and Engine(cluster, rng).allowed(task)[row]:
            left = rng.permutation(np.flatnonzero(cluster.device_left[row] >= 500))
            cluster.reserve(task, row, left[:devices].tolist())
