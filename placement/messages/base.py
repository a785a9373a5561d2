"""The base of all messages, apart from them so that they can live in several files."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, tag_field="message", tag=True, omit_defaults=True):
    """Base of all messages; the JSON form carries the class name under `message`."""
