"""Pages of long answers: `nextToken` in and out, `maxResults` (ecs 8.3).

A token says after which item of which listing the next page begins. So a page is right also when
items have come and gone since.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement.wire.errors import invalid

PAGE_MOST = 100


def page(
    keys: Sequence[Any], params: Mapping[str, Any], operation: str, most: int = PAGE_MOST
) -> tuple[Sequence[Any], str | None]:
    """The page of a listing that a request asks for, and the token of the next; None: the last.

    Args:
        keys: what is listed, in rising order; numbers or texts.
        params: the request. Its other members are part of the token: a token of another listing
            is refused.
        most: of items on a page, which ECS allows.
    Raises:
        WireError: `maxResults` out of range, or a token that no such listing gave.
    """
    size = params.get("maxResults", most)
    if not 1 <= size <= most:
        raise invalid(f"maxResults must be between 1 and {most}.")
    asked = {
        name: value for name, value in params.items() if name not in ("maxResults", "nextToken")
    }
    listing = hashlib.blake2b(
        json.dumps([operation, asked], sort_keys=True).encode(), digest_size=8
    ).hexdigest()
    start = 0
    if params.get("nextToken"):
        start = bisect_right(keys, _read(params["nextToken"], listing))
    shown = keys[start : start + size]
    if start + size >= len(keys):
        return shown, None
    return shown, base64.urlsafe_b64encode(json.dumps([listing, shown[-1]]).encode()).decode()


def _read(token: str, listing: str) -> Any:
    try:
        of, last = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, binascii.Error):
        of = last = None
    if of != listing or not isinstance(last, int | str):
        raise invalid("Invalid token.")
    return last
