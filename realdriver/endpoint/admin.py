"""What the endpoint offers beside ECS's API: launching simulated instances, and the clock.

Requests are JSON under `/_stowplan/`. They need the content type of JSON, which no form of another
site can send.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from stowplan.placement.errors import PlacementError
from stowplan.placement.units import parse_duration_ms
from stowplan.realdriver.endpoint.host import LocalHost

_Answering = Callable[[HttpRequest], Awaitable[JSONResponse]]
COUNT_MOST = 100_000


class Launch(msgspec.Struct, forbid_unknown_fields=True):
    """Instances to launch, dealt over the zones in turn."""

    instance_type: str
    count: int = 1
    zones: tuple[str, ...] = ("us-east-1a", "us-east-1b", "us-east-1c")
    cluster: str = "default"


class Look(msgspec.Struct, forbid_unknown_fields=True):
    """Which cluster to show whole."""

    cluster: str = "default"


class Use(msgspec.Struct, forbid_unknown_fields=True):
    """What the tasks of a cluster use."""

    cluster: str = "default"


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """What to do with the clock: a step of time ("10m", seconds), or another factor."""

    advance: str | float | None = None
    factor: float | Literal["fast", "step"] | None = None


def routes(
    host: Callable[[], LocalHost], guarded: Callable[[HttpRequest, bytes], None]
) -> list[Route]:
    """The routes.

    Args:
        host: whom they are about.
        guarded: raises where a request may not be made.
    """

    def answering(what: Callable[[LocalHost, bytes], dict[str, Any]]) -> _Answering:
        async def answer(request: HttpRequest) -> JSONResponse:
            body = await request.body()
            try:
                guarded(request, body)
                if request.headers.get("content-type", "").split(";")[0] != "application/json":
                    return JSONResponse({"message": "the body must be application/json"}, 415)
                return JSONResponse(what(host(), body))
            except (PlacementError, msgspec.DecodeError, ValueError) as error:
                return JSONResponse({"message": str(error)}, 400)

        return answer

    return [
        Route("/_stowplan/instances", answering(_launch), methods=["POST"]),
        Route("/_stowplan/state", answering(_state), methods=["POST"]),
        Route("/_stowplan/clock", answering(_clock), methods=["POST"]),
        Route("/_stowplan/use", answering(_use), methods=["POST"]),
    ]


def _launch(host: LocalHost, body: bytes) -> dict[str, Any]:
    asked = msgspec.json.decode(body, type=Launch)
    if not 1 <= asked.count <= COUNT_MOST or not asked.zones:
        raise PlacementError(f"count: 1 to {COUNT_MOST}, in one zone at least")
    names = host.launch(asked.cluster, asked.instance_type, asked.count, asked.zones)
    return {"ec2InstanceIds": names}


def _state(host: LocalHost, body: bytes) -> dict[str, Any]:
    """A snapshot of the described state, for commands of the same version."""
    asked = msgspec.json.decode(body, type=Look)
    return {"state": base64.b64encode(host.snapshot(asked.cluster)).decode()}


def _clock(host: LocalHost, body: bytes) -> dict[str, Any]:
    asked = msgspec.json.decode(body, type=Clock)
    if asked.factor is not None:
        named = {"fast": math.inf, "step": 0.0}
        factor = named[asked.factor] if isinstance(asked.factor, str) else asked.factor
        if not factor >= 0:
            raise PlacementError("factor: 0 or more")
        host.set_factor(factor)
    if asked.advance is not None:
        host.advance(parse_duration_ms(asked.advance))
    return host.times()


def _use(host: LocalHost, body: bytes) -> dict[str, Any]:
    return {"tasks": host.uses(msgspec.json.decode(body or b"{}", type=Use).cluster)}
