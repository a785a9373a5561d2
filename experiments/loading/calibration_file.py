"""Calibration files: the models that `stowplan calibrate` found, read for a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.containers import PullTable
from stowplan.placement.scenario.models import Models

FORMAT = 1


def read_calibration(path: Path) -> dict[str, Any]:
    """`models` and `pulls` of a calibration file, each as a scenario has it.

    Raises:
        SpecError: naming every problem with its place.
    """
    try:
        content = msgspec.json.decode(read_text(path))
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise SpecError([(str(path), f"not valid JSON: {error}")]) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        what = f"not a calibration of format {FORMAT}; `stowplan calibrate` writes them"
        raise SpecError([(str(path), what)])
    problems = []
    for name, kind in (("models", Models), ("pulls", PullTable)):
        try:
            kind.model_validate(content.get(name, {}))
        except ValidationError as error:
            found = shape_problems(error, kind)
            problems += [(f"{path}: {name}.{at}", what) for at, what in found]
    if problems:
        raise SpecError(problems)
    return {"models": content.get("models", {}), "pulls": content.get("pulls", {})}
