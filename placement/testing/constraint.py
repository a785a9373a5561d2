"""The contract of a constraint: `check_constraint(Mine, EXPRESSION)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.random import default_rng

from stowplan.placement.cluster.cluster import BoolArray, Cluster
from stowplan.placement.constraints import CONSTRAINTS, Check, ConstraintFactory, check_of
from stowplan.placement.engine.engine import Engine
from stowplan.placement.errors import PlacementError, QueryError
from stowplan.placement.model import InstanceStatus, PlacementConstraint, TaskKind
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.testing.worlds import add_instance, make_cluster, make_kind

_NAME = "checked"  # what the constraint is called while it is checked
_ROWS, _GONE = 6, 2
_GROUPS = ("family:0", "family:1")
_MADE_BADLY = ("", "\x00", "-1", "attribute:(")  # expressions that few classes take


def check_constraint(factory: ConstraintFactory, expression: str | None = None) -> None:
    """Assert that what `factory` makes keeps the contract of `Constraint`.

    It says something: `most`, `query` or an `allows` of its own. Its `allows` gives a truth value
    for every row, the same when asked again, writes nothing, and means the instance: one that came
    and went before shifts no verdict. What it calls lasting (`volatile = False`) lasts whatever
    runs. An expression that makes no sense is a ValueError or QueryError. And engine and
    kernels agree on where its tasks go.

    Args:
        factory: what `CONSTRAINTS` would hold.
        expression: one that it takes; None: its `example`, and without one none.
    Raises:
        AssertionError: something of that does not hold; the message says what, and in which world.
    """
    name = getattr(factory, "__name__", None) or repr(factory)
    expression = getattr(factory, "example", None) if expression is None else expression
    try:
        check = check_of(PlacementConstraint(_NAME, expression), {_NAME: factory})
    except Exception as error:
        raise AssertionError(f"{name}: cannot be made of {expression!r}: {error}") from error
    _check_what_it_says(name, check)
    _check_bad_expressions(name, factory)
    kinds = [make_kind(1, group=group) for group in _GROUPS]
    for kind in kinds:
        worlds = [cluster for cluster, _ in _worlds()]
        masks = [_mask(name, check.allows, kind, cluster) for cluster in worlds]
        later = [_mask(name, check.allows, kind, world)[_GONE:] for world, _ in _worlds(_GONE)]
        for cluster, mask, shifted in zip(worlds, masks, later, strict=True):
            if (mask != shifted).any():
                _fail(
                    name,
                    "judges by row numbers: other instances that were there before change "
                    f"its verdicts from {mask.tolist()} to {shifted.tolist()}",
                    cluster,
                )
        _check_it_lasts(name, check, kind, worlds)
        _check_engine(name, factory, expression, kind)


def _fail(name: str, what: str, cluster: Cluster | None = None) -> None:
    raise AssertionError(f"{name}: {what}" + (f"\n{cluster.dump()}" if cluster else ""))


def _check_what_it_says(name: str, check: Check) -> None:
    if (check.most, check.query, check.code) == (None, None, None):
        _fail(name, "asks for nothing: state most or query, or have an allows of your own")
    most: Any = check.most
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        _fail(name, f"most is {most!r}, not a whole number of at least 1")
    if check.query is not None and not hasattr(check.query, "mask"):
        _fail(name, f"query is {check.query!r}, not what parse_query gives")
    if not check.reason:
        _fail(name, "its Failure would have no reason")


def _check_bad_expressions(name: str, factory: ConstraintFactory) -> None:
    for text in (None, *_MADE_BADLY):
        try:
            factory(text)
        except (ValueError, QueryError):
            continue
        except Exception as error:
            what = f"of the expression {text!r} raises {error!r}, not a ValueError in a sentence"
            raise AssertionError(f"{name}: {what}") from error


def _mask(
    name: str, ask: Callable[[TaskKind, Cluster], BoolArray], kind: TaskKind, cluster: Cluster
) -> BoolArray:
    """The verdicts on every row, asked twice, with nothing changed by asking."""
    before, version = cluster.copy(), cluster.version
    try:
        mask = ask(kind, cluster)
        again = ask(kind, cluster)
    except PlacementError as error:
        raise AssertionError(f"{name}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{name}: allows raised {error!r}\n{cluster.dump()}") from error
    if version != cluster.version or before.dump() != cluster.dump() or _changed(before, cluster):
        _fail(name, "allows changed the cluster, which it may only read", before)
    if (mask != again).any():
        _fail(name, f"answers {mask.tolist()}, and asked again {again.tolist()}", cluster)
    return mask.copy()


def _changed(before: Cluster, after: Cluster) -> bool:
    arrays = ("registered", "remaining", "active", "present", "agent_connected")
    counts = (before.group_count(g).tolist() != after.group_count(g).tolist() for g in _GROUPS)
    same = (np.array_equal(getattr(before, each), getattr(after, each)) for each in arrays)
    return any(counts) or not all(same)


def _check_it_lasts(name: str, check: Check, kind: TaskKind, worlds: list[Cluster]) -> None:
    fixed = [_mask(name, check.fixed, kind, cluster) for cluster in worlds]
    for cluster, mask in zip(worlds, fixed, strict=True):
        if (mask != fixed[0]).any():
            _fail(name, "says that it is not volatile, but its verdict follows what runs: "
                  f"{fixed[0].tolist()} became {mask.tolist()}", cluster)  # fmt: skip


def _check_engine(
    name: str, factory: ConstraintFactory, expression: str | None, kind: TaskKind
) -> None:
    """Tasks go where it allows, by the reference and by the kernels."""
    text = _NAME if expression is None else f"{_NAME}:{expression}"
    asked = make_kind(1, group=kind.group, strategies=("spread:instanceId",), constraints=(text,))
    chosen = []
    for kernels in (False, True):
        cluster = next(cluster for cluster, tasks in _worlds() if tasks)
        engine = Engine(
            cluster, default_rng(0), STRATEGIES, {**CONSTRAINTS, _NAME: factory}, kernels=kernels
        )
        chosen.append(engine.place([asked] * 9).instances.tolist())
    if chosen[0] != chosen[1]:
        _fail(name, f"engine and kernels place its tasks apart: {chosen[0]} and {chosen[1]}")


def _worlds(gone: int = 0) -> Iterator[tuple[Cluster, int]]:
    """(cluster, tasks on it): the same instances, with more and more tasks; `gone` come first."""
    for tasks in (0, 5, 20):
        cluster = make_cluster(gone, cpu=7, attributes={"rack": "gone"})
        for row in range(gone):
            cluster.set_status(row, InstanceStatus.INACTIVE)
        for row in range(_ROWS):
            rack = {"rack": f"r{row % 2}", "ecs.instance-type": ("m5.large", "c5.large")[row % 2]}
            add_instance(cluster, 99, zone="abc"[row % 3], attributes=rack)
        for row in default_rng(tasks).integers(0, _ROWS, tasks).tolist():
            cluster.reserve(make_kind(1, group=_GROUPS[row % 2]), gone + row)
        if tasks:
            cluster.set_status(gone + 5, InstanceStatus.DRAINING)
            cluster.set_connected(gone + 4, False)
        yield cluster, tasks
