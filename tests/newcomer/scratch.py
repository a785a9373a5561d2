"""A scratch copy of the project, and changes to it that can be taken back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.house import ROOT

# Compiled kernels come along, so that nothing is compiled again: copies keep the times of files.
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", "out", "build", "*.egg-info", ".hypothesis", ".*_cache", "notebooks"),
)


class Edit(NamedTuple):
    """`text` comes after `after` in a file, or instead of it; without `after` the file is new."""

    path: str
    text: str
    after: str | None = None
    instead: bool = False


class Scratch:
    """The copy. `changed` holds what its files were before."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "stowplan"
        shutil.copytree(ROOT, self.root, symlinks=True, ignore=LEFT_OUT)
        self._before: dict[Path, tuple[bytes, os.stat_result] | None] = {}

    def make(self, *edits: Edit) -> None:
        """Make a change."""
        for edit in edits:
            path = self.root / edit.path
            old = path.read_text(encoding="utf-8") if path.exists() else None
            if path not in self._before:
                kept = None if old is None else (old.encode(), path.stat())
                self._before[path] = kept
            if edit.after is None:
                assert old is None, f"{edit.path} is there already"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(edit.text, encoding="utf-8")
                continue
            assert old is not None, f"there is no {edit.path}"
            assert old.count(edit.after) == 1, f"{edit.path}: {edit.after!r} is not there once"
            text = edit.text if edit.instead else edit.after + edit.text
            path.write_text(old.replace(edit.after, text), encoding="utf-8")

    def take_back(self) -> None:
        """All changes, times of files included: compiled code of other files stays good."""
        for path, kept in self._before.items():
            if kept is None:
                path.unlink()
            else:
                path.write_bytes(kept[0])
                os.utime(path, ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))
        for path, kept in self._before.items():
            left = {each.name for each in path.parent.glob("*")} - {"__pycache__"}
            if kept is None and path.parent.exists() and not left:
                shutil.rmtree(path.parent)
        self._before = {}

    def run(self, *arguments: str, cwd: Path | None = None) -> str:
        """What Python prints that imports stowplan from the copy; a failure is the test's."""
        paths = f"{self.root / '.ci' / 'links'}{os.pathsep}{self.root}"
        environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout


def files_for(change: str) -> set[str]:
    """The files that CONTRIBUTING names for a change: in its row, and in the section it leads to.

    What a rule of the house asks for besides (a row in a table of the docs, a room's line in the
    drawing) is named there, too.
    """
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| {re.escape(change)} \|(.*)$", text, re.M)
    anchors = re.findall(r"\(#([a-z-]+)\)", row)
    sections = {
        re.sub(r"[^a-z -]", "", part.split("\n", 1)[0].lower()).replace(" ", "-"): part
        for part in text.split("\n## ")[1:]
    }
    parts = [row, *(sections[anchor] for anchor in anchors)]
    if "new room" in " ".join(parts):
        parts.append(next(line for line in text.split("\n- ") if "A new room is a line" in line))
    return {name for part in parts for name in re.findall(r"`([\w./]+(?:\.\w+|/))[:`]", part)}


def is_named(path: str, names: set[str]) -> bool:
    """Whether one of the names is the file, its pattern (NAME for any name) or its folder."""
    for name in names:
        if name.endswith("/") and path.startswith(name):
            return True
        if re.fullmatch(re.escape(name).replace("NAME", r"\w+"), path):
            return True
    return False
