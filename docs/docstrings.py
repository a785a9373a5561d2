"""Docstrings as the parser of the reference wants them: an empty line before each section."""

from __future__ import annotations

import re
from typing import Any

import griffe


class SpacedSections(griffe.Extension):
    """Ours have their sections one under the other."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            sections = r"(?<!\n)\n( *(?:Args|Returns|Raises|Yields):\n)"
            obj.docstring.value = re.sub(sections, r"\n\n\1", obj.docstring.value)
