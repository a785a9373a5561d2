"""Kernels are given addresses. Nothing says so to Python, so what lies there must have a name.

An address taken from a value that no name holds is that of freed memory once the line has run: the
kernel then reads whatever came after.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_tidy import ROOT

ADDRESSES = ("address", "ctypes", "__array_interface__", "data_as")


def unheld(tree: ast.AST) -> Iterator[str]:
    """Addresses of what a call, an operation or an index has just made."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ADDRESSES:
            held = node.value
            while isinstance(held, ast.Attribute):
                held = held.value
            if not isinstance(held, ast.Name):
                yield f"line {node.lineno}: .{node.attr} of {ast.unparse(node.value)}"


def kernels() -> list[Path]:
    return sorted((ROOT / "placement" / "engine").rglob("*.py"))


def test_addresses_are_read_of_what_a_name_holds():
    assert len(kernels()) > 10
    found = [
        f"{file.name} {each}" for file in kernels() for each in unheld(ast.parse(file.read_text()))
    ]
    assert not found, "hold it in a name as long as a kernel reads there\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("build(World(state, parts).address, rows)", True),
        ("at = self._world(plan).address", True),
        ("at = np.zeros(3).ctypes.data", True),
        ("at = rows[1:].ctypes.data", True),
        ("at = (a + b).__array_interface__", True),
        ("world = World(state); build(world.address, rows)", False),
        ("at = self._top.ctypes.data", False),
    ],
)
def test_the_rule_finds_what_breaks_it(code, wrong):
    assert bool(list(unheld(ast.parse(code)))) is wrong
