"""Why a task finds no place, for people and as JSON: a sentence, then a table of what is alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from stowplan.experiments.record.refused import change_words, described, instance_names
from stowplan.experiments.report.formats import duration
from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.changes import NEW, Change
from stowplan.placement.engine.explain import Explanation, Miss
from stowplan.placement.scheduler.lacking import Lack
from stowplan.placement.scheduler.tasks import NOWHERE

_GROUPS_MOST = 20


def sentences(cluster: Cluster, lack: Lack, found: Explanation, at_ms: int) -> list[str]:
    """What there is to say first: whether it fits, the nearest miss, the cheapest change."""
    when = f"after {duration(at_ms / 1000)}"
    lacks = f"{lack.name} {when}: "
    if lack.status is not None and lack.row != NOWHERE:
        lacks += f"it is {lack.status} on {described(cluster, lack.row)}; "
    elif lack.count:
        one = lack.wanted == 1
        lacks += "the task finds" if one else f"{lack.count} of {lack.wanted} tasks find"
        lacks += " no room; "
    instances = len(found.fits) + len(found.misses)
    if found.fits:
        where = ", ".join(instance_names(cluster, found.fits[:5]))
        where += ", ..." if len(found.fits) > 5 else ""
        return [f"{lacks}one more fits on {len(found.fits)} of {instances} instances ({where})"]
    nearest = found.nearest
    if nearest is None:
        lines = [f"{lacks}no instance is registered"]
    else:
        lines = [f"{lacks}one more fits on none of {instances} instances"]
        lines.append(f"nearest miss: {described(cluster, nearest.row)}: {_words(nearest)}")
    if not found.changes:
        return [*lines, "cheapest change: no single change that was tried would place it"]
    cheapest, *others = (change_words(cluster, change) for change in found.changes)
    lines.append(f"cheapest change: {cheapest}")
    return lines + [f"or: {other}" for other in others]


def _words(miss: Miss) -> str:
    return "; ".join(obstacle.words for obstacle in miss.obstacles)


def misses_table(cluster: Cluster, found: Explanation) -> Table:
    """Instances on which the same things are in the way are a row, with the nearest miss."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("instances", justify="right")
    table.add_column("nearest of them", overflow="fold")
    table.add_column("what keeps it off there", overflow="fold", ratio=1)
    groups = found.groups()
    for group in groups[:_GROUPS_MOST]:
        # As plain text: a list in brackets is no markup.
        what = Text("\n".join(obstacle.words for obstacle in group.best.obstacles))
        table.add_row(str(len(group.rows)), Text(described(cluster, group.best.row)), what)
    rest = groups[_GROUPS_MOST:]
    if rest:
        table.add_row(str(sum(len(g.rows) for g in rest)), "", f"{len(rest)} more combinations")
    return table


def placed_words(cluster: Cluster, rows: Sequence[int]) -> str:
    """`2 on i-1, 1 on i-4`, those with most first."""
    counts = Counter(rows).most_common()
    parts = [f"{number} on {described(cluster, row)}" for row, number in counts[:10]]
    more = len(counts) - len(parts)
    return ", ".join([*parts, *([f"on {more} more instances"] if more else [])])


def explanation_json(
    cluster: Cluster, lack: Lack, found: Explanation, at_ms: int
) -> dict[str, Any]:
    """All of it: every instance that misses, with numbers; changes, the cheapest first."""
    nearest = found.nearest
    return {
        "name": lack.name,
        "at_ms": at_ms,
        "lacks": lack.count,
        "wanted": lack.wanted,
        "group": found.kind.group,
        "asks": dict(found.kind.resources),
        "fits": instance_names(cluster, found.fits),
        "nearest": None if nearest is None else _miss_json(cluster, nearest),
        "changes": [_change_json(cluster, change) for change in found.changes],
        "groups": [
            {
                "instances": instance_names(cluster, group.rows),
                "what": [obstacle.what for obstacle in group.best.obstacles],
                "nearest": _miss_json(cluster, group.best),
            }
            for group in found.groups()
        ],
        "misses": [_miss_json(cluster, miss) for miss in found.misses],
    }


def _change_json(cluster: Cluster, change: Change) -> dict[str, Any]:
    row = change.row
    there = None if row is None else instance_names(cluster, [row])[0]
    return {
        "sort": change.sort,
        "words": change_words(cluster, change),
        "cost": change.cost,
        "instance": NEW if change.sort == "instance" else there,
        "less": dict(change.less),
        "task": change.task,
    }


def _miss_json(cluster: Cluster, miss: Miss) -> dict[str, Any]:
    fields = ("reason", "what", "found", "name", "needed", "short", "tasks")
    obstacles = [{name: getattr(each, name) for name in fields} for each in miss.obstacles]
    return {"instance": instance_names(cluster, [miss.row])[0], "obstacles": obstacles}
