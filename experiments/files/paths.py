"""Where the files lie that ship with the package: scenarios, data, templates of pages."""

from __future__ import annotations

from pathlib import Path

SCENARIOS = Path(__file__).parents[1] / "scenarios"
DATA = Path(__file__).parents[1] / "data"
TEMPLATES = Path(__file__).parents[1] / "templates"
