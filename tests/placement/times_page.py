"""Makes `docs/default-times.md` of the table: `python -m tests.placement.times_page`.

`tests/placement/test_times.py` holds the page to the table.
"""

from __future__ import annotations

from pathlib import Path

from stowplan.placement.times import DEFAULT_TIMES, DefaultTime

PAGE = Path(__file__).parents[2] / "docs" / "default-times.md"
_HEAD = """\
# Default times

How long things take where a scenario says nothing, and what that is known from. Made from
`placement/times.py`: `python -m tests.placement.times_page` writes this page anew.

*Documented*: AWS says so. *Measured*: somebody did, on what the source names. *Assumed*: nobody
says.
A scenario changes a time by its key, or all that `stowplan calibrate` measures by
[`calibration` of `models`](../experiments/scenarios/REFERENCE.md#models); the report says which
times were so changed.

| Time | Default | Kind | Key | Source |
|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return _HEAD + "".join(_row(each) for each in DEFAULT_TIMES.values())


def _row(time: DefaultTime) -> str:
    key = f"`{time.key}`" if time.key else "none"
    cells = (time.what, shown(time), time.kind, key, time.source)
    return f"| {' | '.join(cells)} |\n"


def shown(time: DefaultTime) -> str:
    """The value for people."""
    if time.unit == "ms":
        seconds = time.value / 1000
        return f"{seconds:g} s"
    return f"{time.value:g} {time.unit}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
