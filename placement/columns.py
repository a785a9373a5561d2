"""Growing numpy columns, and string columns coded as integers: what the cluster is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from placement.query import Column

_LEAST = 8


def grown(array: NDArray[Any], size: int, axis: int = 0, fill: int = 0) -> NDArray[Any]:
    """`array` with room for `size` entries along `axis`, doubled when it must grow."""
    have = array.shape[axis]
    if size <= have:
        return array
    shape = list(array.shape)
    shape[axis] = max(size, 2 * have, _LEAST)
    bigger = np.full(shape, fill, array.dtype)
    bigger[tuple(slice(0, n) for n in array.shape)] = array
    return bigger


class StringColumns:
    """String columns by subject; a row that lacks a value has code -1."""

    def __init__(self) -> None:
        self._codes: dict[str, NDArray[np.int32]] = {}
        self._values: dict[str, dict[str, int]] = {}
        self._lists: dict[str, list[str]] = {}

    def __contains__(self, subject: str) -> bool:
        return subject in self._codes

    def set(self, row: int, strings: Mapping[str, str]) -> None:
        """Replace all that is known of `row`."""
        for subject, codes in self._codes.items():
            if row < len(codes) and subject not in strings:
                codes[row] = -1
        for subject, value in strings.items():
            if subject not in self._codes:
                self._codes[subject] = np.full(0, -1, np.int32)
                self._values[subject], self._lists[subject] = {}, []
            self._codes[subject] = grown(self._codes[subject], row + 1, fill=-1)
            known = self._values[subject]
            if value not in known:
                known[value] = len(known)
                self._lists[subject].append(value)
            self._codes[subject][row] = known[value]

    def column(self, subject: str, size: int) -> Column:
        """The column over the first `size` rows; all -1 where nobody has the subject."""
        codes = self._codes.get(subject)
        if codes is None:
            return Column(np.full(size, -1, np.int32), [])
        codes = self._codes[subject] = grown(codes, size, fill=-1)
        return Column(codes[:size], self._lists[subject])
