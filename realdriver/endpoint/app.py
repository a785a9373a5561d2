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
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from stowplan.placement.wire.errors import WireError
from stowplan.placement.wire.protocol import BODY_MOST, CONTENT_TYPE, read_request, write_response
from stowplan.placement.wire.world import Document
from stowplan.realdriver.endpoint import admin
from stowplan.realdriver.endpoint.host import LocalHost
from stowplan.realdriver.endpoint.signatures import check_signature

BODY_SECONDS = 20  # how long a client may take to send a body


@dataclass(frozen=True)
class Settings:
    """What an endpoint insists on.

    Args:
        keys: the secret of each access key that may call; empty: anybody may, signed or not.
        names: by which it may be called, so that no page of another site reads it by a name of its
            own that leads here; empty: by any.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    names: Collection[str] = ()


def make_app(host: LocalHost, settings: Settings | None = None) -> Starlette:
    """The application in front of a host."""
    endpoint = _Endpoint(host, settings or Settings())
    return Starlette(
        routes=[
            Route("/", endpoint.post, methods=["POST"]),
            *admin.routes(host, endpoint.check),
        ]
    )


class _Endpoint:
    def __init__(self, host: LocalHost, settings: Settings) -> None:
        self._host, self._settings = host, settings

    async def post(self, request: HttpRequest) -> Response:
        """A call of ECS's API."""
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
            self.check(request, body)
            target = request.headers.get("x-amz-target", "")
            return _response(await self._reply(target, body))
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
        check_signature(
            request.method,
            str(request.url),
            {name.lower(): value for name, value in request.headers.items()},
            body,
            keys=self._settings.keys,
            now=datetime.now(UTC),
        )

    async def _reply(self, target: str, body: bytes) -> bytes:
        call = read_request(target, body)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes] = loop.create_future()

        def replied(answer: Document | WireError) -> None:
            # In the thread of a cluster's loop: written here, while its records stand still.
            if isinstance(answer, WireError):
                loop.call_soon_threadsafe(_fail, waiting, answer)
            else:
                loop.call_soon_threadsafe(_set, waiting, write_response(answer))

        self._host.reply(call, replied)
        return await waiting


def _is_named(host: str, names: Collection[str]) -> bool:
    return not names or re.sub(r":\d*$", "", host).lower() in names


def _set(waiting: asyncio.Future[bytes], body: bytes) -> None:
    if not waiting.done():
        waiting.set_result(body)


def _fail(waiting: asyncio.Future[bytes], error: WireError) -> None:
    if not waiting.done():
        waiting.set_exception(error)


async def _body(request: HttpRequest) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_MOST:
            what = f"more than {BODY_MOST} bytes"
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
