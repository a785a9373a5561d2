"""Where the files lie that ship with the package: scenarios, data, templates of pages."""

from __future__ import annotations

from pathlib import Path

SCENARIOS = Path(__file__).parents[1] / "scenarios"
DATA = Path(__file__).parents[1] / "data"
TEMPLATES = Path(__file__).parents[1] / "templates"
_IN_SOURCE = Path("experiments/scenarios")


def scenario_path(path: Path) -> Path:
    """`path`, or where nothing is there and it names a scenario that ships, that one's.

    By its name (`small`, `capacity/oscillation`, with `.toml` or without), or as the documentation
    of the source has it (`experiments/scenarios/small.toml`), a folder that a wheel does not make.
    """
    if path.exists() or path.is_absolute():
        return path
    name = path.relative_to(_IN_SOURCE) if path.is_relative_to(_IN_SOURCE) else path
    shipped = SCENARIOS / name.with_suffix(".toml")
    return shipped if shipped.is_file() else path


def shipped_scenarios() -> list[str]:
    """The names by which `scenario_path` finds what ships, in order."""
    files = (path.relative_to(SCENARIOS) for path in SCENARIOS.rglob("*.toml"))
    return sorted(file.with_suffix("").as_posix() for file in files)
