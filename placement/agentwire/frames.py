"""Frames of the agents' websockets: a name and a message, as JSON text.

The agent's telemetry client puts signed headers, as HTTP has them, and an empty line before the
JSON of what it sends.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from stowplan.placement.errors import PlacementError

FRAME_MOST = 4 << 20  # bytes; metrics of an instance with many containers are long
Document = dict[str, Any]


class Frame(NamedTuple):
    """A message by the name of its shape in the API of ACS or TCS."""

    type: str
    message: Document


class FrameError(PlacementError):
    """What came is no frame."""


class _Shape(msgspec.Struct):
    type: str
    message: Document = {}


_DECODER = msgspec.json.Decoder(_Shape)


def read_frame(text: str | bytes) -> Frame:
    """The frame in a websocket's message.

    Raises:
        FrameError: it is none.
    """
    if len(text) > FRAME_MOST:
        raise FrameError(f"a frame of more than {FRAME_MOST} bytes")
    plain = text.encode() if isinstance(text, str) else text
    if not plain.lstrip().startswith(b"{"):
        plain = plain.partition(b"\r\n\r\n")[2]
    try:
        found = _DECODER.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"no frame: {error}") from None
    return Frame(found.type, found.message)


def write_frame(type: str, message: Document) -> str:
    """A frame as it is sent."""
    return msgspec.json.encode({"type": type, "message": message}).decode()
