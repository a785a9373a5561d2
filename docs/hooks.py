"""What makes a site of the documents as they lie in the repo: `mkdocs.yml` names this file.

Documents outside `docs/` become pages and are not copied; their links, and those into the repo,
lead to the page or lose the link; lists that GitHub reads are lists here; citations of ECS's
rules lead to the rule; and the page of `import stowplan` has an entry for each of its names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[1]
# Documents outside `docs/`, and the pages that they are.
INCLUDED = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "DESIGN.md": "design/index.md",
    "experiments/scenarios/README.md": "scenarios.md",
    "experiments/scenarios/REFERENCE.md": "scenario-reference.md",
}
ORIGINS = {page: document for document, page in INCLUDED.items()}
BEHAVIOUR = "ecs-behaviour.md"
FACE = ROOT / "experiments" / "face" / "__init__.py"
FACE_MARK = "<!-- every name of stowplan.__all__ -->"
_NUMBER = r"\d+(?:\.\d+)?"
_CITATION = re.compile(rf"\becs(?:-semantics)? (?:{_NUMBER}(?:, | and |-)?)+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the documents that lie outside `docs/`."""
    for document, page in INCLUDED.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / document)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A document's links for the site, and its lists as this Markdown wants them."""
    here = page.file.src_uri
    origin = ORIGINS.get(here, f"docs/{here}")
    markdown = markdown.replace(FACE_MARK, face_entries())
    return outside_code(markdown, lambda text: spaced_lists(relinked(text, origin, here)))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Citations of ECS's rules become links to them, in docstrings as well."""
    if page.file.src_uri == BEHAVIOUR:
        return html
    target = files.src_uris[BEHAVIOUR].url_relative_to(page.file)
    anchors = behaviour_anchors()

    def linked(citation: re.Match[str]) -> str:
        def link(number: re.Match[str]) -> str:
            return f'<a href="{target}#{anchors[number[0]]}">{number[0]}</a>'

        return re.sub(_NUMBER, link, citation[0])

    texts = re.split(r"(<(?:pre|code|a)\b.*?</(?:pre|code|a)>|<[^>]*>)", html, flags=re.DOTALL)
    return "".join(t if t.startswith("<") else _CITATION.sub(linked, t) for t in texts)


def behaviour_anchors() -> dict[str, str]:
    """The anchor of each section of the behaviour reference, by number."""
    text = (ROOT / "docs" / BEHAVIOUR).read_text(encoding="utf-8")
    headings = re.findall(r"^##+ ((\d+(?:\.\d+)?).*)$", text, re.MULTILINE)
    slug: Any = slugify(case="lower")
    return {number: slug(heading, "-") for heading, number in headings}


def outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """A document with everything but its blocks of code changed."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def relinked(text: str, origin: str, here: str) -> str:
    """Links as written in the file `origin` of the repo, for the page `here` of the site."""
    folder = PurePosixPath(origin).parent

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if not target or re.match(r"[a-z]+:", target):
            return found[0]
        document = normpath(f"{folder}/{target}")
        page = INCLUDED.get(document) or document.removeprefix("docs/")
        if document in INCLUDED or document.startswith("docs/"):
            return f"[{words}]({relpath(page, PurePosixPath(here).parent)}{anchor})"
        if not (ROOT / document).exists():
            return found[0]  # mkdocs says so
        return words if "`" in words or words == document else f"{words} (`{document}`)"

    return re.sub(r"\[([^\]\n]+)\]\(([^)#\s]*)(#[^)\s]+)?\)", link, text)


def spaced_lists(text: str) -> str:
    """An empty line before a list, and four spaces before one in a list."""
    lines: list[str] = []
    for line in text.split("\n"):
        item = re.match(r"( *)([-*]|\d+\.) ", line)
        before = lines[-1] if lines else ""
        if item and not item[1] and before.strip() and not re.match(r" |[-*] |\d+\. |#", before):
            lines.append("")
        inner = item is not None and 2 <= len(item[1]) < 4
        lines.append(f"    {line.lstrip()}" if inner else line)
    return "\n".join(lines)


def face_entries() -> str:
    """An entry for mkdocstrings for each name of `import stowplan`: functions, then classes."""
    tree = ast.parse(FACE.read_text(encoding="utf-8"))
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names = ast.literal_eval(node.value)
    functions = [name for name in names if name.islower()]
    classes = [name for name in names if not name.islower()]
    parts = []
    for title, listed in (("Functions", functions), ("Classes", classes)):
        if listed:
            parts.append(f"## {title}\n")
        parts += [f"::: stowplan.{name}\n" + FACE_OPTIONS for name in sorted(listed)]
    return "\n".join(parts)


FACE_OPTIONS = """    options:
      docstring_style: numpy
      heading_level: 3
"""
