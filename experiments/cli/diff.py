"""`stowplan diff A B`: what changed from the runs of one results folder to those of another."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from stowplan.experiments.record.changes import Keys, RunTables

_ROWS = 60
_COLUMNS = 110  # of a terminal that is none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan diff`."""
    parser.add_argument("a", type=Path, help="a results folder")
    parser.add_argument("b", type=Path, help="another, or the same with --a and --b")
    parser.add_argument("--a", dest="only_a", metavar="TEXT", help="of A, runs whose name has this")
    parser.add_argument("--b", dest="only_b", metavar="TEXT", help="of B, runs whose name has this")
    parser.add_argument("--all", action="store_true", help=f"every change, not {_ROWS} a run")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="every figure, changed or not")
    parser.add_argument("--json", action="store_true", help="every figure, for a script")
    parser.set_defaults(command=diff)


def diff(arguments: argparse.Namespace) -> int:
    """`stowplan diff`: dollars, availability, waiting and refusals, before and after."""
    from stowplan.experiments.record.changes import changes, changes_frame, tables_of
    from stowplan.experiments.record.results import load_results

    a = _chosen(tables_of(load_results(arguments.a)), arguments.only_a, "--a")
    b = _chosen(tables_of(load_results(arguments.b)), arguments.only_b, "--b")
    pairs = [(x, y, changes(a[x], b[y])) for x, y in _paired(a, b)]
    frame = changes_frame([(x, y, each) for x, y, found in pairs for each in found])
    if arguments.csv is not None:
        try:
            frame.to_csv(arguments.csv, index=False)
        except OSError as error:
            raise SpecError([(f"--csv {arguments.csv}", error.strerror or str(error))]) from error
    if arguments.json:
        print(json.dumps(json.loads(frame.to_json(orient="records"))))
        return 0
    from rich.console import Console

    from stowplan.experiments.report.changes import print_changes

    console = Console() if sys.stdout.isatty() else Console(width=_COLUMNS)
    print_changes(pairs, console, len(frame) if arguments.all else _ROWS)
    _say_alone(a, b, pairs)
    return 0


def _chosen(
    runs: Mapping[Keys, RunTables], text: str | None, option: str
) -> Mapping[Keys, RunTables]:
    names = {keys: "__".join(keys) for keys in runs}
    exact = [keys for keys, name in names.items() if name == text]
    found = exact or [keys for keys, name in names.items() if text is None or text in name]
    chosen = {keys: runs[keys] for keys in found}
    if not chosen:
        known = ", ".join(names.values()) or "none"
        raise SpecError([(f"{option} {text or ''}".strip(), f"no such run; there are {known}")])
    return chosen


def _paired(a: Mapping[Keys, RunTables], b: Mapping[Keys, RunTables]) -> list[tuple[Keys, Keys]]:
    """Runs of the same name; where only one is left on each side, these; then by layout and faults
    where on each side one strategy ran them."""
    if len(a) == len(b) == 1:
        return [(next(iter(a)), next(iter(b)))]
    same = [(keys, keys) for keys in a if keys in b]
    if same:
        return same
    if len({keys[0] for keys in a}) == len({keys[0] for keys in b}) == 1:
        of_b = {keys[1:]: keys for keys in b}
        pairs = [(keys, of_b[keys[1:]]) for keys in a if keys[1:] in of_b]
        if pairs:
            return pairs
    names = [", ".join("__".join(keys) for keys in runs) for runs in (a, b)]
    what = f"no run is in both; --a and --b choose one of each: A has {names[0]}; B has {names[1]}"
    raise SpecError([("A B", what)])


def _say_alone(
    a: Mapping[Keys, RunTables],
    b: Mapping[Keys, RunTables],
    pairs: Sequence[tuple[Keys, Keys, object]],
) -> None:
    """Name what was compared with nothing."""
    for side, runs, at in (("A", a, 0), ("B", b, 1)):
        used = {pair[at] for pair in pairs}
        alone = ["__".join(keys) for keys in runs if keys not in used]
        if alone:
            print(f"only in {side}: {', '.join(alone)}")
