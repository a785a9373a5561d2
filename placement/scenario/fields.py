"""What the values in a scenario file look like: durations, strategies, constraints, amounts;
and the base of its tables."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stowplan.placement.constraints import CONSTRAINTS
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.scenario.draws import NEEDED, SCIPY, problem
from stowplan.placement.scenario.plain import Count as Count
from stowplan.placement.scenario.plain import Duration as Duration
from stowplan.placement.scenario.plain import Positive as Positive
from stowplan.placement.scenario.plain import Table as Table
from stowplan.placement.scenario.words import unknown
from stowplan.placement.units import AMOUNT_MAX, parse_duration_ms

# `FILE.py:CLASS`, with or without `:FIELD`.
_STRATEGY_OF_FILE = re.compile(r"(.+?\.py:[A-Za-z_]\w*)(?::(.+))?")


def parse_strategy(text: object) -> PlacementStrategy:
    """`"binpack:memory"`, `"spread:attribute:ecs.availability-zone"`, `"random"`, `"mine.py:Mine"`
    or `"mine.py:Mine:field"`.

    Raises:
        ValueError: not text.
    """
    if isinstance(text, PlacementStrategy):
        return text
    if not isinstance(text, str) or not text:
        raise ValueError(f'expected a strategy such as "binpack:memory", found {text!r}')
    own = _STRATEGY_OF_FILE.fullmatch(text)
    if own:
        return PlacementStrategy(own[1], own[2])
    kind, _, field = text.partition(":")
    return PlacementStrategy(kind, field or None)


def own_strategy(strategy: PlacementStrategy) -> bool:
    """Whether a strategy is a class in a user's file rather than a registered name."""
    return _STRATEGY_OF_FILE.fullmatch(strategy.type) is not None


def parse_constraint(text: object) -> PlacementConstraint:
    """`"distinctInstance"`, `"maxPerInstance: 2"`, any type of `CONSTRAINTS`; or a query alone.

    Raises:
        ValueError: not text.
    """
    if isinstance(text, PlacementConstraint):
        return text
    if not isinstance(text, str) or not text.strip():
        names = ", ".join(CONSTRAINTS)
        raise ValueError(f"expected one of {names}, or a cluster query, found {text!r}")
    name, colon, rest = text.strip().partition(":")
    if name.rstrip() in CONSTRAINTS:
        return PlacementConstraint(name.rstrip(), rest.strip() if colon else None)
    return PlacementConstraint("memberOf", text.strip())


def _parse_chain(value: object) -> object:
    if value == "default":
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(parse_strategy(item) for item in items)


def _parse_optional_limit(value: object) -> int | Literal[False]:
    # Not a union of two types, of which pydantic would report what is wrong with each.
    if value is not False and (type(value) is not int or not 0 < value <= AMOUNT_MAX):
        raise ValueError(f"expected a whole number above 0, or false; found {value!r}")
    return value


def _parse_optional_duration(value: object) -> int | Literal[False]:
    return False if value is False else parse_duration_ms(value)


PositiveOrFalse = Annotated[int | Literal[False], BeforeValidator(_parse_optional_limit)]
DurationOrFalse = Annotated[int | Literal[False], BeforeValidator(_parse_optional_duration)]
Chain = Annotated[tuple[PlacementStrategy, ...], BeforeValidator(_parse_chain)]
Constraints = tuple[Annotated[PlacementConstraint, BeforeValidator(parse_constraint)], ...]
Percent = Annotated[int, Field(ge=0, le=100, strict=True)]
# Of an objective: small enough for sums over many tasks to stay exact.
WEIGHT_MAX = 10**9
Weight = Annotated[int, Field(ge=0, le=WEIGHT_MAX, strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _parse_distribution(value: object) -> str:
    if isinstance(value, str) and (value in NEEDED or value.startswith(SCIPY)):
        return value
    raise ValueError(f"{unknown('distribution', str(value), NEEDED)}, or {SCIPY}NAME")


class Distribution(Table):
    """A time drawn at random: `constant` and `exponential` by `mean`, `lognormal` by `median` and
    `sigma` (of the logarithm), `empirical` from `samples`, with `weights` if they are not alike.

    `pareto` and `weibull` have `mean` and `shape`; `hyperexponential` is exponential with one of
    `means`, chosen by `weights`. `scipy:NAME` is SciPy's with its own `parameters`, times `scale`.
    """

    distribution: Annotated[str, BeforeValidator(_parse_distribution)] = "constant"
    mean: Duration | None = None
    median: Duration | None = None
    sigma: Annotated[Number, Field(ge=0)] = 0.0
    samples: tuple[Duration, ...] = ()
    shape: Annotated[Number, Field(gt=0)] | None = None
    means: tuple[Duration, ...] = ()
    weights: tuple[Annotated[Number, Field(ge=0)], ...] = ()
    parameters: dict[str, Number] = {}
    scale: Duration | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if wrong := problem(self):
            raise ValueError(wrong)
        return self
