"""The base of all tables and the plainest of their values, apart: who reads a file of its own, as
that of the engines is, need not import what a scenario knows of strategies and constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from stowplan.placement.agent.settings import PullBehavior
from stowplan.placement.units import AMOUNT_MAX, parse_duration_ms

Duration = Annotated[int, BeforeValidator(parse_duration_ms)]
Count = Annotated[int, Field(ge=0, le=AMOUNT_MAX, strict=True)]
Positive = Annotated[int, Field(gt=0, le=AMOUNT_MAX, strict=True)]


class Table(BaseModel):
    """A table of the scenario file: no unknown keys, no silent conversions, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """One instance to launch: what its registration will say, and when it is launched."""

    name: str
    at_ms: int
    resources: Mapping[str, int]
    attributes: Mapping[str, str]
    price_microusd_hour: int
    capacity_provider: str | None
    image_pull_behavior: PullBehavior = "default"
    cached_images: tuple[str, ...] = ()
    market: str = ""
