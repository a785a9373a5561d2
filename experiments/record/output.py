"""An output folder that appears whole or not at all, and that one run at a time writes.

Beside the folder lie, while it is written, a hidden scratch folder and a hidden lock. The system
lifts the lock when its holder dies, however that happens; the next run into the folder removes what
a killed one left.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from stowplan.placement.errors import SpecError

RESULTS = (
    "results.parquet",
    "answer.json",
    "refused.json",
    "snapshot.json",
)  # what tells a folder of ours
_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: OSError) -> bool:
    """Whether a disk, or a user's part of it, has no room left."""
    return error.errno in _FULL


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A scratch folder beside `target` that takes its place when the block ends well.

    What `target` held before is replaced; after an error it is as it was. A folder that holds
    something other than a result of ours is refused, and so is one that another run writes now.
    Where the disk is full, what was written is kept, under a name that the error tells.

    Raises:
        SpecError: the folder cannot be written, is not ours to replace, or the disk is full.
    """
    with ExitStack() as stack:
        try:
            _refuse_foreign(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(target))
            _remove_left_over(target)
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        except OSError as error:
            raise SpecError([(f"--out {target}", error.strerror or str(error))]) from error
        yield from _filled(target, scratch)


def _filled(target: Path, scratch: Path) -> Iterator[Path]:
    try:
        scratch.chmod(0o755)
        yield scratch
        if target.exists():
            shutil.rmtree(target)
        os.replace(scratch, target)
    except (OSError, SpecError) as error:
        cause = error.__cause__ if isinstance(error, SpecError) else error
        if not isinstance(cause, OSError) or not is_full(cause):
            raise
        said = error.problems if isinstance(error, SpecError) else ()
        raise SpecError([*said, (f"--out {target}", _kept(target, scratch))]) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _kept(target: Path, scratch: Path) -> str:
    """Give what was written on a full disk a name of its own; says where and what it is."""
    name, number = f"{target.name}.incomplete", 1
    while (kept := target.with_name(name)).exists():
        number += 1
        name = f"{target.name}.incomplete-{number}"
    files = sorted(path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        return "no space left on the disk, and nothing was written yet"
    os.replace(scratch, kept)
    return f"no space left on the disk; what was written is kept in {kept}: {len(files)} files"


def elsewhere(name: str, besides: Path) -> Path:
    """A folder for what has no room beside `besides`: in the system's folder for such things.

    Raises:
        OSError: there is no room either.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"stowplan-{name}-"))
    folder.chmod(0o755)
    print(f"stowplan: no space left at {besides}", file=sys.stderr)
    return folder


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Only one process at a time is in here for a folder."""
    lock = target.parent / f".{target.name}.lock"
    while True:
        number = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            what = "another run writes into it now; wait for it, or name another folder"
            raise SpecError([(f"--out {target}", what)]) from None
        if lock.exists() and os.fstat(number).st_ino == lock.stat().st_ino:
            break
        os.close(number)  # its holder removed it before we had it
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(number)


def _remove_left_over(target: Path) -> None:
    """What runs into this folder left when they were killed; the lock says that none goes on."""
    ours = re.compile(rf"\.{re.escape(target.name)}-[a-z0-9_]{{8}}")
    for path in target.parent.glob(f".{target.name}-*"):
        if path.is_dir() and ours.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise SpecError([(f"--out {target}", "is not a folder")])
    ours = any((target / name).is_file() for name in RESULTS)
    if any(target.iterdir()) and not ours:
        what = "holds files that are not a result of stowplan; name another folder"
        raise SpecError([(f"--out {target}", what)])
