"""`--overrides` of `stowplan run-task`: JSON as `aws ecs run-task` takes it, or `file://FILE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stowplan.experiments.files.text import read_text
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import TaskOverride
from stowplan.placement.taskdef.task_overrides import parse_task_override


def read_overrides(text: str | None, problems: list[tuple[str, str]]) -> TaskOverride:
    """What is said there; what is wrong with it goes to `problems`."""
    if text is None:
        return TaskOverride()
    try:
        return parse_task_override(overrides_json(text))
    except SpecError as error:
        problems += [(f"--overrides {place}".rstrip(), what) for place, what in error.problems]
        return TaskOverride()


def overrides_json(text: str) -> Any:
    """The document itself. Raises SpecError where it is no JSON, or there is no such file."""
    try:
        name = text.removeprefix("file://")
        return json.loads(text if name == text else read_text(Path(name)))
    except OSError as error:
        raise SpecError([("", f"{text}: {error.strerror or error}")]) from error
    except ValueError as error:
        raise SpecError([("", f"no JSON: {error}")]) from error
