"""The fast tests on every Python from 3.11 on that this machine has: `make test-versions`.

Each has an environment of its own under `.venvs/`, with the versions of `requirements.lock`; what
is given goes on to pytest: `make test-versions ARGS="tests/placement -x"`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST, NEWEST = 11, 19  # minor versions that are looked for
FAST = ["-n", "2", "-m", "not long"]
VERSION = "import sys, venv, ensurepip; print('.'.join(map(str, sys.version_info[:3])))"


def candidates() -> Iterator[Path]:
    """Where interpreters may be: on the path, and in pyenv's folder."""
    for minor in range(OLDEST, NEWEST + 1):
        for folder in os.get_exec_path():
            yield Path(folder, f"python3.{minor}")
        yield from Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3.{minor}")


def version_of(python: Path) -> tuple[int, ...] | None:
    """What it says it is; None for a shim of a version that is not there, or without venv."""
    if not os.access(python, os.X_OK):
        return None
    run = subprocess.run([python, "-c", VERSION], capture_output=True, text=True)
    return tuple(map(int, run.stdout.split("."))) if run.returncode == 0 else None


def interpreters() -> dict[str, tuple[tuple[int, ...], Path]]:
    """By minor version, the newest that works."""
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for python in candidates():
        version = version_of(python)
        if version is None or version[:2] < (3, OLDEST):
            continue
        name = f"{version[0]}.{version[1]}"
        if name not in found or version > found[name][0]:
            found[name] = version, python
    return found


def environment(name: str, python: Path) -> Path:
    """The Python of an environment with what is locked; made anew when the lock has changed."""
    folder = ROOT / ".venvs" / name
    own = folder / "bin" / "python"
    wanted = b"".join(
        (ROOT / each).read_bytes() for each in ("requirements.lock", "pyproject.toml")
    )
    stamp, mark = hashlib.sha256(wanted).hexdigest(), folder / ".ready"
    if mark.is_file() and mark.read_text() == stamp:
        return own
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [own, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    alone = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    subprocess.run([*pip, *alone], check=True)
    mark.write_text(stamp)
    return own


def outcome(name: str, python: Path, arguments: list[str]) -> str:
    """What came of the tests on one Python: `passed`, or what failed."""
    try:
        own = environment(name, python)
    except subprocess.CalledProcessError as error:
        return f"its environment could not be made: {error}"
    run = subprocess.run([own, "-m", "pytest", *FAST, *arguments], cwd=ROOT)
    return "passed" if run.returncode == 0 else f"failed: pytest ended with {run.returncode}"


def main() -> int:
    found = interpreters()
    for name, (version, python) in found.items():
        print(f"Python {name}: {'.'.join(map(str, version))}, {python}", flush=True)
    if not found:
        print(f"no Python from 3.{OLDEST} on with venv was found")
        return 1
    outcomes = {}
    for name, (_, python) in found.items():
        print(f"== Python {name}", flush=True)
        outcomes[name] = outcome(name, python, sys.argv[1:])
    print(*(f"Python {name}: {what}" for name, what in outcomes.items()), sep="\n")
    return int(any(what != "passed" for what in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
