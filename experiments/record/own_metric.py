"""Values of metrics; of a user's own, what it raises or answers wrongly is one error."""

from __future__ import annotations

from numbers import Real
from typing import Any

from stowplan.placement.errors import PlacementError
from stowplan.placement.registry import Registry


def metric_values(registry: Registry[Any], recorder: Any) -> dict[str, float | None]:
    """What every metric says of a run, by name. Raises PlacementError as `own_value` does."""
    own = registry.added
    return {
        name: own_value(name, metric, recorder) if name in own else metric.of(recorder)
        for name, metric in registry.items()
    }


def own_value(name: str, metric: Any, recorder: Any) -> float | None:
    """What it says of a run. Raises PlacementError, naming it, where that is no number or None."""
    try:
        value = metric.of(recorder)
    # What a user's own code raises is shown to the user.
    except Exception as error:
        raise PlacementError(f"metric {name}: {type(error).__name__}: {error}") from error
    if value is None:
        return None
    if not isinstance(value, Real):
        raise PlacementError(f"metric {name}: expected a number or None, found {value!r}")
    return float(value)
