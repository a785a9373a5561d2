"""Builds the wheel without a network and checks what is in it: `make wheel`.

It is built from a copy of what git knows, as building leaves folders behind that would get into the
next wheel.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "placement": "stowplan/placement",
    "sim": "stowplan/sim",
    "realdriver": "stowplan/realdriver",
    "experiments": "stowplan/experiments",
}
FACE = "experiments/face/"
NOT_IN_IT = (".ipynb", ".md")  # of the packages' own files, what need not be in a wheel


def sources() -> list[str]:
    """What git knows, or would know."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in found.stdout.splitlines() if (ROOT / name).is_file()]


def built(names: Iterable[str], out: Path) -> Path:
    """The wheel of these files."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        for name in names:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
        alone = ["--no-deps", "--no-build-isolation", "--no-index", "-w", str(out)]
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run([*pip, *alone, "."], cwd=source, check=True)
    (wheel,) = out.glob("*.whl")
    return wheel


def expected(names: Iterable[str]) -> set[str]:
    """By their names in the wheel, the files of the packages: code, scenarios, data, templates."""
    found = set()
    for name in names:
        top, _, rest = name.partition("/")
        if name.startswith(FACE):
            found.add("stowplan/" + name.removeprefix(FACE))
        elif top in PACKAGES and not name.endswith(NOT_IN_IT):
            found.add(f"{PACKAGES[top]}/{rest}")
    return found


def problems(wheel: Path, names: Iterable[str]) -> list[str]:
    """What the wheel lacks, and what it should not have."""
    held = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    ours = {name for name in held if ".dist-info/" not in name}
    found = [f"lacks {name}" for name in sorted(expected(names) - held)]
    for name in sorted(ours):
        if not name.startswith("stowplan/") or "/tests/" in name or "__pycache__" in name:
            found.append(f"holds {name}")
    for part in ("scenarios/small.toml", "data/instance_types/types.csv.gz"):
        if f"stowplan/experiments/{part}" not in held:
            found.append(f"lacks stowplan/experiments/{part}")
    if not any(name.startswith("stowplan/experiments/templates/") for name in held):
        found.append("lacks templates")
    if "stowplan/py.typed" not in held:
        found.append("lacks stowplan/py.typed")
    return found


def main() -> int:
    names = sources()
    wheel = built(names, ROOT / "out" / "wheel")
    found = problems(wheel, names)
    print(*(f"{wheel.name} {what}" for what in found), sep="\n", end="\n" if found else "")
    if not found:
        files = len(zipfile.ZipFile(wheel).namelist())
        print(f"{wheel}: {files} files, {wheel.stat().st_size / 1e6:.1f} MB")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
