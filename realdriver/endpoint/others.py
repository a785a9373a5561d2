"""Requests that are not for ECS, handed to another endpoint: an emulator of other services."""

from __future__ import annotations

import httpx
from starlette.requests import Request
from starlette.responses import Response

PATIENCE_S = 60.0
# Of the connection, not of the message (RFC 9110, 7.6.1), and what httpx works out itself.
_OF_CONNECTION = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length")
)


class Others:
    """Another endpoint by its URL."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False)

    async def answer(self, request: Request, body: bytes) -> Response:
        """What the other endpoint answers; 502 where it does not."""
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _OF_CONNECTION
        ]
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        try:
            answer = await self._client.request(request.method, path, headers=headers, content=body)
        except httpx.HTTPError as error:
            return Response(f"the endpoint of the other services: {error}", 502)
        response = Response(answer.content, answer.status_code)
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in (*_OF_CONNECTION, "content-encoding")
        ]
        response.headers["content-length"] = str(len(answer.content))
        return response

    async def ask(self, body: bytes, authorization: str) -> str:
        """What a call of a query API, such as EC2's, is answered; "" where nobody answers."""
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "authorization": authorization,
        }
        try:
            return (await self._client.post("/", headers=headers, content=body)).text
        except httpx.HTTPError:
            return ""

    async def reset(self) -> None:
        """Have the other endpoint forget everything, as moto's server can."""
        await self._client.post("/moto-api/reset")
