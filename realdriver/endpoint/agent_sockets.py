"""The websockets of agents: ACS, by which they get orders, and TCS, by which they tell of usage.

An upgrade is signed as any request. Frames are read and written here; what they mean is decided by
the driver of the cluster (`placement.agentwire`), under the gate of its host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from stowplan.placement.agentwire.frames import FrameError
from stowplan.placement.agentwire.post import Session
from stowplan.placement.wire.agents import ACS, TCS
from stowplan.placement.wire.errors import WireError
from stowplan.realdriver.endpoint.host import LocalHost
from stowplan.realdriver.endpoint.regions import Regions
from stowplan.realdriver.endpoint.signatures import check_signature

_LOG = logging.getLogger(__name__)
UNSENT_MOST = 10_000  # frames; an agent that does not read so many is gone
_REFUSED, _ENDED = 1008, 1000  # close codes (RFC 6455, 7.4.1)


def routes(regions: Regions, keys: Mapping[str, str]) -> list[BaseRoute]:
    """The two, below the paths that DiscoverPollEndpoint tells.

    Args:
        keys: the secret of each access key that may call; empty: anybody may.
    """

    async def acs(socket: WebSocket) -> None:
        await _serve(socket, regions, keys, telemetry=False)

    async def tcs(socket: WebSocket) -> None:
        await _serve(socket, regions, keys, telemetry=True)

    return [WebSocketRoute(f"{ACS}/ws", acs), WebSocketRoute(f"{TCS}/ws", tcs)]


class _Outbox:
    """The frames for one websocket; see `placement.agentwire.post.Peer`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.frames: asyncio.Queue[str | None] = asyncio.Queue()

    def send(self, frame: str) -> None:
        self._put(frame)

    def close(self, why: str) -> None:
        self._put(None)

    def _put(self, frame: str | None) -> None:
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._append, frame)

    def _append(self, frame: str | None) -> None:
        self.frames.put_nowait(None if self.frames.qsize() > UNSENT_MOST else frame)


def _checked(socket: WebSocket, keys: Mapping[str, str]) -> None:
    """Raises WireError for an upgrade that is not signed as AWS's requests are."""
    if not keys:
        return
    query = socket.scope["query_string"].decode("latin-1").replace("+", "%20")
    url = f"http://{socket.headers.get('host', '')}{socket.url.path}?{query}"
    headers = {
        name.lower(): value
        for name, value in socket.headers.items()
        if not name.lower().startswith(("sec-websocket", "upgrade", "connection"))
    }
    check_signature("GET", url, headers, b"", keys=keys, now=datetime.now(UTC))


async def _serve(
    socket: WebSocket, regions: Regions, keys: Mapping[str, str], *, telemetry: bool
) -> None:
    asked = socket.query_params
    try:
        _checked(socket, keys)
        host = regions.of(socket.headers.get("authorization", ""))
        text = asked.get("cluster" if telemetry else "clusterArn", "default")
        instance = asked.get("containerInstance" if telemetry else "containerInstanceArn", "")
        cluster = host.account.name_of(text, "cluster")
    except WireError as error:
        _LOG.warning("an agent's websocket is refused: %s", error)
        await socket.close(_REFUSED)  # before it was accepted: HTTP's 403
        return
    await socket.accept()
    outbox = _Outbox(asyncio.get_running_loop())
    session = _connected(host, cluster, instance, outbox, telemetry)
    sender = asyncio.create_task(_send(socket, outbox))
    try:
        if session is not None:
            await _read(socket, host, cluster, session, sender)
        else:
            await sender
    finally:
        sender.cancel()
        if session is not None:
            with host.attending(cluster) as there:
                if there is not None:
                    there[0].disconnect(session, there[1])


def _connected(
    host: LocalHost, cluster: str, text: str, outbox: _Outbox, telemetry: bool
) -> Session | None:
    with host.attending(cluster) as there:
        number = None
        if there is not None:
            with suppress(WireError):
                number = host.clusters[cluster].ids.number("container-instance", text)
        if there is None or number is None:
            outbox.send('{"type":"InvalidInstanceException","message":{"message":"unknown"}}')
            outbox.close("unknown")
            return None
        return there[0].connect(number, outbox, there[1], telemetry=telemetry)


async def _send(socket: WebSocket, outbox: _Outbox) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while (frame := await outbox.frames.get()) is not None:
            await socket.send_text(frame)
        await socket.close(_ENDED)


async def _read(
    socket: WebSocket, host: LocalHost, cluster: str, session: Session, sender: asyncio.Task[None]
) -> None:
    while not sender.done():
        message = await socket.receive()
        if message["type"] != "websocket.receive":
            return
        frame = message.get("text") or message.get("bytes") or ""
        with host.attending(cluster) as there:
            if there is None:
                return
            try:
                there[0].hear(session, frame, there[1])
            except FrameError as error:
                _LOG.warning("an agent sent what is no frame: %s", error)
                return
