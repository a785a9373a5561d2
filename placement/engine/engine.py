"""ECS's pipeline: resources -> constraints -> strategies -> select. One task or a batch of them.

`Engine.place` books what it decides; try things out on a copy of the cluster. The answer for a
batch is the answer for its tasks one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import BoolArray, Cluster, IntArray
from stowplan.placement.constraints import CONSTRAINTS, ConstraintFactory
from stowplan.placement.engine.batch import UNPLACED, Decision, Filled, TaskBatch, joined
from stowplan.placement.engine.eligibility import Eligibility
from stowplan.placement.errors import PlacementError
from stowplan.placement.model import PlacementStrategy, TaskKind
from stowplan.placement.outlook import Outlook
from stowplan.placement.reasons import NO_ACTIVE_INSTANCES, Failure
from stowplan.placement.strategies import STRATEGIES
from stowplan.placement.strategies.devices import fullest_devices
from stowplan.placement.strategies.protocol import DeviceChooser, StrategyFactory

if TYPE_CHECKING:
    from stowplan.placement.engine.kernels.runner import Runner
    from stowplan.placement.engine.kernels.standing import Standing

__all__ = ["UNPLACED", "Decision", "Engine", "Filled", "TaskBatch", "joined"]
KERNEL_TASKS_MIN = 8  # from so many tasks on, a kernel that places all of them pays
FEW_TASKS = 256  # up to so many, an index of their own takes longer than the one that stands
# Looks at all instances for one task, by the reference: of some 0.1 ms each, and for every so many
# instances once more. So many take as long as it does to load machine code, or to compile it.
INSTANCES_A_LOOK = 2_000
LOOKS_TO_LOAD, LOOKS_TO_COMPILE = 1_000, 100_000
_new = tuple.__new__  # of a named tuple, without a look at each argument
_UNEXPLAINED = Failure("")
_loaded: list[bool] = []  # not empty once a kernel was asked for in this process


def looks_until_kernels() -> float:
    """After so many looks of an engine, kernels pay: none where this process has loaded them."""
    if _loaded:
        return 0
    from stowplan.placement.engine.kernels import is_compiled

    return LOOKS_TO_LOAD if is_compiled() else LOOKS_TO_COMPILE


class Engine(Eligibility):
    """Places tasks on a cluster by their own constraints and strategy chains.

    Args:
        cluster: the state to read and book on.
        rng: the only source of chance.
        strategies, constraints: factories by the type that a task names.
        kernels: whether compiled kernels decide where they can; None: once they pay. Their choices
            are those of the numpy code in this module, which is the reference; only the time it
            takes differs.
    """

    def __init__(
        self,
        cluster: Cluster,
        rng: Generator,
        strategies: Mapping[str, StrategyFactory] = STRATEGIES,
        constraints: Mapping[str, ConstraintFactory] = CONSTRAINTS,
        *,
        kernels: bool | None = None,
    ) -> None:
        super().__init__(cluster, strategies, constraints)
        self.rng = rng
        self._looks_left = 0.0 if kernels is not None else looks_until_kernels()
        self._kernels = bool(kernels) or (kernels is None and not self._looks_left)
        self._made_runner: Runner | None = None
        # The index that stands, once there is one, and answers with one row.
        self._standing: Standing | None = None
        self._one_row: list[IntArray | None] = []

    def __getstate__(self) -> dict[str, Any]:
        # Kernels write in the arrays of one cluster, by machine code that a copy would share.
        return vars(self) | {"_made_runner": None, "_standing": None}

    def on(self, cluster: Cluster) -> Engine:
        """An engine with the same strategies and constraints for another cluster, to try out on.

        It decides by the reference, which costs no time to set up, and draws nothing.
        """
        rng = np.random.default_rng(0)
        return Engine(cluster, rng, self._strategies, self._constraints, kernels=False)

    def place(self, tasks: Sequence[TaskKind] | TaskBatch) -> Decision:
        """Choose an instance for each task in turn and book it there.

        Returns:
            a row for every task, or -1 and a Failure; never both, never neither.
        Raises:
            PlacementError: a task names a strategy or constraint that is not known or makes no
                sense, or by its field what no instance ever had; nothing has been booked then.
        """
        if len(tasks) == 1 and tasks.__class__ is not TaskBatch:
            kind: TaskKind = tasks[0]  # type: ignore[index]
            standing = self._standing
            if standing is not None:  # the way of most, without a step that can be left out
                row = standing.place(kind)
                if row >= 0:
                    one = self._one_row[row]
                    if one is None:
                        one = self._one_row_of(row)
                    return _new(Decision, (one, {}, {}))
            return self._place_single(kind)
        kinds = tasks.kinds if isinstance(tasks, TaskBatch) else tuple(dict.fromkeys(tasks))
        for kind in kinds:
            if kind not in self._read:  # else all of it was checked before
                self.check(kind)
                self.check_fields(kind)
        if len(tasks) >= KERNEL_TASKS_MIN and self._pays(len(tasks)):
            few = len(tasks) <= FEW_TASKS
            if few and isinstance(tasks, TaskBatch):
                kinds = tasks.in_order_of_use().kinds
            if few and self._runner.stands_for(kinds, len(tasks)):
                return self._place_few(tasks)
            return self._place_batch(tasks if isinstance(tasks, TaskBatch) else TaskBatch.of(tasks))
        rows = np.full(len(tasks), UNPLACED, np.int64)
        decision = Decision(rows, {}, {})
        for position, kind in enumerate(tasks):
            self._place_at(decision, position, kind)
        return decision

    def place_now(self, kind: TaskKind) -> tuple[int, tuple[int, ...]] | None:
        """Place one task of `kind`: its row and devices; None where it fits nowhere now.

        As `fill` of one, but nobody wants to know why it does not fit.
        """
        placed = self._place_one(kind, explain=False)
        return None if isinstance(placed, Failure) else placed

    def fill(self, kind: TaskKind, count: int) -> Filled:
        """Place up to `count` tasks of one kind; stop at the first that fits nowhere."""
        if count >= KERNEL_TASKS_MIN and self._pays(count) and self._compiled(kind):
            rows, failed = self._runner.place((kind,), np.zeros(count, np.int32), stop=True)
            placed_rows = rows[: min(failed, default=count)].tolist()
            return Filled(placed_rows, [()] * len(placed_rows), next(iter(failed.values()), None))
        filled = Filled([], [], None)
        for _ in range(count):
            placed = self._place_one(kind)
            if isinstance(placed, Failure):
                return filled._replace(failure=placed)
            filled.rows.append(placed[0])
            filled.devices.append(placed[1])
        return filled

    def place_on(self, kind: TaskKind, row: int) -> Filled:
        """Place one task of `kind` on the instance that the caller chose, if it may run there.

        The chain of `kind` has no say, but for the choice of devices. The Failure is about this
        instance alone: MISSING where there is none of that number, INACTIVE where it is gone.
        """
        failure = self._refusal(kind, row)
        if failure is not None:
            return Filled([], [], failure)
        devices = self._choose_devices(kind, row) if kind.devices else ()
        self.cluster.reserve(kind, row, devices)
        return Filled([row], [devices], None)

    def place_within(self, kind: TaskKind, mask: BoolArray) -> Filled:
        """Place one task of `kind` by its chain on one of the rows of `mask` (size,)."""
        candidates = np.flatnonzero(self.allowed(kind) & mask)
        if not len(candidates):
            return Filled([], [], Failure(NO_ACTIVE_INSTANCES))
        return self.place_on(kind, self._select(kind, candidates))

    def release(
        self, kind: TaskKind, rows: Sequence[int], devices: Sequence[Sequence[int]] = ()
    ) -> None:
        """Undo a booking of `kind` on each of `rows`, and of its `devices` where it has any."""
        standing = self._standing
        if standing is not None and len(rows) == 1 and standing.release(kind, rows[0]):
            return
        if self._made_runner is not None and not kind.devices:
            self._made_runner.release(kind, rows)
            return
        for row, there in zip(rows, devices or [()] * len(rows), strict=True):
            self.cluster.release(kind, row, there)

    def scale_in(self, kind: TaskKind, rows: Sequence[int]) -> int:
        """Which of the tasks on `rows` to stop first: the chain of `kind` in reverse.

        Args:
            rows: (m,) the instance of each task that may be stopped, oldest task first; m >= 1.
        Returns:
            index into `rows`; among tasks that tie, the newest.
        """
        candidates = np.unique(np.array(rows))
        for link in range(len(self.chain(kind))):
            keys = self._keys(kind, link, candidates)
            candidates = candidates[keys == keys.max()]
        hosts = set(candidates.tolist())
        return max(index for index, row in enumerate(rows) if row in hosts)

    @property
    def looks_ahead(self) -> bool:
        """Whether a strategy in use plans, so that it must be told of every round."""
        return bool(self._planners)

    def look_ahead(self, now_ms: int, outlook: Callable[[], Outlook]) -> None:
        """Tell the strategies that plan of a new round; see `strategies.Planner`."""
        for link, planner in self._planners.items():
            stamp = self.cluster.stamp
            planner.look_ahead(now_ms, outlook(), self)
            self._only_read(stamp, link)

    @property
    def _runner(self) -> Runner:
        if self._made_runner is None:
            # Imported here: numba takes its time, and many callers only describe a cluster.
            from stowplan.placement.engine.kernels.runner import Runner

            self._made_runner = Runner(self, self.rng)
            _loaded.append(True)
        return self._made_runner

    def _compiled(self, kind: TaskKind) -> bool:
        return self._kernels and self._runner.takes(kind)

    def _pays(self, tasks: int) -> bool:
        """Whether kernels decide, now that so many tasks more ask for room."""
        if self._looks_left > 0:
            self._looks_left -= tasks * (1 + self.cluster.size / INSTANCES_A_LOOK)
            self._kernels = self._looks_left <= 0
        return self._kernels

    def _place_batch(self, batch: TaskBatch) -> Decision:
        """Stretches of tasks that a kernel can place go to it at once, others one by one."""
        batch = batch.in_order_of_use()
        takes = np.array([self._compiled(kind) for kind in batch.kinds], np.bool_)
        if takes.all():
            return Decision(*self._runner.place(batch.kinds, batch.index), {})
        decision = Decision(np.full(len(batch), UNPLACED, np.int64), {}, {})
        compiled = takes[batch.index]
        ends = np.flatnonzero(np.diff(compiled)) + 1
        for begin, end in pairwise([0, *ends.tolist(), len(batch)]):
            if compiled[begin] and end - begin >= KERNEL_TASKS_MIN:
                run = TaskBatch(batch.kinds, batch.index[begin:end]).in_order_of_use()
                decision.instances[begin:end], failed = self._runner.place(run.kinds, run.index)
                decision.failures.update((begin + at, why) for at, why in failed.items())
            else:
                for position in range(begin, end):
                    self._place_at(decision, position, batch.kinds[batch.index[position]])
        return decision

    def _place_few(self, tasks: Sequence[TaskKind] | TaskBatch) -> Decision:
        """One by one on the index that stands, which knows their kinds, most likely."""
        if self._standing is not self._runner.standing:
            self._stand()
        rows, failures = [UNPLACED] * len(tasks), dict[int, Failure]()
        assert self._standing is not None
        place = self._standing.place
        for position, kind in enumerate(tasks):
            row = place(kind)
            if row == UNPLACED:
                failures[position] = self._runner.failure(kind)
            elif row < 0:  # not for the index: others may book now, and make another
                placed = self._place_one(kind)
                place = self._standing.place
                if isinstance(placed, Failure):
                    failures[position] = placed
                    continue
                row = placed[0]
            rows[position] = row
        return Decision(np.array(rows, np.int64), failures, {})

    def _place_single(self, kind: TaskKind) -> Decision:
        if kind not in self._read:  # else all of it was checked before
            self.check(kind)
            self.check_fields(kind)
        placed = self._place_one(kind)
        if isinstance(placed, Failure):
            return Decision(np.array([UNPLACED]), {0: placed}, {})
        row, devices = placed
        return Decision(np.array([row]), {}, {0: devices} if devices else {})

    def _place_at(self, decision: Decision, position: int, kind: TaskKind) -> None:
        placed = self._place_one(kind)
        if isinstance(placed, Failure):
            decision.failures[position] = placed
            return
        decision.instances[position] = placed[0]
        if placed[1]:
            decision.devices[position] = placed[1]

    def _place_one(
        self, kind: TaskKind, *, explain: bool = True
    ) -> tuple[int, tuple[int, ...]] | Failure:
        if self._kernels or self._pays(1):
            row = self._runner.place_one(kind)
            if self._standing is not self._runner.standing:
                self._stand()
            if row >= 0:
                return row, ()
            if row == UNPLACED:
                return self._runner.failure(kind) if explain else _UNEXPLAINED
        failed = self._failed.get(kind)
        if failed is not None and failed[0] == self.cluster.version:
            return failed[1]
        row = self._choose(kind)
        if row == UNPLACED:
            return self.failure(kind, self.cluster.version) if explain else _UNEXPLAINED
        devices = self._choose_devices(kind, row) if kind.devices else ()
        self.cluster.reserve(kind, row, devices)
        return row, devices

    def _stand(self) -> None:
        """Ask the index that stands first from now on."""
        self._standing = self._runner.standing
        self._one_row = [None] * self.cluster.size

    def _one_row_of(self, row: int) -> IntArray:
        """The answer with a row alone; kept, as to make it takes longer than to find the row."""
        one = np.array([row])
        one.flags.writeable = False  # it is handed out
        self._one_row[row] = one
        return one

    def _choose(self, kind: TaskKind) -> int:
        if self._kernels:
            candidates = self._runner.candidates(kind)
        else:
            candidates = np.flatnonzero(self.allowed(kind))
        return self._select(kind, candidates) if len(candidates) else UNPLACED

    def _select(self, kind: TaskKind, candidates: IntArray) -> int:
        last, first = len(self.chain(kind)) - 1, 0
        for link in range(last + 1):
            keys = self._keys(kind, link, candidates)
            if link == last:
                first = int(keys.argmin())  # of equal keys the first, and candidates ascend
            else:
                candidates = candidates[keys == keys.min()]
        return int(candidates[first])

    def _keys(self, kind: TaskKind, link: int, candidates: IntArray) -> NDArray[Any]:
        """The keys of one link of the chain. Raises PlacementError where they are none."""
        candidates.flags.writeable = False
        stamp = self.cluster.stamp
        keys = self.chain(kind)[link].keys(kind, self.cluster, candidates, self.rng)
        self._only_read(stamp, kind.strategies[link])
        numbers = keys.dtype.kind in "iub" or not (keys != keys).any()
        if keys.shape != candidates.shape or not numbers:
            what = f"expected {len(candidates)} numbers, found shape {keys.shape}, NaN not allowed"
            raise PlacementError(f"placement strategy {kind.strategies[link].type}: keys: {what}")
        return keys

    def _only_read(self, stamp: tuple[int, ...], link: PlacementStrategy) -> None:
        """Raises PlacementError where a strategy booked, freed, registered or set something."""
        if self.cluster.stamp != stamp:
            what = "changed the cluster, which it may only read"
            raise PlacementError(f"placement strategy {link.type}: {what}")

    def _choose_devices(self, kind: TaskKind, row: int) -> tuple[int, ...]:
        """By the first strategy of the chain that chooses devices, else the fullest that fit."""
        for link, strategy in zip(kind.strategies, self.chain(kind), strict=True):
            if isinstance(strategy, DeviceChooser):
                stamp = self.cluster.stamp
                devices = strategy.devices(kind, self.cluster, row, self.rng)
                self._only_read(stamp, link)
                return devices
        return fullest_devices(kind, self.cluster, row)
