"""What the tables of a file look like: the way to a place in them, and an example for it.

Read from the tables' own annotations, so that no message can differ from what the loader accepts.
"""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.scenario.fields import (
    Chain,
    Distribution,
    Duration,
    DurationOrFalse,
    PositiveOrFalse,
    Table,
)

Place = tuple[int | str, ...]

# By annotation where that says it, else by type.
_SAMPLES: dict[Any, str] = {
    **dict.fromkeys((Duration, DurationOrFalse), '"5m"'),
    PositiveOrFalse: "1",
    Chain: '"binpack:cpu"',
    PlacementStrategy: '"binpack:cpu"',
    PlacementConstraint: '"distinctInstance"',
    Distribution: '{ mean = "10s" }',
    bool: "true",
    int: "1",
    float: "1.0",
}


class Spot(NamedTuple):
    """A place as its writer knows it, the fields of the table that holds it, and its annotation."""

    place: Place
    fields: tuple[str, ...]
    annotation: Any


def spot(root: type[Table], place: Place) -> Spot:
    """What is known of a place that pydantic names. Its name also has the arms of unions in it."""
    annotation: Any = root
    found: list[int | str] = []
    fields: tuple[str, ...] = ()
    for part in place:
        annotation = _plain(annotation)
        if isinstance(annotation, type) and issubclass(annotation, Table):
            if part == annotation.__name__ or str(part).startswith("literal["):
                continue
            fields = tuple(annotation.model_fields)
            field = annotation.model_fields.get(str(part))
            annotation = None if field is None else _whole(field)
        else:
            annotation = _inner(annotation)
        found.append(part)
    return Spot(tuple(found), fields, annotation)


def example(place: Place, annotation: Any) -> str:
    """A line such as a file may have at a place: `zones = ["..."]`, or `[[service]] ...`."""
    plain, name = _plain(annotation), place[-1]
    if len(place) == 1 and _table(plain):
        return f"[{name}]"
    if len(place) == 1 and get_origin(plain) is tuple and _table(_inner(plain)):
        return f"[[{name}]] with {_fields(_inner(plain))}"
    return sample(annotation) if isinstance(name, int) else f"{name} = {sample(annotation)}"


def sample(annotation: Any) -> str:
    """A value of a type, in TOML; of a table its required fields."""
    if annotation in _SAMPLES:
        return _SAMPLES[annotation]
    plain = _plain(annotation)
    if plain in _SAMPLES:
        return _SAMPLES[plain]
    if _table(plain):
        return f"{{ {_fields(plain)} }}".replace("{  }", "{}")
    if get_origin(plain) is Literal:
        return f'"{get_args(plain)[0]}"'
    if get_origin(plain) is tuple:
        return f"[{sample(_inner(plain))}]"
    if get_origin(plain) is dict:
        key = get_args(plain)[0]
        name = get_args(key)[0] if get_origin(key) is Literal else "NAME"
        return f"{{ {name} = {sample(_inner(plain))} }}"
    return '"..."'


def _fields(table: Any) -> str:
    required = {name: each for name, each in table.model_fields.items() if each.is_required()}
    return ", ".join(f"{name} = {sample(_whole(each))}" for name, each in required.items())


def _whole(field: Any) -> Any:
    """The annotation of a field as it was written, which pydantic keeps in two parts."""
    if not field.metadata:
        return field.annotation
    return Annotated[(field.annotation, *field.metadata)]


def _plain(annotation: Any) -> Any:
    """The annotation without `Annotated`, and of a union the arm that is more than a constant."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        return _plain(next((arm for arm in arms if get_origin(arm) is not Literal), arms[0]))
    return annotation


def _inner(annotation: Any) -> Any:
    """The type of what is in a list or a table of names; None for what holds nothing."""
    plain = _plain(annotation)
    if get_origin(plain) is tuple:
        return get_args(plain)[0]
    return get_args(plain)[1] if get_origin(plain) is dict else None


def _table(annotation: Any) -> bool:
    plain = _plain(annotation)
    return isinstance(plain, type) and issubclass(plain, Table)
