"""An output folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stowplan.placement.errors import SpecError

RESULTS = ("results.parquet", "answer.json", "refused.json")  # what tells a folder of ours


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A scratch folder beside `target` that takes its place when the block ends well.

    What `target` held before is replaced; after an error it is as it was. A folder that holds
    something other than a result of ours is refused.

    Raises:
        SpecError: the folder cannot be written, or is not ours to replace.
    """
    _refuse_foreign(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise SpecError([(f"--out {target}", error.strerror or str(error))]) from error
    try:
        scratch.chmod(0o755)
        yield scratch
        if target.exists():
            shutil.rmtree(target)
        os.replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise SpecError([(f"--out {target}", "is not a folder")])
    ours = any((target / name).is_file() for name in RESULTS)
    if any(target.iterdir()) and not ours:
        what = "holds files that are not a result of stowplan; name another folder"
        raise SpecError([(f"--out {target}", what)])
