"""Calibration files: the models that `stowplan calibrate` found, read for a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import ValidationError

from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.shape_problems import shape_problems
from stowplan.placement.agent.settings import AgentKind
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.containers import PullTable
from stowplan.placement.scenario.models import Models

FORMAT = 1


def read_calibration(path: Path) -> dict[str, Any]:
    """`models`, `pulls` and `agent` of a calibration file, each as a scenario has it.

    `agent`: what was measured is the Docker driver's own, also in files that do not say so.

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
    agent = content.get("agent", "docker")
    if agent not in get_args(AgentKind):
        problems.append((f"{path}: agent", f"expected one of {', '.join(get_args(AgentKind))}"))
    for name, kind in (("models", Models), ("pulls", PullTable)):
        try:
            kind.model_validate(content.get(name, {}))
        except ValidationError as error:
            found = shape_problems(error, kind)
            problems += [(f"{path}: {name}.{at}", what) for at, what in found]
    if problems:
        raise SpecError(problems)
    return {
        "models": content.get("models", {}),
        "pulls": content.get("pulls", {}),
        "agent": agent,
    }
