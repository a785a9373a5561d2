"""What an instance may register: names, and whole numbers that are not negative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from stowplan.placement.model import PORT_MAX
from stowplan.placement.units import not_whole


def offer_problems(
    row: int,
    resources: Mapping[str, int],
    strings: Mapping[str, str],
    reserved_ports: Sequence[tuple[str, int]],
    devices: Sequence[int],
) -> Iterator[tuple[str, str]]:
    """(place, what is wrong with it); a column would cut a float without a word."""
    for name, amount in resources.items():
        if not isinstance(name, str):
            yield f"instance {row}: resources", f"expected a name, found {name!r}"
        elif what := not_whole(amount):
            yield f"instance {row}: resources.{name}", what
    for name, value in strings.items():
        if not isinstance(name, str) or not isinstance(value, str):
            yield f"instance {row}: {name}", f"expected text, found {value!r}"
    for index, milli in enumerate(devices):
        if what := not_whole(milli):
            yield f"instance {row}: devices[{index}]", what
    for index, port in enumerate(reserved_ports):
        place = f"instance {row}: reserved_ports[{index}]"
        if type(port) is not tuple or len(port) != 2 or port[0] not in ("tcp", "udp"):
            yield place, f'expected ("tcp", PORT) or ("udp", PORT), found {port!r}'
        elif what := not_whole(port[1], most=PORT_MAX):
            yield place, what
