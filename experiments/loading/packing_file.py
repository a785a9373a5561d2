"""Packing problems as files, of the formats that the field uses."""

from __future__ import annotations

from pathlib import Path

from stowplan.experiments.files.text import read_text
from stowplan.placement.errors import SpecError
from stowplan.placement.packing.formats import parse_bpp, parse_vbp
from stowplan.placement.packing.problem import (
    PackingInputError,
    PackingProblem,
)


def read_problem(path: Path) -> PackingProblem:
    """The problem in a file, by its ending.

    Raises:
        SpecError: it cannot be read, with file and line.
    """
    try:
        text = read_text(path)
        return parse_vbp(text) if path.suffix.lower() == ".vbp" else parse_bpp(text)
    except OSError as error:
        raise SpecError([(str(path), error.strerror or str(error))]) from error
    except UnicodeError as error:
        raise SpecError([(str(path), "not a text file (UTF-8)")]) from error
    except PackingInputError as error:
        raise SpecError([(str(path), str(error))]) from error
