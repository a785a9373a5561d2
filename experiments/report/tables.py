"""Tables of a report that leave out what is well, and say in words how much that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stowplan.experiments.report.formats import count


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first column is the strategy. `words` are the columns that hold sentences;
    `rest` says in a line what the rows leave out; '' where they leave nothing out."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = ()
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, and whether it is what somebody should look at."""

    cells: Sequence[str]
    amiss: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """What rows that are well are called, and what is said of one of them and of several."""

    noun: str
    one: str = ""
    many: str = ""
    plural: str = ""

    def words(self, rows: int, runs: int, others: bool) -> str:
        """`1 other service kept all its tasks`; counted under each of several strategies."""
        nouns = self.plural or f"{self.noun}s"
        name = f"{'other ' * others}{self.noun if rows == 1 else nouns}"
        said = f"{count(rows)} {name} {self.one if rows == 1 else self.many}"
        return f"{said}, counted under each strategy" if runs > 1 and rows > 1 else said


def table(
    caption: str,
    headings: Sequence[str],
    rows: Sequence[Row],
    most: int,
    few: int,
    words: Sequence[int] = (),
    *,
    kept: Kept,
) -> Table:
    """All rows where they are at most `few`, else at most `most` of those that are amiss."""
    amiss = [row for row in rows if row.amiss]
    shown = list(rows) if len(rows) <= few else amiss[:most]
    well, more = len(rows) - len(amiss), len(amiss) - min(len(amiss), most)
    runs = len({row.cells[0] for row in rows})
    rest = []
    if len(rows) > few:
        rest = [f"{count(more)} more like {'this' if len(shown) == 1 else 'these'}"] if more else []
        rest += [kept.words(well, runs, bool(amiss))] if well else []
    cells = [row.cells for row in shown]
    return Table(caption, ("strategy", *headings), cells, words, "; ".join(rest))
