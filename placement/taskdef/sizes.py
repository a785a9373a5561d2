"""Task-level cpu and memory as ECS's texts write them."""

from __future__ import annotations

import re
from decimal import Decimal


def parse_size(text: str, field: str) -> int | None:
    """CPU units of "512" or "0.5 vCPU", MiB of "512" or "0.5 GB"; None if it is neither."""
    unit = "vCPU" if field == "cpu" else "GB"
    match = re.fullmatch(
        rf"(\d{{1,9}})|(\d{{1,6}}|\d{{0,6}}\.\d{{1,9}}) ?{unit}", text, re.I | re.A
    )
    if match is None:
        return None
    amount = Decimal(match[1]) if match[1] else 1024 * Decimal(match[2])
    return int(amount) if amount == int(amount) else None
