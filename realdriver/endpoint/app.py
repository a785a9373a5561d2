"""The HTTP side: a POST becomes a request, its answer a response. Starlette; served by uvicorn."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from stowplan.placement.wire.agents import OF_AGENTS, ORIGIN
from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.protocol import (
    BODY_MOST,
    CONTENT_TYPE,
    TARGET,
    read_request,
    write_response,
)
from stowplan.placement.wire.world import Document
from stowplan.realdriver.endpoint import admin, agent_sockets
from stowplan.realdriver.endpoint.events import LISTENERS_MOST, Listeners
from stowplan.realdriver.endpoint.others import Others
from stowplan.realdriver.endpoint.regions import Regions
from stowplan.realdriver.endpoint.signatures import check_signature

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
OTHERS_BODY_MOST = 64 << 20  # bytes of what is handed on
BODY_SECONDS = 20  # how long a client may take to send a body


@dataclass(frozen=True)
class Settings:
    """What an endpoint insists on.

    Args:
        keys: the secret of each access key that may call; empty: anybody may, signed or not.
        others: the endpoint that gets what is not for ECS; None: nobody does.
        agents: access keys among them that may call what agents call, and nothing else.
        testing: a POST to /moto-api/reset makes everything forgotten.
        listeners: of server-sent events, at GET /_stowplan/events.
        names: by which it may be called, so that no page of another site reads it by a name of its
            own that leads here; empty: by any.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    names: Collection[str] = ()
    others: str | None = None
    testing: bool = False
    listeners: Listeners = field(default_factory=Listeners)
    agents: Collection[str] = ()


def make_app(regions: Regions, settings: Settings | None = None) -> Starlette:
    """The application in front of the hosts of an account."""
    settings = settings or Settings()
    endpoint = _Endpoint(regions, settings)
    routes: list[BaseRoute] = [*admin.routes(lambda: regions.of(""), endpoint.check)]
    routes.append(Route("/_stowplan/events", endpoint.events, methods=["GET"]))
    routes += agent_sockets.routes(regions, settings.keys)
    if settings.testing:
        routes.append(Route("/moto-api/reset", endpoint.reset, methods=["POST"]))
    if settings.others is None:
        routes.append(Route("/", endpoint.post, methods=["POST"]))
    else:
        routes.append(Route("/{path:path}", endpoint.any, methods=_METHODS))
    return Starlette(routes=routes)


class _Endpoint:
    def __init__(self, regions: Regions, settings: Settings) -> None:
        self._regions, self._settings = regions, settings
        self._others = None if settings.others is None else Others(settings.others)

    async def reset(self, request: HttpRequest) -> Response:
        """Forget everything, here and at the others'."""
        try:
            self.check(request, await _body(request))
        except WireError as error:
            return _response(error)
        await run_in_threadpool(self._regions.reset)
        if self._others is not None:
            await self._others.reset()
        return Response(b'{"status": "ok"}', media_type="application/json")

    async def events(self, request: HttpRequest) -> Response:
        """Events from now on, as server-sent events."""
        try:
            self.check(request, await _body(request))
        except WireError as error:
            return _response(error)
        listeners = self._settings.listeners
        if len(listeners) >= LISTENERS_MOST:
            return Response("too many listen already", 503)
        headers = {"cache-control": "no-store"}
        return StreamingResponse(listeners.stream(), 200, headers, "text/event-stream")

    async def any(self, request: HttpRequest) -> Response:
        """A call of ECS's API, or a request to hand on."""
        target = request.headers.get("x-amz-target", "")
        if request.method == "POST" and target.startswith(f"{TARGET}."):
            return await self.post(request)
        assert self._others is not None, "the route is there only with others"
        try:
            body = await asyncio.wait_for(_body(request, OTHERS_BODY_MOST), BODY_SECONDS)
            self.check(request, body)
        except WireError as error:
            return _response(error)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=400)
        return await self._others.answer(request, body)

    async def post(self, request: HttpRequest) -> Response:
        """A call of ECS's API."""
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
            self.check(request, body)
            target = request.headers.get("x-amz-target", "")
            authorization = request.headers.get("authorization", "")
            origin = f"{request.url.scheme}://{request.headers.get('host', '')}"
            return _response(await self._reply(authorization, target, body, origin))
        except WireError as error:
            return _response(error)
        except TimeoutError:
            return _response(WireError("RequestTimeoutException", "the body did not come", 408))
        except ClientDisconnect:
            return Response(status_code=400)

    def check(self, request: HttpRequest, body: bytes) -> None:
        """Raises WireError for a request that may not be made."""
        if not _is_named(request.headers.get("host", ""), self._settings.names):
            raise WireError("AccessDeniedException", "this endpoint has another name", 403)
        if not self._settings.keys:
            return
        key = check_signature(
            request.method,
            str(request.url),
            {name.lower(): value for name, value in request.headers.items()},
            body,
            keys=self._settings.keys,
            now=datetime.now(UTC),
        )
        operation = request.headers.get("x-amz-target", "").partition(".")[2]
        if key in self._settings.agents and operation not in OF_AGENTS:
            what = f"{key} is an agent's: it may not call {operation or request.url.path}"
            raise WireError("AccessDeniedException", what)

    async def _reply(self, authorization: str, target: str, body: bytes, origin: str) -> bytes:
        call = read_request(target, body)
        if call.operation == "DiscoverPollEndpoint":
            call.params[ORIGIN] = origin
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes] = loop.create_future()

        def replied(answer: Document | WireError) -> None:
            # In the thread of a cluster's loop: written here, while its records stand still.
            if isinstance(answer, WireError):
                loop.call_soon_threadsafe(_fail, waiting, answer)
            else:
                loop.call_soon_threadsafe(_set, waiting, write_response(answer))

        self._regions.of(authorization).reply(call, replied)
        return await waiting


def _is_named(host: str, names: Collection[str]) -> bool:
    return not names or re.sub(r":\d*$", "", host).lower() in names


def _set(waiting: asyncio.Future[bytes], body: bytes) -> None:
    if not waiting.done():
        waiting.set_result(body)


def _fail(waiting: asyncio.Future[bytes], error: WireError) -> None:
    if not waiting.done():
        waiting.set_exception(error)


async def _body(request: HttpRequest, most: int = BODY_MOST) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            what = f"more than {most} bytes"
            raise WireError("RequestEntityTooLargeException", what, 413)
        parts.append(part)
    return b"".join(parts)


def _response(answer: bytes | WireError) -> Response:
    failed = isinstance(answer, WireError)
    body = write_response(answer.document()) if isinstance(answer, WireError) else answer
    headers = {
        "x-amzn-RequestId": str(uuid4()),
        "x-amz-crc32": str(zlib.crc32(body)),
    }
    status = answer.status if failed and isinstance(answer, WireError) else 200
    return Response(body, status, headers, media_type=CONTENT_TYPE)
