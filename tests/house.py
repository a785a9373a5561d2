"""The house as its imports draw it: files, rooms, arrows between them, and rings.

Everything counts: imports inside functions, under TYPE_CHECKING, and strings that name one of our
modules, since a registry imports by them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("placement", "sim", "realdriver", "experiments")


class File(NamedTuple):
    """A parsed source file; `package` is its top folder, `tests` included."""

    path: str
    package: str
    lines: list[str]
    tree: ast.Module


def parsed(name: str, text: str) -> File:
    """A file of that path and text."""
    return File(name, name.split("/")[0], text.splitlines(), ast.parse(text, name))


@cache
def sources() -> list[File]:
    """Every Python file of the project."""
    files = []
    for folder in (*PACKAGES, "notebooks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            files.append(parsed(name, path.read_text(encoding="utf-8")))
    return files


def module(path: str) -> str:
    """The name that a file of the four packages is imported by, without `stowplan.`.

    Files of `experiments/face` are those of the package itself.
    """
    path = path.removeprefix("experiments/face/")
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(file: File) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of everything that a file imports, wherever it does.

    `from a import b` gives `a.b`: whether that is a module or a name in one is not told here.
    """
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folders = ["stowplan", *file.path.removesuffix(".py").split("/")[: -node.level]]
                base = ".".join([*folders, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def named(file: File) -> Iterator[tuple[int, str]]:
    """(line, text) of the strings in a file that could be the name of a module."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            yield node.lineno, node.value


def arrows(files: list[File]) -> dict[str, dict[str, int]]:
    """By path: the paths of ours that the file needs, and the line where it says so."""
    paths = {module(file.path): file.path for file in files if file.package in PACKAGES}
    found: dict[str, dict[str, int]] = {}
    for file in files:
        if file.package not in PACKAGES:
            continue
        mine = found[file.path] = {}
        for line, name in [*imports(file), *named(file)]:
            name = name.removeprefix("stowplan.") if name.startswith("stowplan.") else ""
            while name and name not in paths:
                name = name.rpartition(".")[0]
            if name and paths[name] != file.path:
                mine.setdefault(paths[name], line)
    return found


def room(path: str) -> str:
    """The folder below a package that a file lies in, or the file where it lies in none."""
    parts = path.split("/")
    return "/".join(parts[:2]).removesuffix(".py")


def rings(graph: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """The sets of nodes that reach each other (Tarjan, 1972), each in the order of the names."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            ring = [stack.pop()]
            while ring[-1] != node:
                ring.append(stack.pop())
            if len(ring) > 1:
                found.append(sorted(ring))

    for node in graph:
        if node not in index:
            visit(node)
    return found
