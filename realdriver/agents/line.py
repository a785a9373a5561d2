"""An agent's way to its control plane: signed calls, and signed websockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.asyncio.client import ClientConnection, connect

from stowplan.placement.agentwire.frames import FRAME_MOST
from stowplan.placement.driver import DriverError
from stowplan.placement.wire.protocol import CONTENT_TYPE, TARGET

PATIENCE_S = 30.0


class Refused(DriverError):
    """The control plane does not take a call.

    Args:
        code: its exception.
        again: whether the same call may be taken later.
    """

    def __init__(self, code: str, message: str, again: bool) -> None:
        self.code, self.again = code, again
        super().__init__(f"{code}: {message}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Refused, (self.code, str(self).partition(": ")[2], self.again)


class Key(NamedTuple):
    """An access key and its secret."""

    access_key: str
    secret: str


_LATER = ("ThrottlingException", "ServerException", "RequestTimeoutException")


class Line:
    """Calls to one endpoint of ECS's API.

    Args:
        http: shared by the agents of a process.
    """

    def __init__(self, endpoint: str, key: Key, region: str, http: httpx.AsyncClient) -> None:
        self._endpoint, self._http = endpoint.rstrip("/"), http
        self._signer = SigV4Auth(Credentials(*key), "ecs", region)

    def _signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        self._signer.add_auth(request)
        return dict(request.headers.items())

    async def call(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call.

        Raises:
            Refused: it is answered with an exception, or not answered.
        """
        body = msgspec.json.encode(params)
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{TARGET}.{operation}"}
        url = f"{self._endpoint}/"
        try:
            signed = self._signed("POST", url, headers, body)
            answer = await self._http.post(url, headers=signed, content=body, timeout=PATIENCE_S)
        except httpx.HTTPError as error:
            raise Refused("Unreachable", str(error) or type(error).__name__, True) from None
        try:
            document: dict[str, Any] = msgspec.json.decode(answer.content)
        except msgspec.DecodeError:
            document = {}
        if answer.status_code == 200:
            return document
        code = str(document.get("__type", answer.status_code))
        later = code in _LATER or answer.status_code >= 500
        raise Refused(code, str(document.get("message", "")), later)

    async def open(self, endpoint: str, query: Mapping[str, str]) -> ClientConnection:
        """Open a websocket.

        Raises:
            OSError, websockets.exceptions.WebSocketException, TimeoutError: it does not open.
        """
        url = f"{endpoint.rstrip('/')}/ws?{urlencode(query)}"
        signed = self._signed("GET", url.replace("+", "%20"), {}, b"")
        return await connect(
            url.replace("http", "ws", 1),
            additional_headers=signed,
            compression=None,
            ping_interval=None,
            max_size=FRAME_MOST,
            user_agent_header=None,
            proxy=None,
        )
