"""The wheel, installed outside the repo: a researcher's first ten lines run from it."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from stowplan.experiments.runs.compiling import SENTENCE
from tests.house import PACKAGES, ROOT

TEN_LINES = re.search(
    r"## From Python\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
)[1]
TYPED = """
import stowplan as sp

runs: sp.Results = sp.simulate(sp.load("small"), seeds=range(5))
wrong: int = sp.cluster({"m5.large": 6})
"""


def ran(command, folder, **environment):
    return ended(command, folder, **environment).stdout


def ended(command, folder, **environment):
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: building leaves files where it builds."""
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    ran([*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", "dist", "."], source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Installed without its dependencies, which are there."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    ran([*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel)], target)
    return target


def test_the_wheel_holds_the_face_its_types_and_what_it_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    face = {path.name for path in (ROOT / "experiments" / "face").iterdir() if path.is_file()}
    assert {f"stowplan/{name}" for name in face} <= names
    assert "stowplan/py.typed" in names
    assert "stowplan/experiments/scenarios/small.toml" in names
    assert not [name for name in names if name.startswith(("tests", "stowplan/tests"))]


@pytest.mark.timeout(900)  # may compile anew, since it is installed anew
def test_a_researchers_first_ten_lines_run_where_other_names_are_taken(installed, tmp_path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise ImportError('not ours')")
    (tmp_path / "sim.py").write_text("raise ImportError('not ours')")
    where = "\nprint(sp.__file__)\nprint(len(runs.frame), runs.frame['seed'].tolist())\n"
    (tmp_path / "lines.py").write_text(TEN_LINES + where)

    run = ended([sys.executable, "lines.py"], tmp_path, PYTHONPATH=str(installed))
    said = run.stdout
    assert run.stderr in ("", SENTENCE + "\n")  # so small that nothing need be compiled, or said
    *_, file, last = said.strip().splitlines()
    assert file == str(installed / "stowplan" / "__init__.py")
    assert last == "5 [0, 1, 2, 3, 4]"
    for strategy in ("default", "binpack:memory", "random"):
        assert strategy in said
    assert (tmp_path / "utilisation.png").stat().st_size > 10_000


def test_a_type_checker_sees_the_types_of_the_installed_package(installed, tmp_path):
    (tmp_path / "typed.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "typed.py"]
    run = subprocess.run(
        [*command, "--config-file=", "--cache-dir", str(tmp_path / "cache")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "MYPYPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert "typed.py:5: error: Incompatible types in assignment" in run.stdout, run.stdout
    assert "Found 1 error" in run.stdout, run.stdout


# --- the seven questions of an operator -----------------------------------------------------------

GUIDE = (ROOT / "docs" / "tutorials" / "operator.md").read_text(encoding="utf-8")


def saved(kind):
    """The only block of that kind in the guide."""
    (block,) = re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    return block


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_seven_questions_are_answered_in_an_empty_folder(installed, tmp_path):
    for name, kind in (("all_at_once.py", "python"), ("offers.toml", "toml"), ("big.json", "json")):
        (tmp_path / name).write_text(saved(kind))
    (tmp_path / "bin").mkdir()
    for name, words in (("stowplan", "-m stowplan"), ("python3", "")):
        command = tmp_path / "bin" / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        command.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    said = [
        ended(["sh", "-e", "-c", block], tmp_path, PYTHONPATH=str(installed), PATH=path).stdout
        for block in re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    ]
    came, month, priced, deploy, zone, buy, why, five, slides = said
    assert "53 instances, 3 capacity providers, 40 services of 123 tasks" in came
    assert re.search(r"a month at this rate: ecs-default \$[\d,.]+ \(\d+ % idle\)", month)
    assert re.search(r"dollars_per_month +\$[\d,.]+ +\$[\d,.]+ +-[\d.]+ % better", priced)
    assert re.search(r"stock-sync +stock-sync:1 +IN_PROGRESS", deploy)
    assert re.search(r"7\d other deployments were COMPLETED", deploy)
    assert "Services at their worst" in zone
    services = (tmp_path / "out/zone/csv/services.csv").read_text().splitlines()
    column = services[0].split(",").index("below_minimum_ms")
    below = [int(line.split(",")[column] or 0) for line in services[1:]]
    assert max(below) >= 60_000  # ECS hears of a lost zone after a minute
    assert re.search(r"^\d+ instances, \$[\d.]+ an hour", buy, re.MULTILINE), buy
    assert re.search(r"^m\d[\w.-]+ ", buy, re.MULTILINE)
    assert "nearest miss: " in why
    assert "cheapest change: " in why
    assert re.search(r"freed: (i-\w+,?\s+){5}", five), five
    assert "0 violations" in slides
    for kind in ("csv/costs.csv", "plots/dollars-an-hour.png", "plots/dollars-an-hour.svg"):
        assert (tmp_path / "out/slides" / kind).stat().st_size > 100
    assert (tmp_path / "out/zone.html").stat().st_size > 10_000
