"""Reads the OpenB files: nodes, pods and arrival orders; says file and line of what is wrong."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stowplan.experiments.files.text import WrappedError, opened
from stowplan.placement.errors import SpecError

IntArray = NDArray[np.int64]
PROBLEMS_MAX = 20
DEVICE_MILLI = 1000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: milli-CPU, MiB, devices of 1000 thousandths each, and what kind they are."""

    name: str
    cpu: int
    memory: int
    gpus: int
    model: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: `milli` thousandths of each of `gpus` devices; `models` it may use, () for any.

    `spec` is `models` as the file has it: pods that differ only there are different typical pods.
    """

    name: str
    cpu: int
    memory: int
    gpus: int
    milli: int
    spec: str = ""

    @property
    def models(self) -> tuple[str, ...]:
        """The models allowed, each once: an entry may be repeated in the file."""
        return tuple(dict.fromkeys(name for name in self.spec.split("|") if name))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """One run's luck: `order` are pods by position in the sorted list, `rank` ties by node."""

    order: IntArray
    rank: IntArray


def read_nodes(path: Path) -> list[Node]:
    """The nodes sorted by name (byte order). Raises SpecError naming file and line."""

    def node(row: dict[str, str]) -> Node:
        cpu, memory, gpus = (_amount(row, name) for name in ("cpu_milli", "memory_mib", "gpu"))
        return Node(row["sn"], cpu, memory, gpus, row["model"])

    nodes = _read(path, ("sn", "cpu_milli", "memory_mib", "gpu", "model"), node)
    return sorted(nodes, key=lambda node: node.name.encode())


def read_pods(path: Path) -> list[Pod]:
    """The pods sorted by name (byte order). Raises SpecError naming file and line.

    Columns other than these and `gpu_spec`, which may be missing, are not read.
    """
    columns = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")

    def pod(row: dict[str, str]) -> Pod:
        cpu, memory, gpus, milli = (_amount(row, name) for name in columns[1:])
        if gpus and not 1 <= milli <= DEVICE_MILLI:
            raise ValueError(f"gpu_milli: expected 1 to {DEVICE_MILLI}, found {milli}")
        spec = row.get("gpu_spec") or ""
        return Pod(row["name"], cpu, memory, gpus, milli if gpus else 0, spec)

    return sorted(_read(path, columns, pod), key=lambda pod: pod.name.encode())


def read_arrivals(path: Path, trace: str, seed: int, pods: int, nodes: int) -> Arrivals:
    """One run of `trace`: which of `pods` arrive, and how `nodes` rank.

    Raises:
        SpecError: the file is not there or no npz, has no such run, or does not fit pods and nodes.
    """
    arrays = {}
    try:
        with np.load(path) as file:
            for name in ("order", "rank"):
                key = f"{trace}/{seed}/{name}"
                if key not in file:
                    raise SpecError([(str(path), f"no array {key!r}; {_runs(file.files)}")])
                arrays[name] = np.asarray(file[key])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        raise SpecError([(str(path), f"not an npz file: {error}")]) from error
    order, rank = arrays["order"], arrays["rank"]
    where = f"{path}: {trace}/{seed}"
    whole = all(a.ndim == 1 and np.issubdtype(a.dtype, np.integer) for a in (order, rank))
    if not whole:
        raise SpecError([(where, "order and rank must be lists of whole numbers")])
    if len(order) and not (order.min() >= 0 and order.max() < pods):
        raise SpecError([(f"{where}/order", f"must lie between 0 and {pods - 1}, the pods")])
    if not np.array_equal(np.sort(rank), np.arange(nodes)):
        raise SpecError([(f"{where}/rank", f"must hold each of 0 to {nodes - 1} once, the nodes")])
    return Arrivals(order.astype(np.int64), rank.astype(np.int64))


def _runs(names: Sequence[str]) -> str:
    traces = sorted({name.split("/")[0] for name in names})
    return f"traces: {', '.join(traces) or 'none'}"


def _amount(row: dict[str, str], name: str) -> int:
    text = row[name] or ""
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{name}: expected a whole number of at least 0, found {text!r}")
    return int(text)


def _read(path: Path, columns: Sequence[str], make: Callable[[dict[str, str]], _T]) -> list[_T]:
    problems: list[tuple[str, str]] = []
    made, names = [], set()
    for line, row in _rows(path, columns):
        place = f"{path}:{line}"
        try:
            # csv keeps what is too much under None, and None for what is missing.
            if None in row or None in [row[name] for name in columns]:
                raise ValueError("not as many values as the first line has names")
            if not row[columns[0]] or row[columns[0]] in names:
                raise ValueError(f"{columns[0]}: empty or used before: {row[columns[0]]!r}")
            names.add(row[columns[0]])
            made.append(make(row))
        except ValueError as error:
            problems.append((place, str(error)))
    if not made and not problems:
        problems.append((str(path), "holds no rows"))
    if problems:
        raise SpecError(problems[:PROBLEMS_MAX])
    return made


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file with at least these columns."""
    try:
        with opened(path) as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise SpecError([(f"{path}:1", f"no column {', '.join(missing)}")])
            for row in reader:
                yield reader.line_num, row
    except (OSError, WrappedError, UnicodeError, csv.Error) as error:
        raise SpecError([(str(path), str(error))]) from error
