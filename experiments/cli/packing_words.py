"""Words about packings that both ways of `stowplan optimize --bpp` say."""

from __future__ import annotations

PROVEN = "proven least"


def bins_line(status: str, bins: int, bound: int, proven: str, seconds: str) -> str:
    """The line that sums an answer up."""
    unit = "bin" if bins == 1 else "bins"
    return f"{status}: {bins} {unit}, at least {bound} needed ({proven}), {seconds}"
