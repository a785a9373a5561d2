"""Makes `docs/taskdef-rules.md` of the table of rules; see there for how."""

from __future__ import annotations

import json
from pathlib import Path

from tests.placement.taskdef.rule_table import GROUPS, Rule

PAGE = Path(__file__).parents[3] / "docs" / "taskdef-rules.md"
_LONGEST = 220
_HEAD = """\
# Rules on task definitions

What `stowplan` accepts and refuses, and where each rule is known from. Made from
`tests/placement/taskdef/rule_table.py`, whose cases the tests run (one of each is shown here):
`python -m tests.placement.taskdef.rule_page` writes this page anew.

"API" is the text of RegisterTaskDefinition in botocore's model, by member; `OWNER/REPO#N` a public
issue that quotes what ECS answered; "guide" a page of ECS's developer guide; "ours" what stowplan
cannot place, which ECS would take. In the cases, `C` is
`"name": "app", "image": "app:1", "memory": 128`, and `"family": "app"` is left out.
"""


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, rules in GROUPS.items():
        parts.append(f"\n## {title}\n\n| Rule | Source | Accepted | Refused | Where, and why |")
        parts.append("\n|---|---|---|---|---|\n")
        parts += [_row(each) for each in rules]
    return "".join(parts)


def _row(rule: Rule) -> str:
    accepted, refused, why = _shown(rule.accepted), "-", "-"
    if rule.refused:
        first = rule.refused[0]
        refused, why = _shown(first.document), f"`{first.place}`: {first.words}"
    cells = (rule.rule, rule.source, accepted, refused, why)
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |\n"


def _shown(document: object) -> str:
    text = json.dumps(document).replace('"family": "app", ', "")
    text = text.replace('"name": "app", "image": "app:1", "memory": 128', "C")
    return f"`{text if len(text) <= _LONGEST else text[:_LONGEST] + ' …'}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
