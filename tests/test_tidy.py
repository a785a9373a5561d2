"""What the style asks of every file, checked on the syntax tree: floors, sizes, purity, docstrings.

Each rule returns its violations as `file:line what`; a test shows them all at once.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.house import PACKAGES, ROOT, arrows, imports, module, named, parsed, rings, room, sources

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# What each floor may import of ours; what a room on a floor may import is in INNER_FLOORS.
FLOORS = {
    "placement": set(),
    "sim": {"placement"},
    "realdriver": {"placement"},
    "experiments": {"placement", "sim", "realdriver"},
    "notebooks": {"experiments"},
}
# The rooms of a package from the ground up: a room imports rooms on lower lines of its list alone.
INNER_FLOORS = {
    "placement": (
        ("errors", "reasons", "units", "chance", "times"),
        ("model",),
        ("packing", "outlook", "query", "messages", "registry"),
        ("taskdef", "cluster", "callers", "driver"),
        ("agent", "constraints", "audit", "describe"),
        ("strategies", "wire"),
        ("engine", "agentwire"),
        ("scheduler",),
        ("journal", "loop", "scenario", "testing"),
        ("optimal",),
    ),
    "realdriver": (
        ("book", "journal", "backend"),
        ("docker", "endpoint", "standing"),
        ("agents", "clusters", "backends"),
    ),
    "experiments": (
        ("files", "examples"),
        ("workloads",),
        ("loading",),
        ("calibration", "record"),
        ("report", "runs"),
        ("bench", "studies"),
        ("cli",),
        ("face",),
    ),
}
ROOMS_MAX = {"placement": 30, "experiments": 12}
# Beside its floor, what a room may not import, and why.
CLOSED = {
    "placement/packing": ("placement/",),  # pure mathematics
    "placement/audit": ("placement/cluster", "placement/agent"),  # a second opinion shares no code
}
# Registries that name what lies above them by a string, as entry points do.
REGISTRIES = {("placement/strategies/__init__.py", "placement/optimal/strategy.py")}
# What the pure floor may do with files after all, and why.
IMPURE_ON_PURPOSE = {
    # Deletes compiled code that is stale, and says whether there is any.
    "placement/engine/kernels/__init__.py": {"os", "pathlib"},
    "placement/taskdef/api_model.py": {"gzip"},  # reads ECS's API model, which botocore ships
}
FUNCTION_LINES_MAX, FILE_LINES_MAX, LINE_CHARS_MAX = 50, 400, 100
IMPURE_MODULES = {
    *("time", "random", "os", "simpy", "boto3", "docker", "secrets", "uuid"),
    *("threading", "asyncio", "socket", "subprocess", "multiprocessing"),
    *("pathlib", "io", "gzip", "shutil", "tempfile", "glob", "sqlite3", "urllib", "http"),
}
IMPURE_CALLS = {
    *("open", "input", "print", "exec", "eval"),
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today"),
    *("np.random.rand", "np.random.randn", "np.random.randint", "np.random.random"),
    *("np.random.seed", "np.random.choice", "np.random.shuffle", "np.random.permutation"),
}


# --- rules ----------------------------------------------------------------------------------------


def imports_upwards(file):
    """A floor imports from the floors below only, and nobody imports tests."""
    if file.package == "tests":
        return
    allowed = FLOORS[file.package] | {file.package}
    for line, name in imports(file):
        top = name.removeprefix("stowplan.").split(".")[0]
        if top in {*FLOORS, "tests"} - allowed:
            yield f"{file.path}:{line} imports {name}"


def old_names(file):
    """Everything is imported as `stowplan.…`: from the repo's root the folders' own names would
    silently load a second copy."""
    for line, name in imports(file):
        if name.split(".")[0] in PACKAGES:
            yield f"{file.path}:{line} imports {name}"
    known = {module(each.path) for each in sources() if each.package in PACKAGES}
    for line, text in named(file):
        if text.partition(":")[0] in known:
            yield f"{file.path}:{line} names {text}"


def impure(file):
    """No clock, file, thread, global randomness or SDK on the pure floor."""
    if file.package != "placement":
        return
    meant = IMPURE_ON_PURPOSE.get(file.path, set())
    for line, name in imports(file):
        if name.split(".")[0] in IMPURE_MODULES - meant:
            yield f"{file.path}:{line} imports {name}"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in IMPURE_CALLS:
            yield f"{file.path}:{node.lineno} calls {ast.unparse(node.func)}"
        elif isinstance(node, ast.Call) and ast.unparse(node) == "np.random.default_rng()":
            yield f"{file.path}:{node.lineno} makes a generator without a seed"


def pydantic_elsewhere(file):
    """Of the pure floor only the scenario's tables are pydantic's."""
    if file.package != "placement" or file.path.startswith("placement/scenario/"):
        return
    for line, name in imports(file):
        if name.split(".")[0].startswith("pydantic"):
            yield f"{file.path}:{line} imports {name}"


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
    if ast.get_docstring(file.tree) is None:
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


RULES = (
    *(imports_upwards, old_names, impure, pydantic_elsewhere),
    *(long_functions, long_files, long_lines, undocumented),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_breaks_the_rule(rule):
    found = [violation for file in sources() for violation in rule(file)]
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


def rooms_of(graph):
    """The arrows between rooms: (room, room) -> an example of them."""
    between = {}
    for path, targets in graph.items():
        for target, line in targets.items():
            pair = room(path), room(target)
            if pair[0] != pair[1] and path.split("/")[0] == target.split("/")[0]:
                between.setdefault(pair, f"{path}:{line} imports {target}")
    return between


def arrows_up(between):
    """Arrows that do not lead to a lower floor of the package, or into a room closed to them."""
    for (above, below), example in between.items():
        package, name = above.split("/")
        floors = INNER_FLOORS.get(package, ())
        level = {each: at for at, floor in enumerate(floors) for each in floor}
        if (
            floors and level.get(below.split("/")[1], 99) >= level.get(name, -1)
        ) or below.startswith(CLOSED.get(above, ("nothing",))):
            yield example


def house():
    graph = arrows(sources())
    for above, below in REGISTRIES:
        assert below in graph[above], f"{above} does not name {below} any more"
        del graph[above][below]
    return graph


def test_no_arrow_runs_up():
    found = list(arrows_up(rooms_of(house())))
    assert not found, "\n".join(found)


def test_no_ring_of_files_or_rooms():
    graph = house()
    assert not rings(graph)
    between = {}
    for above, below in rooms_of(graph):
        between.setdefault(above, {})[below] = 0
    assert not rings(between)


@pytest.mark.parametrize("package", ROOMS_MAX)
def test_a_package_has_no_more_rooms_than_one_head_can_hold(package):
    paths = [file.path for file in sources() if file.package == package]
    rooms = {room(path) for path in paths} - {f"{package}/__init__"}
    assert len(rooms) <= ROOMS_MAX[package], sorted(rooms)
    known = {f"{package}/{name}" for floor in INNER_FLOORS[package] for name in floor}
    assert rooms == known, "a room that has no floor, or a floor without a room"


@pytest.mark.parametrize(
    ("files", "up", "ringed"),
    [
        ({"placement/engine/a.py": "import stowplan.placement.cluster.b"}, 0, 0),
        ({"placement/cluster/b.py": "from stowplan.placement.engine import a"}, 1, 0),
        ({"placement/cluster/b.py": "def f():\n    from ..engine import a"}, 1, 0),
        ({"placement/cluster/b.py": "X = 'stowplan.placement.engine.a'"}, 1, 0),
        (
            {
                "placement/cluster/b.py": "if X:\n    import stowplan.placement.cluster.c",
                "placement/cluster/c.py": "from stowplan.placement.cluster.b import x",
            },
            0,
            1,
        ),
        ({"placement/audit/a.py": "from stowplan.placement.cluster import b"}, 1, 0),
        ({"placement/audit/a.py": "from stowplan.placement.engine import a"}, 1, 0),
        ({"placement/packing/a.py": "from stowplan.placement import model"}, 1, 0),
        ({"experiments/record/a.py": "from stowplan.experiments.cli import b"}, 1, 0),
        ({"realdriver/docker/a.py": "from stowplan.realdriver import clusters"}, 1, 0),
    ],
)
def test_an_arrow_that_runs_up_and_a_ring_are_found(files, up, ringed):
    there = {
        "placement/engine/a.py": "",
        "placement/cluster/b.py": "",
        "placement/model.py": "",
        "experiments/cli/b.py": "",
        "realdriver/clusters.py": "",
    }
    graph = arrows([parsed(name, text) for name, text in (there | files).items()])
    assert len(list(arrows_up(rooms_of(graph)))) == up
    assert len(rings(graph)) == ringed


def test_the_wheel_holds_every_folder():
    listed = set(CONFIG["tool"]["setuptools"]["packages"])
    folders = {Path(file.path).parent for file in sources() if file.package in PACKAGES}
    folders -= {Path("experiments/face"), Path("experiments/examples")}
    assert listed == {"stowplan"} | {f"stowplan.{'.'.join(folder.parts)}" for folder in folders}


def test_the_links_for_type_checkers_show_what_setuptools_maps():
    mapped = CONFIG["tool"]["setuptools"]["package-dir"]
    links = ROOT / ".ci" / "links" / "stowplan"
    for name, folder in mapped.items():
        if name != "stowplan":
            assert (links / name.removeprefix("stowplan.")).resolve() == ROOT / folder
    face = {path.name for path in (ROOT / mapped["stowplan"]).iterdir() if path.is_file()}
    assert {path.name for path in links.iterdir()} - {"__pycache__"} == face | set(PACKAGES)


def test_contributing_names_the_limits_that_hold():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    limits = rf"Functions at most {FUNCTION_LINES_MAX} lines, files at most {FILE_LINES_MAX}"
    assert limits in text


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/*.md")],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_documents_import_by_the_one_name(path):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(rf"(?:from|import|-m) (?:{'|'.join(PACKAGES)})(?:\.| import ).*", text)


def test_notebooks_import_by_the_one_name():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        code = "".join(
            "".join(cell["source"]) + "\n"
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code"
        )
        plain = "\n".join(line for line in code.splitlines() if not line.startswith("%"))
        assert not list(old_names(parsed(f"notebooks/{path.name}", plain)))


def test_the_check_sees_the_whole_project():
    seen = {file.path for file in sources()}
    assert {"placement/engine/engine.py", "placement/packing/bounds.py", "sim/driver.py"} <= seen
    assert "tests/test_tidy.py" in seen
    top = {path.name for path in ROOT.iterdir() if any(path.glob("*.py"))}
    scripts = {"docs", ".ci"}  # of `make`; nothing imports them
    assert top <= {*FLOORS, "tests"} | scripts, "a package that has no floor"


# --- canaries -------------------------------------------------------------------------------------

LONG = "def f():\n    '''Two\n    lines.'''\n" + "    x = 1\n" * FUNCTION_LINES_MAX


@pytest.mark.parametrize(
    ("rule", "name", "text", "found"),
    [
        (imports_upwards, "placement/a.py", "import stowplan.sim.driver", 1),
        (imports_upwards, "placement/a.py", "def f():\n    from stowplan.experiments import b", 1),
        (
            imports_upwards,
            "placement/a.py",
            "from stowplan.placement.model import Task\nimport numpy",
            0,
        ),
        (imports_upwards, "placement/optimal/a.py", "from . import bounds\nfrom .. import b", 0),
        (imports_upwards, "sim/a.py", "from stowplan.realdriver.inbox import Inbox", 1),
        (imports_upwards, "realdriver/a.py", "import stowplan.sim", 1),
        (imports_upwards, "sim/a.py", "from stowplan.placement.driver import Driver", 0),
        (imports_upwards, "experiments/a.py", "from tests.sim import helpers", 1),
        (imports_upwards, "tests/a.py", "from tests.sim import helpers", 0),
        (old_names, "tests/a.py", "from placement.model import Task", 1),
        (old_names, "sim/a.py", "import placement", 1),
        (old_names, "tests/a.py", "patch('experiments.cli.main')", 1),
        (old_names, "tests/a.py", "patch('stowplan.experiments.cli.main')\nx = 'a.b'", 0),
        (pydantic_elsewhere, "placement/a.py", "from pydantic import BaseModel", 1),
        (pydantic_elsewhere, "placement/scenario/a.py", "import pydantic", 0),
        (impure, "placement/a.py", "from pathlib import Path\nimport gzip", 2),
        (impure, "placement/taskdef/api_model.py", "import gzip\nimport pathlib", 1),
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
        (undocumented, "sim/__init__.py", "", 1),
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
