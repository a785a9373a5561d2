"""The site of `make docs` builds without a warning, fetches nothing, and has no link to nowhere."""

import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.house import ROOT


def loaded_hooks():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = loaded_hooks()
FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")}


class PageParser(HTMLParser):
    """The anchors of a page, where it leads, and what it fetches."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.assets = {""}, set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value)
            elif (tag, name) in FETCHED and dict(attrs).get("rel") not in ("canonical", "edit"):
                self.assets.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.add(value)


def dead_ends(pages: dict[Path, PageParser]) -> list[str]:
    """Links and assets of pages that are not there, and assets that lie elsewhere."""
    found = []
    for path, page in pages.items():
        found += [f"{path.name} fetches {a}" for a in page.assets if urlsplit(a).netloc]
        for link in page.links | page.assets:
            url = urlsplit(link)
            if url.scheme or url.netloc or path.name == "404.html":  # whose links are the server's
                continue
            there = (path.parent / unquote(url.path)).resolve() if url.path else path
            there = there / "index.html" if there.is_dir() else there
            anchors = pages[there].anchors if there in pages else {unquote(url.fragment)}
            if not there.is_file() or unquote(url.fragment) not in anchors:
                found.append(f"{path.name} leads to {link}")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site").resolve()
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "WARNING" not in run.stderr
    return {path: PageParser(path.read_text("utf-8")) for path in folder.rglob("*.html")}


def test_no_link_leads_nowhere_and_nothing_is_fetched_from_elsewhere(site):
    names = {path.name for path in site}
    assert {
        "index.html",
        "scenario-reference.html",
        "ecs-behaviour.html",
        "changelog.html",
    } <= names
    assert dead_ends(site) == []


def test_each_room_of_the_design_has_a_page(site):
    rooms = {path.stem for path in (ROOT / "docs" / "design").glob("*.md")}
    assert rooms <= {path.stem for path in site if path.parent.name == "design"}


def test_the_reference_has_every_name_of_the_face(site):
    import stowplan

    (page,) = [page for path, page in site.items() if path.name == "stowplan.html"]
    assert {f"stowplan.{name}" for name in getattr(stowplan, "__all__", [])} <= page.anchors


def test_extension_points_are_in_the_reference(site):
    anchors = set().union(*(page.anchors for page in site.values()))
    for name in (
        "strategies.protocol.Strategy.keys",
        "constraints.Constraint",
        "driver.Driver",
        "messages.messages.StartTasks",
        "messages.messages.RunTask.count",
        "messages.capacity.CompleteTermination",
        "testing.check_strategy",
    ):
        assert f"stowplan.placement.{name}" in anchors


def test_citations_of_ecs_lead_to_the_rule(site):
    (page,) = [p for path, p in site.items() if path.parts[-2:] == ("design", "agent.html")]
    assert any(link.startswith("../ecs-behaviour.html#24-") for link in page.links)


def test_links_and_assets_that_lead_nowhere_are_found(tmp_path):
    text = (
        '<h1 id="a"></h1><a href="#a"></a><a href="#b"></a><a href="gone.html"></a>'
        '<a href="https://example.com"></a><script src="https://example.com/a.js"></script>'
    )
    file = tmp_path / "page.html"
    file.write_text(text)
    found = dead_ends({file: PageParser(text)})
    assert sorted(found) == [
        "page.html fetches https://example.com/a.js",
        "page.html leads to #b",
        "page.html leads to gone.html",
    ]


@pytest.mark.parametrize(
    ("text", "origin", "here", "becomes"),
    [
        ("[a](../DESIGN.md#the-floors)", "docs/x.md", "x.md", "[a](design/index.md#the-floors)"),
        ("[a](docs/design/sim.md)", "DESIGN.md", "design/index.md", "[a](sim.md)"),
        ("[a](#b) [c](https://d.e)", "docs/x.md", "x.md", "[a](#b) [c](https://d.e)"),
        ("[README](../README.md)", "docs/x.md", "x.md", "README (`README.md`)"),
        ("[a](gone.md)", "docs/x.md", "x.md", "[a](gone.md)"),
    ],
)
def test_links_of_the_repo_become_links_of_the_site(text, origin, here, becomes):
    assert HOOKS.relinked(text, origin, here) == becomes


def test_lists_as_github_reads_them_are_lists():
    text = "words:\n- a\n  more\n- b\n\n1. c\n   - d"
    assert HOOKS.spaced_lists(text) == "words:\n\n- a\n  more\n- b\n\n1. c\n    - d"
