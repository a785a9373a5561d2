"""Growing numpy columns, and string columns coded as integers: what the cluster is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.query import CodedColumn

_LEAST = 8
MEMO_MAX = 16_384
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view of `array` to hand out: what is written to it is refused, and nothing is copied."""
    view = array.view()
    view.flags.writeable = False
    return view


class Memo(dict[_Key, _Value]):
    """Values that are computed once per key. It forgets all when it is full, to bound memory.

    Kinds may come by the hundred thousand, with a few tasks each; only the latest matter.
    """

    def __setitem__(self, key: _Key, value: _Value) -> None:
        if len(self) >= MEMO_MAX and key not in self:
            self.clear()
        super().__setitem__(key, value)

    def __deepcopy__(self, memo: object) -> Memo[_Key, _Value]:
        return Memo()  # a copy computes its own, of its own world


def grown(
    array: NDArray[Any], size: int, axis: int = 0, fill: int = 0, order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """`array` with room for `size` entries along `axis`, doubled when it must grow."""
    have = array.shape[axis]
    if size <= have:
        return array
    shape = list(array.shape)
    shape[axis] = max(size, 2 * have, _LEAST)
    bigger = np.full(shape, fill, array.dtype, order)
    bigger[tuple(slice(0, n) for n in array.shape)] = array
    return bigger


class StringColumns:
    """String columns by subject; a row that lacks a value has code -1."""

    def __init__(self) -> None:
        self._codes = np.full((0, 0), -1, np.int32)  # (subjects, rows), or more of both
        self._numbers: dict[str, int] = {}
        self._values: list[dict[str, int]] = []
        self._lists: list[list[str]] = []
        self._handed: list[tuple[str, ...]] = []  # the same, as far as it was asked for

    def __contains__(self, subject: str) -> bool:
        return subject in self._numbers

    def set(self, row: int, strings: Mapping[str, str]) -> None:
        """Replace all that is known of `row`."""
        for subject in strings:
            if subject not in self._numbers:
                self._numbers[subject] = len(self._numbers)
                self._values.append({})
                self._lists.append([])
                self._handed.append(())
        self._codes = grown(self._codes, len(self._numbers), fill=-1)
        self._codes = grown(self._codes, row + 1, axis=1, fill=-1)
        codes = [-1] * len(self._numbers)
        for subject, value in strings.items():
            number = self._numbers[subject]
            known = self._values[number]
            code = known.get(value)
            if code is None:
                code = known[value] = len(known)
                self._lists[number].append(value)
            codes[number] = code
        self._codes[: len(codes), row] = codes

    def of(self, row: int) -> dict[str, str]:
        """All that is known of `row`, by subject."""
        codes = self._codes[:, row].tolist() if row < self._codes.shape[1] else []
        named = zip(self._numbers, codes, self._lists, strict=False)
        return {subject: values[code] for subject, code, values in named if code >= 0}

    def column(self, subject: str, size: int) -> CodedColumn:
        """The column over the first `size` rows; all -1 where no row has the subject."""
        number = self._numbers.get(subject)
        if number is None:
            return CodedColumn(np.full(size, -1, np.int32), ())
        self._codes = grown(self._codes, size, axis=1, fill=-1)
        values = self._handed[number]
        if len(values) != len(self._lists[number]):
            values = self._handed[number] = tuple(self._lists[number])
        return CodedColumn(read_only(self._codes[number, :size]), values)


class GroupCounts:
    """Tasks per group and row. Only groups that have tasks take room; their slots are used again.

    `counts` (slots, rows or more) int32 and `totals` of its rows; a free slot is all zero. Of the
    attributes that are tracked, `codes` (A, rows or more) int32 holds the value of each row, 0
    where it has none, and `by_value` (A, slots, values or more) int64 the tasks of a group on rows
    with each value: what `spread` asks for would else be a sum over all rows.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((0, 0), np.int32)
        self.totals: list[int] = []
        self.codes = np.zeros((0, 0), np.int32)
        self.by_value = np.zeros((0, 0, 0), np.int64)
        self.replaced = 0  # how often any of these arrays was put in the place of another
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._kept: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.counts)

    def grow(self, rows: int) -> None:
        """Make room for so many rows."""
        self.replaced += rows > self.counts.shape[1]
        self.counts = grown(self.counts, rows, axis=1)
        self.codes = grown(self.codes, rows, axis=1)

    def track(self, codes: NDArray[np.int32], values: int) -> int:
        """Track one attribute more; `codes` (rows,) are below `values`. Returns its number."""
        attribute, rows = len(self.codes), len(codes)
        self.replaced += 1
        self.codes = _exactly(self.codes, 0, attribute + 1)
        self.codes = grown(self.codes, max(rows, self.counts.shape[1]), axis=1)
        self.codes[attribute, :rows] = codes
        self.by_value = _exactly(self.by_value, 0, attribute + 1)
        self.by_value = grown(self.by_value, len(self.counts), axis=1)
        self.by_value = grown(self.by_value, values, axis=2)
        for counts, by_value in zip(self.counts, self.by_value[attribute], strict=False):
            np.add.at(by_value, codes, counts[:rows])
        return attribute

    def recode(self, attribute: int, row: int, code: int) -> None:
        """A row has another value of a tracked attribute."""
        self.replaced += 1
        self.by_value = grown(self.by_value, code + 1, axis=2)
        old, there = self.codes[attribute, row], self.counts[:, row]
        self.by_value[attribute, : len(there), old] -= there
        self.by_value[attribute, : len(there), code] += there
        self.codes[attribute, row] = code

    def of(self, group: str, rows: int) -> NDArray[np.int32]:
        """(rows,) tasks of the group on each."""
        slot = self._slots.get(group)
        return np.zeros(rows, np.int32) if slot is None else self.counts[slot, :rows]

    def slot(self, group: str) -> int:
        """The slot of a group, a free one if it has none; `settle` must follow."""
        slot = self._slots.get(group)
        if slot is None:
            slot = self._free.pop() if self._free else len(self.totals)
            if slot == len(self.totals):
                self.replaced += 1
                self.totals.append(0)
                self.counts = grown(self.counts, slot + 1, axis=0)
                self.by_value = grown(self.by_value, len(self.counts), axis=1)
            self._slots[group] = slot
        return slot

    def add(self, group: str, row: int, change: int) -> None:
        """Count `change` tasks more on a row."""
        slot = self.slot(group)  # first: it may replace the arrays
        self.counts[slot, row] += change
        for attribute in range(len(self.codes)):
            self.by_value[attribute, slot, self.codes[attribute, row]] += change
        self.settle(group, change)

    def settle(self, group: str, change: int) -> None:
        """Take note that `counts` of a group, which has a slot, have changed by so many in all."""
        slot = self._slots[group]
        self.totals[slot] += change
        if self.totals[slot] == 0 and group not in self._kept:
            del self._slots[group]
            self._free.append(slot)

    def keep(self, group: str) -> int:
        """The slot of a group, which it has from now on, with or without tasks, until `let_go`."""
        self._kept[group] += 1
        return self.slot(group)

    def let_go(self, group: str) -> None:
        """Undo one `keep`."""
        self._kept[group] -= 1
        if not self._kept[group]:
            del self._kept[group]
            self.settle(group, 0)


def _exactly(array: NDArray[Any], axis: int, size: int) -> NDArray[Any]:
    """`array` with zeros up to `size` along `axis`."""
    more = [(0, 0)] * array.ndim
    more[axis] = (0, size - array.shape[axis])
    return np.pad(array, more)


def names(column: CodedColumn, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
    """The values of a string column at `rows`; '' where an instance lacks it."""
    return [column.values[code] if code >= 0 else "" for code in column.codes[list(rows)]]
