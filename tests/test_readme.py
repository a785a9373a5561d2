"""The README's examples run as they stand, and every path and link that documents name is there."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main
from stowplan.placement.strategies import STRATEGIES
from tests.test_tidy import INNER_FLOORS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def output_of(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {})
    return out.getvalue()


def test_the_python_examples_run_and_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    placing, own, scheduler = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # It is run, against an endpoint, by test_serve.py.
    assert scheduler == (ROOT / "experiments/examples/own_scheduler.py").read_text()
    assert len([line for line in scheduler.splitlines() if line.strip()]) <= 40

    assert len(placing.strip().splitlines()) <= 12  # ten lines, and their two imports
    placed = output_of(placing)
    for strategy in ("default", "binpack:memory", "random"):
        assert strategy in placed
    assert (tmp_path / "utilisation.png").stat().st_size > 10_000
    try:
        said = output_of(own)
    finally:
        STRATEGIES.pop("emptiest", None)
    assert "rounds replay to the same commands, 0 violations" in said
    assert "instances: 1 instance, at least 1 instance" in said
    assert "optimal: 4 bins, at least 4 needed" in said
    assert (tmp_path / "run.html").is_file()


def test_the_tour_is_five_commands_that_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tour,) = re.findall(r"```\n(stowplan create-cluster.*?)```", README, re.DOTALL)
    lines = [line.split("  #")[0] for line in tour.splitlines()]

    for line in lines:
        words = shlex.split(line.replace("experiments/scenarios", f"{ROOT}/experiments/scenarios"))
        assert main(words[1:]) == 0, line

    assert len(lines) == 5
    assert (tmp_path / "out" / "tour" / "report.html").is_file()


@pytest.mark.parametrize("command", ["make demo", "make test"])
def test_the_two_commands_that_set_everything_up_are_there(command):
    target = command.split()[1]
    assert command in README
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "experiments/scenarios/README.md",
]
# Of documents, what looks like a path of ours and is an output, or stands for a user's own file.
NOT_OURS = re.compile(r"out/|c\.json|/docker\b|tour\.toml|all_at_once\.py|.*\b[A-Z]{4,}\b")


def plain(path: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def named_paths(text: str) -> set[str]:
    """What a text names in backticks that looks like a file or a folder of ours."""
    words = {word for quoted in re.findall(r"`([^`]+)`", text) for word in quoted.split()}
    paths = {word.rstrip(":,") for word in words if re.fullmatch(r"[\w.-]+(/[\w.*-]+)*/?:?", word)}
    tops = {path.name for path in ROOT.iterdir() if path.is_dir()}
    return {
        path
        for path in paths
        if (path.endswith(".py") or (path.split("/")[0] in tops and "/" in path))
        and not NOT_OURS.match(path)
    }


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def dead_links(path: Path, text: str) -> list[str]:
    """The links of a document at `path` that lead nowhere."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"https?:", link):
            continue
        there = (path.parent / target).resolve() if target else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_path_and_link_of_a_document_is_there(path):
    text = plain(path)
    absent = sorted(name for name in named_paths(text) if not any(ROOT.glob(name.rstrip("/"))))
    assert absent == []
    assert dead_links(path, text) == []


def test_a_path_and_a_link_that_lead_nowhere_are_found():
    text = "`placement/gone.py`, `engine.py`, `sim/`, `placement/driver.py: Driver`, `out/a.py`"
    assert named_paths(text) == {"placement/gone.py", "engine.py", "sim/", "placement/driver.py"}
    links = "[a](README.md#words) [b](README.md#gone) [c](gone.md) [d](https://example.com) [e](#f)"
    assert dead_links(ROOT / "README.md", links) == ["README.md#gone", "gone.md", "#f"]


def test_the_readme_draws_every_folder_of_placement_and_experiments():
    (drawing,) = re.findall(r"## How it is built\n\n```\n(.*?)```", README, re.DOTALL)
    for package in ("placement", "experiments"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        missing = {room for room in rooms if f"{room}/" not in drawing}
        assert missing <= {"face", "examples"}


def test_the_design_draws_the_floors_that_hold():
    (drawing,) = re.findall(r"```\n(placement .*?)```", (ROOT / "DESIGN.md").read_text(), re.DOTALL)
    drawn: dict[str, list[set[str]]] = {}
    for line in filter(None, drawing.splitlines()):
        package, _, rooms = re.match(r"(\w*) +(\d+) +([^#]*)", line).groups()
        drawn.setdefault(package or list(drawn)[-1], []).insert(0, set(rooms.split()))
    assert drawn == {
        name: [set(floor) for floor in floors] for name, floors in INNER_FLOORS.items()
    }
