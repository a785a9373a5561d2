"""Every section of the behaviour reference that code or a document cites is there."""

import re
from collections.abc import Iterator

import pytest

from tests.house import PACKAGES, ROOT

REFERENCE = ROOT / "docs" / "ecs-behaviour.md"
# `(ecs-semantics 6.3)`, `(ecs 2.4, 4.1-4.4)`, `ecs-semantics 2.3, 3.1 and 3.3`, over two lines too.
NUMBER = r"\d+(?:\.\d+)?"
CITATION = re.compile(rf"\becs(?:-semantics)?\s+({NUMBER}(?:(?:,\s+|\s+and\s+|-){NUMBER})*)")


def cited(text: str) -> Iterator[str]:
    """The sections that a text cites; of a range its two ends."""
    for citation in CITATION.finditer(text):
        yield from re.findall(NUMBER, citation[1])


def sections() -> set[str]:
    return set(re.findall(r"^##+ (\d+(?:\.\d+)?)\.? ", REFERENCE.read_text("utf-8"), re.MULTILINE))


def citing() -> dict[str, list[str]]:
    """By file, the sections that it cites."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    for folder in (*PACKAGES, "tests"):
        files += [
            p for suffix in ("py", "md", "toml") for p in (ROOT / folder).rglob(f"*.{suffix}")
        ]
    found = {p.relative_to(ROOT).as_posix(): list(cited(p.read_text("utf-8"))) for p in files}
    del found["tests/test_citations.py"]
    return {path: numbers for path, numbers in found.items() if numbers}


def test_every_section_that_is_cited_is_there():
    citations = citing()
    assert {"placement/query.py", "placement/audit/history.py", "DESIGN.md"} <= citations.keys()
    absent = {
        path: sorted(gone)
        for path, numbers in citations.items()
        if (gone := {*numbers} - sections())
    }
    assert absent == {}


def test_every_section_names_its_sources_or_lies_in_one_that_does():
    text = REFERENCE.read_text("utf-8")
    parts = re.split(r"^## (?=\d)", text, flags=re.MULTILINE)[1:]
    assert len(parts) == 12
    # 11 lists the origin of each column of a table, 12 only gathers what stands above it.
    assert all("*Sources:*" in part for part in parts[:10])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(ecs-semantics 6.3)", ["6.3"]),
        ("(ecs 2.4, 4.1-4.4)", ["2.4", "4.1", "4.4"]),
        ("ecs-semantics 2.3, 3.1\nand 3.3, one instance", ["2.3", "3.1", "3.3"]),
        ("see ecs-semantics 5, where", ["5"]),
        ("ecs-semantics 99.9", ["99.9"]),
        ("specs 3.1 and a list of 4", []),
    ],
)
def test_citations_are_found(text, found):
    assert list(cited(text)) == found
