"""Debian programs that tests need: installed where they are missing and we are root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest


def lacking(programs: Iterable[str], packages: Iterable[str]) -> str | None:
    """Why some of `programs` are not here, though `packages` have them; None where all are."""
    if not _missing(programs):
        return None
    if os.geteuid() != 0:
        return f"no {', '.join(_missing(programs))}, and only root may install them"
    with Path(tempfile.gettempdir(), "stowplan-apt.lock").open("w") as lock, suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes, apt in one
        if _missing(programs):
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
            install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
            subprocess.run(install, capture_output=True)
    missing = _missing(programs)
    return f"no {', '.join(missing)}, and apt-get could not install them" if missing else None


def need(programs: Iterable[str], packages: Iterable[str]) -> None:
    """Skip the test where these programs cannot be had."""
    reason = lacking(programs, packages)
    if reason is not None:
        pytest.skip(f"NOT TESTED: {reason}")


def _missing(programs: Iterable[str]) -> list[str]:
    return [name for name in programs if shutil.which(name) is None]
