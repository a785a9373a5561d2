"""Extras: `all` has every one, `make setup` installs all, and what needs one names it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.house import PACKAGES, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWNERS = packages_distributions()
# What a core dependency always brings along.
BROUGHT = {
    "botocore": "boto3",
    "requests": "docker",
    "urllib3": "docker",
    "markupsafe": "jinja2",
    "llvmlite": "numba",
}
# Rooms that an extra is for. Who imports one of them from elsewhere says what is missing.
ROOMS = {"realdriver/agents": "serve", "realdriver/endpoint": "serve"}


def named(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def tried(tree: ast.AST) -> set[ast.AST]:
    """What stands in a `try` that has a way out where the import fails."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            caught = {n.id for h in node.handlers if h.type for n in ast.walk(h.type)
                      if isinstance(n, ast.Name)}  # fmt: skip
            if caught & {"ImportError", "ModuleNotFoundError"}:
                found |= {part for each in node.body for part in ast.walk(each)}
    return found


def needed(path: Path) -> Iterator[str]:
    """The distributions that a file cannot do without."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    optional = tried(tree)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        for name in {name.partition(".")[0] for name in names}:
            if node not in optional and name not in sys.stdlib_module_names and name != "stowplan":
                yield named(OWNERS.get(name, [name])[0])


def of_its_extra(path: Path) -> set[str]:
    """What the extra of a file's room brings."""
    extra = ROOMS.get(path.parent.relative_to(ROOT).as_posix())
    return {named(each) for each in EXTRAS[extra]} if extra else set()


def test_without_its_extra_serve_says_what_is_missing():
    hide = "import sys; sys.modules['uvicorn'] = None\n"
    run = "from stowplan.experiments.cli.main import main\nsys.exit(main(['serve']))"
    said = subprocess.run([sys.executable, "-c", hide + run], capture_output=True, text=True)
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "pip install 'stowplan[serve]'" in said.stderr


def test_the_package_needs_nothing_but_its_core():
    core = {named(each) for each in PROJECT["dependencies"]}
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 300
    lacks = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in needed(path)
        if BROUGHT.get(name, name) not in core | of_its_extra(path)
    }
    assert lacks == set()


def test_a_need_beyond_the_core_is_found_and_one_that_is_tried_is_not(tmp_path):
    file = tmp_path / "made.py"
    file.write_text("import moto\nimport numpy\n")
    assert set(needed(file)) == {"moto", "numpy"}
    file.write_text("try:\n    import moto\nexcept ImportError:\n    moto = None\n")
    assert set(needed(file)) == set()


def test_all_has_every_extra_but_that_for_developers():
    (everything,) = EXTRAS["all"]
    listed = set(re.fullmatch(r"stowplan\[(.*)\]", everything)[1].split(","))
    assert {name.strip() for name in listed} == EXTRAS.keys() - {"all", "dev"}


def test_make_setup_installs_every_extra():
    """It installs what is locked; so the lock has what each extra asks for."""
    makefile = (ROOT / "Makefile").read_text()
    assert "--require-hashes -r requirements.lock" in makefile
    locked = {named(line) for line in (ROOT / "requirements.lock").read_text().splitlines()
              if re.match(r"[\w.-]+==", line)}  # fmt: skip
    asked = {named(each) for extra in EXTRAS.values() for each in extra} - {"stowplan"}
    assert asked | {named(each) for each in PROJECT["dependencies"]} <= locked


def test_the_guide_names_every_extra():
    text = (ROOT / "docs" / "getting-started.md").read_text()
    for name in EXTRAS:
        assert f"| `{name}` |" in text
