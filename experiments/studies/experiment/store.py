"""The folder of an experiment: a Parquet file a run, under the name of what the run depends on.

```
DIR/experiment.json           what was asked, which runs answer it
DIR/runs/NAME.parquet         a row: seed, metrics
DIR/tables/NAME/TABLE.parquet what `keep` asked for
```

A run's file appears whole or not at all, its tables before it. One process at a time writes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stowplan.placement.errors import SpecError, check_format

FORMAT = 1
FORMATS_READ = range(1, FORMAT + 1)
EXPERIMENT = "experiment.json"
Row = Mapping[str, float | str | None]


class Store:
    """The runs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runs, self._tables = folder / "runs", folder / "tables"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The folder, made where it is not there, for this process alone.

        Raises:
            SpecError: it holds something else, another process writes, or it cannot be written.
        """
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise SpecError([(str(self.folder), "is not a folder")])
            there = [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
            if there and EXPERIMENT not in there and not _only_ours(there):
                what = "holds files that are no experiment of stowplan; name another folder"
                raise SpecError([(str(self.folder), what)])
            self._runs.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    what = "another experiment writes into it now; wait, or name another folder"
                    raise SpecError([(str(self.folder), what)]) from None
                for path in self._runs.glob(".*"):  # what a killed one left
                    path.unlink(missing_ok=True)
                yield
        except OSError as error:
            raise SpecError([(str(self.folder), error.strerror or str(error))]) from error

    def read(self, name: str, keep: tuple[str, ...] = ()) -> Row | None:
        """The row of a run; None where it, or a table to be kept, is not there or is broken."""
        path = self._runs / f"{name}.parquet"
        try:
            (row,) = pq.read_table(path, partitioning=None).to_pylist()
        except (OSError, ValueError, pa.ArrowException):
            return None
        there = all((self._tables / name / f"{table}.parquet").is_file() for table in keep)
        return dict(row) if there else None

    def table(self, name: str, table: str) -> pd.DataFrame:
        """A table that was kept of a run. Raises SpecError where it was not."""
        path = self._tables / name / f"{table}.parquet"
        if not path.is_file():
            raise SpecError([(str(path), f"{table} was not kept: say keep = [{table!r}]")])
        return pd.read_parquet(path)

    def write(self, name: str, row: Row, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep a finished run."""
        for table, frame in tables.items():
            path = self._tables / name / f"{table}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            _atomic(path, pa.Table.from_pandas(frame, preserve_index=False))
        _atomic(self._runs / f"{name}.parquet", _row_table(row))

    def describe(self, content: Mapping[str, Any]) -> None:
        """Keep what was asked, and which runs answer it."""
        text = json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False) + "\n"
        path = self.folder / EXPERIMENT
        scratch = path.with_name(f".{EXPERIMENT}")
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)

    def description(self) -> dict[str, Any]:
        """What `describe` kept. Raises SpecError: no experiment, or of another version."""
        path = self.folder / EXPERIMENT
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            what = "no experiment; `stowplan experiment run --out` writes one"
            raise SpecError([(str(self.folder), what)]) from error
        except ValueError as error:
            raise SpecError([(str(path), f"cannot be read: {error}")]) from error
        if not isinstance(found, dict):
            raise SpecError([(str(path), "cannot be read: no table")])
        check_format(str(path), "experiment", found.pop("format", None), FORMATS_READ)
        return found


def _only_ours(names: list[str]) -> bool:
    """Whether a first run into the folder was cut before it described itself."""
    return {*names} <= {"runs", "tables", ".lock", f".{EXPERIMENT}"}


def _row_table(row: Row) -> pa.Table:
    kinds = {int: pa.int64(), str: pa.string()}
    names = list(row)
    columns = [pa.array([value], kinds.get(type(value), pa.float64())) for value in row.values()]
    return pa.table(columns, names=names)


def _atomic(path: Path, table: pa.Table) -> None:
    scratch = path.with_name(f".{path.name}")
    pq.write_table(table, scratch)
    os.replace(scratch, path)
