"""The page of `stowplan replay`: frames of a run around which a template is drawn."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from typing import Any

import jinja2
import msgspec

from stowplan.experiments.files.paths import TEMPLATES
from stowplan.experiments.report.replay_frames import Frames

# Of the data in the page, compressed and in base64.
BYTES_MAX, FRAMES_MIN = 9_000_000, 20


def embedded(frames: Frames) -> str:
    """The document of `frames`, gzip in base64, with as many frames as fit in `BYTES_MAX`."""
    while True:
        document = frames.document()
        data = gzip.compress(msgspec.json.encode(document), 6, mtime=0)
        text = base64.b64encode(data).decode()
        if len(text) <= BYTES_MAX or len(document["frames"]["ms"]) <= FRAMES_MIN:
            return text
        frames.halve()


def page(title: str, data: str = "", live: str = "", refused: Sequence[Sequence[str]] = ()) -> str:
    """The page around `data` (as `embedded` has it), or one that follows a run.

    Args:
        live: where the page fetches `Frames.document()` as JSON, every two seconds.
        refused: rows of `report.refused.cells`.
    """
    environment: Any = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("replay.html.j2")
    return str(template.render(title=title, data=data, live=live, refused=refused))
