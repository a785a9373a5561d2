"""What the style asks of every file, checked on the syntax tree: floors, sizes, purity, docstrings.

Each rule returns its violations as `file:line what`; a test shows them all at once.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
# What each floor may import of ours; within a floor everything.
FLOORS = {
    "placement": set(),
    "sim": {"placement"},
    "realdriver": {"placement"},
    "experiments": {"placement", "sim", "realdriver"},
    "notebooks": {"experiments"},
}
FUNCTION_LINES_MAX, FILE_LINES_MAX, LINE_CHARS_MAX = 50, 400, 100
IMPURE_MODULES = {
    *("time", "random", "os", "simpy", "boto3", "docker", "secrets", "uuid"),
    *("threading", "asyncio", "socket", "subprocess", "multiprocessing"),
}
IMPURE_CALLS = {
    *("open", "input", "print", "exec", "eval"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("np.random.rand", "np.random.randn", "np.random.randint", "np.random.random"),
    *("np.random.seed", "np.random.choice", "np.random.shuffle", "np.random.permutation"),
}


class File(NamedTuple):
    """A parsed source file; `package` is its top folder, `tests` included."""

    path: str
    package: str
    lines: list[str]
    tree: ast.Module


@cache
def sources():
    """Every Python file of the project."""
    files = []
    for folder in (*FLOORS, "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            files.append(parsed(name, path.read_text(encoding="utf-8")))
    return files


def parsed(name, text):
    return File(name, name.split("/")[0], text.splitlines(), ast.parse(text, name))


# --- rules ----------------------------------------------------------------------------------------


def imports(file):
    """(line, absolute name) of everything that a file imports, wherever it does."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                folders = file.path.removesuffix(".py").split("/")[: -node.level]
                yield node.lineno, ".".join((*folders, node.module or ""))
            else:
                yield node.lineno, node.module


def imports_upwards(file):
    """A floor imports from the floors below only, and nobody imports tests."""
    if file.package == "tests":
        return
    allowed = FLOORS[file.package] | {file.package}
    for line, name in imports(file):
        top = name.removeprefix("stowplan.").split(".")[0]
        if top in {*FLOORS, "tests"} - allowed:
            yield f"{file.path}:{line} imports {name}"


def impure(file):
    """No clock, file, thread, global randomness or SDK on the pure floor."""
    if file.package != "placement":
        return
    for line, name in imports(file):
        if name.split(".")[0] in IMPURE_MODULES:
            yield f"{file.path}:{line} imports {name}"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            yield f"{file.path}:{node.lineno} calls {ast.unparse(node.func)}"
        elif isinstance(node, ast.Call) and ast.unparse(node) == "np.random.default_rng()":
            yield f"{file.path}:{node.lineno} makes a generator without a seed"


def functions(file):
    return [n for n in ast.walk(file.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def long_functions(file):
    """At most 50 lines, from `def` to the end, without the docstring."""
    for node in functions(file):
        lines = node.end_lineno - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{file.path}:{node.lineno} {node.name} has {lines} lines"


def long_files(file):
    """At most 400 lines, tests apart."""
    if file.package != "tests" and len(file.lines) > FILE_LINES_MAX:
        yield f"{file.path}:1 has {len(file.lines)} lines"


def long_lines(file):
    """At most 100 characters, a word to the type checker or linter at the end apart."""
    for number, line in enumerate(file.lines, 1):
        line = re.sub(r"  # (type: ignore|noqa)\S*$", "", line)
        if len(line) > LINE_CHARS_MAX:
            yield f"{file.path}:{number} has {len(line)} characters"


def undocumented(file):
    """A docstring for every module, and every public class, function and method outside tests.

    What shows how little a user has to write is a user's own.
    """
    if file.package == "tests" or file.path.startswith("experiments/examples/"):
        return
    if file.lines and ast.get_docstring(file.tree) is None:
        yield f"{file.path}:1 has no docstring"
    yield from (f"{file.path}:{n.lineno} {n.name} has no docstring" for n in public(file.tree))


def public(node):
    """Public definitions without a docstring in a module or class; stubs of a Protocol apart."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for child in node.body:
        if not isinstance(child, kinds) or child.name.startswith("_"):
            continue
        stub = [ast.unparse(statement) for statement in child.body] == ["..."]
        if ast.get_docstring(child) is None and not stub:
            yield child
        if isinstance(child, ast.ClassDef):
            yield from public(child)


RULES = (imports_upwards, impure, long_functions, long_files, long_lines, undocumented)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    found = [violation for file in sources() for violation in rule(file)]
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


def test_the_check_sees_the_whole_project():
    seen = {file.path for file in sources()}
    assert {"placement/engine/engine.py", "placement/packing/bounds.py", "sim/driver.py"} <= seen
    assert "tests/test_tidy.py" in seen
    top = {path.name for path in ROOT.iterdir() if any(path.glob("*.py"))}
    assert top <= {*FLOORS, "tests"}, "a package that has no floor"


# --- canaries -------------------------------------------------------------------------------------

LONG = "def f():\n    '''Two\n    lines.'''\n" + "    x = 1\n" * FUNCTION_LINES_MAX


@pytest.mark.parametrize(
    ("rule", "name", "text", "found"),
    [
        (imports_upwards, "placement/a.py", "import stowplan.sim.driver", 1),
        (imports_upwards, "placement/a.py", "def f():\n    from experiments import b", 1),
        (
            imports_upwards,
            "placement/a.py",
            "from stowplan.placement.model import Task\nimport numpy",
            0,
        ),
        (imports_upwards, "placement/optimal/a.py", "from . import bounds\nfrom .. import b", 0),
        (imports_upwards, "sim/a.py", "from realdriver.inbox import Inbox", 1),
        (imports_upwards, "realdriver/a.py", "import sim", 1),
        (imports_upwards, "sim/a.py", "from stowplan.placement.driver import Driver", 0),
        (imports_upwards, "experiments/a.py", "from tests.sim import helpers", 1),
        (imports_upwards, "tests/a.py", "from tests.sim import helpers", 0),
        (impure, "placement/a.py", "import time", 1),
        (impure, "placement/a.py", "from os.path import join\nfrom random import random", 2),
        (impure, "placement/a.py", "from stowplan.placement.strategies.random import Random", 0),
        (impure, "placement/a.py", "def f():\n    import docker.types", 1),
        (impure, "placement/a.py", "open('x')\nnp.random.seed(0)\ndatetime.now()", 3),
        (impure, "placement/a.py", "np.random.default_rng()\nnp.random.default_rng(seed)", 1),
        (impure, "placement/a.py", "journal.open('x')", 0),
        (impure, "sim/a.py", "import time, simpy, random", 0),
        (long_functions, "sim/a.py", LONG, 1),
        (long_functions, "sim/a.py", LONG.replace("    x = 1\n", "", 1), 0),
        (long_functions, "tests/a.py", LONG, 1),
        (long_files, "sim/a.py", "x = 1\n" * 401, 1),
        (long_files, "sim/a.py", "x = 1\n" * 400, 0),
        (long_files, "tests/a.py", "x = 1\n" * 401, 0),
        (long_lines, "tests/a.py", "# " + "x" * 99, 1),
        (long_lines, "tests/a.py", "# " + "x" * 98, 0),
        (long_lines, "tests/a.py", "x" * 99 + "  # type: ignore[method-assign]", 0),
        (undocumented, "sim/a.py", "def f(): pass\nclass C:\n    def g(self): pass", 4),
        (undocumented, "sim/a.py", '"""Doc."""\nclass _C:\n    def g(self): pass', 0),
        (undocumented, "sim/a.py", '"""Doc."""\nclass C:\n    """Doc."""\n    def g(self): ...', 0),
        (undocumented, "sim/__init__.py", "", 0),
        (undocumented, "experiments/examples/mine.py", "def f(): pass", 0),
    ],
)
def test_a_rule_finds_what_breaks_it_and_nothing_else(rule, name, text, found):
    assert len(list(rule(parsed(name, text)))) == found


def test_every_test_has_a_time_limit(request, tmp_path):
    assert 0 < float(request.config.getini("timeout")) <= 600
    (tmp_path / "test_a.py").write_text("def test_a():\n    while True:\n        pass\n")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--timeout=1"]
    run = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert "1 failed" in run.stdout, run.stdout + run.stderr
    assert "Timeout" in run.stdout
