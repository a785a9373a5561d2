"""Packing problems as files, of the formats that the field uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from stowplan.experiments.files.text import read_text
from stowplan.placement.errors import SpecError
from stowplan.placement.packing.formats import parse_bpp, parse_tbpp, parse_vbp
from stowplan.placement.packing.over_time.problem import OverTimeProblem
from stowplan.placement.packing.problem import (
    PackingInputError,
    PackingProblem,
)

Problem = TypeVar("Problem")


def read_problem(path: Path) -> PackingProblem:
    """The problem in a file, by its ending.

    Raises:
        SpecError: it cannot be read, with file and line.
    """
    return _read(path, parse_vbp if path.suffix.lower() == ".vbp" else parse_bpp)


def read_over_time(path: Path) -> OverTimeProblem:
    """The jobs of a file of temporal bin packing.

    Raises:
        SpecError: it cannot be read, with file and line.
    """
    return _read(path, parse_tbpp)


def _read(path: Path, parse: Callable[[str], Problem]) -> Problem:
    try:
        return parse(read_text(path))
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except UnicodeError as error:
        raise SpecError([(str(path), "not a text file (UTF-8)")]) from error
    except PackingInputError as error:
        raise SpecError([(str(path), str(error))]) from error
