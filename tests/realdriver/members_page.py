"""Makes `docs/task-definitions-on-docker.md`: `python -m tests.realdriver.members_page`.

`tests/realdriver/test_members.py` holds the page to the table.
"""

from __future__ import annotations

from pathlib import Path

from stowplan.realdriver.docker.members import MEMBERS

PAGE = Path(__file__).parents[2] / "docs" / "task-definitions-on-docker.md"
_HEAD = """\
# Task definitions on Docker

What `stowplan run` makes of each member of RegisterTaskDefinition on a Docker engine. Made from
`realdriver/docker/members.py`: `python -m tests.realdriver.members_page` writes this page anew.

*Carried out*: by whom or how. *Harmless*: it stays without effect, and why that does no harm.
*Refused*: a task that asks for it fails to start, and its reason names all such members; so does a
wrong value of a member that is carried out. A volume counts where a container mounts it.

| Member | | How, or why |
|---|---|---|
"""


def page() -> str:
    """The page."""
    rows = []
    for path, fate in MEMBERS.items():
        allowed = "".join(f"; `{str(each).lower() if each is False else each}` is taken"
                          for each in fate.fine)  # fmt: skip
        rows.append(f"| `{path}` | {fate.kind} | {fate.how}{allowed} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
