"""Small faults for a source file: where one could be planted, and the text with it planted.

A fault is one change of one expression or statement: a comparison that takes in its border or no
longer does, an operator for its opposite, a number that is one more, a ceiling that became a floor,
a statement that is missing. Text that decides nothing (annotations, asserts, what an error says) is
left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARES = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Fault:
    """One change of one file: lines and columns as the syntax tree has them (columns in bytes)."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    before: str
    after: str

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.path}:{self.line}: {before}  ->  {after}"

    def planted(self, text: str) -> str:
        """The file's text with the fault in it."""
        lines = text.encode().splitlines(keepends=True)
        head = b"".join(lines[: self.line - 1]) + lines[self.line - 1][: self.column]
        tail = lines[self.end_line - 1][self.end_column :] + b"".join(lines[self.end_line :])
        changed = (head + self.after.encode() + tail).decode()
        ast.parse(changed, self.path)
        return changed


def faults_of(path: str, text: str) -> list[Fault]:
    """Every fault that can be planted in a file, in the order of its text."""
    found = []
    for node in _deciding(ast.parse(text, path)):
        for changed in _changes(node):
            # Of a statement with a body only its condition is another.
            at = node.test if isinstance(node, ast.If | ast.IfExp) else node
            after = "pass" if changed is None else _written(at, changed)
            before = ast.get_source_segment(text, at)
            assert before is not None
            place = (at.lineno, at.col_offset, at.end_lineno, at.end_col_offset)
            found.append(Fault(path, *place, before, after))
    return sorted(found, key=lambda fault: (fault.line, fault.column, fault.after))


def _written(node: ast.AST, changed: ast.AST) -> str:
    """In brackets, since what stands around it may bind more strongly."""
    text = ast.unparse(changed)
    plain = isinstance(node, ast.stmt | ast.Constant)
    return text if plain else f"({text})"


def _deciding(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree that decide something, all that stands below them included."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _says_only(child):
                continue
            if hasattr(child, "lineno"):
                yield child
            yield from _deciding(child)


def _says_only(node: ast.AST) -> bool:
    """Asserts, errors, texts with holes, docstrings, imports, names for types."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    quiet = ast.Assert | ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom
    return isinstance(node, quiet) or (isinstance(node, ast.Subscript) and _is_type(node))


def _is_type(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in (
        *("dict", "list", "set", "tuple", "Callable", "Literal", "defaultdict", "Counter", "deque"),
    )


def _changes(node: ast.AST) -> Iterator[ast.AST | None]:
    """What may stand in the place of a node; None: nothing, the statement is left out."""
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[at] = COMPARES[type(operator)]()
                yield changed
        case ast.UnaryOp(ast.USub(), ast.BinOp(ast.UnaryOp(ast.USub(), whole), ast.FloorDiv(), by)):
            yield ast.BinOp(whole, ast.FloorDiv(), by)  # rounded down instead of up
        case ast.BinOp() if type(node.op) in OPERATORS and not _of_text(node):
            changed = copy.deepcopy(node)
            changed.op = OPERATORS[type(node.op)]()
            yield changed
        case ast.BoolOp():
            changed = copy.deepcopy(node)
            changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test):
            if isinstance(test, ast.Name | ast.Attribute | ast.Call):
                yield ast.UnaryOp(ast.Not(), test)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Call(ast.Name(name), args, keywords) if name in CALLS:
            yield ast.Call(ast.Name(CALLS[name]), args, keywords)
        case ast.Expr(ast.Call()) | ast.Delete() | ast.Continue():
            yield None
        case ast.AugAssign() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield None


def _of_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr) for side in sides) or any(
        isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides
    )
