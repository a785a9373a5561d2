"""Host ports that are in use or reserved, a bit each: a column of the cluster."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stowplan.placement.cluster.arrays import Memo, grown
from stowplan.placement.model import TaskKind

Words = NDArray[np.uint64]


class HostPorts:
    """Which host ports each instance has taken: what a cluster keeps, and no strategy is handed.

    `used` by tasks and `reserved` at registration, (rows or more, words) uint64; a port that was
    never seen has no bit yet, and a new one may widen both, so look at them anew after `mask`.
    """

    def __init__(self) -> None:
        self.used = np.zeros((0, 1), np.uint64)
        self.reserved = np.zeros((0, 1), np.uint64)
        self._bits: dict[tuple[str, int], int] = {}
        self._masks: Memo[TaskKind, Words] = Memo()

    @property
    def words(self) -> int:
        """The width of both columns."""
        return self.used.shape[1]

    def grow(self, rows: int) -> None:
        """Make room for so many rows."""
        self.used, self.reserved = grown(self.used, rows), grown(self.reserved, rows)

    def reserve(self, row: int, ports: Iterable[tuple[str, int]]) -> None:
        """What an instance reserves at registration, (protocol, port) each."""
        mask = self._mask([self._bit(*port) for port in ports])  # first: it may widen
        self.reserved[row] = mask

    def mask(self, kind: TaskKind) -> Words:
        """(words,) the bits of the host ports that `kind` wants."""
        mask = self._masks.get(kind)
        if mask is None or len(mask) != self.words:
            bits = [self._bit("tcp", port) for port in kind.tcp_ports]
            bits += [self._bit("udp", port) for port in kind.udp_ports]
            mask = self._mask(bits)
            mask.flags.writeable = False
            self._masks[kind] = mask
        return mask

    def free(self, kind: TaskKind, rows: int) -> NDArray[np.bool_]:
        """(rows,) none of the ports that `kind` wants is in use or reserved."""
        mask = self.mask(kind)
        taken = self.used[:rows] | self.reserved[:rows]
        free: NDArray[np.bool_] = np.logical_not((taken & mask).any(axis=1))
        return free

    def one_free(self, protocol: str, port: int, rows: int) -> NDArray[np.bool_]:
        """(rows,) a single port is neither in use nor reserved."""
        mask = self._mask([self._bit(protocol, port)])
        taken = self.used[:rows] | self.reserved[:rows]
        free: NDArray[np.bool_] = np.logical_not((taken & mask).any(axis=1))
        return free

    def take(self, kind: TaskKind, row: int) -> None:
        """A task of `kind` uses its ports from now on."""
        if kind.tcp_ports or kind.udp_ports:
            mask = self.mask(kind)  # first: it may widen
            self.used[row] |= mask

    def give_back(self, kind: TaskKind, row: int) -> None:
        """Undo one `take`."""
        if kind.tcp_ports or kind.udp_ports:
            self.used[row] &= ~self.mask(kind)

    def _bit(self, protocol: str, port: int) -> int:
        bit = self._bits.setdefault((protocol, port), len(self._bits))
        if bit >= 64 * self.words:
            self.used = np.pad(self.used, ((0, 0), (0, 1)))
            self.reserved = np.pad(self.reserved, ((0, 0), (0, 1)))
        return bit

    def _mask(self, bits: Iterable[int]) -> Words:
        mask = np.zeros(self.words, np.uint64)
        for bit in bits:
            mask[bit // 64] |= np.uint64(1 << bit % 64)
        return mask
