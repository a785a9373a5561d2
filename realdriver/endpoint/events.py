"""Where events go: to a file, to an address, to whoever listens to server-sent events."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx
import msgspec

if TYPE_CHECKING:
    from stowplan.placement.wire.world import Document

_LOG = logging.getLogger(__name__)
WAITING_MOST = 100_000  # events that wait for a slow receiver; then the oldest are dropped
LISTENERS_MOST = 64
_TRIES, _TRY_AGAIN_S, _PATIENCE_S = 4, 0.5, 10.0
_STILL_THERE_S = 15.0  # how often a quiet stream says that it is there


class Sink(Protocol):
    """Gets events; it neither waits nor raises."""

    @property
    def wanted(self) -> bool:
        """Whether it wants any now."""
        ...

    def __call__(self, events: Sequence[Document]) -> None:
        """Take some, in order."""
        ...


class FileSink:
    """Appends events to a file, a line of JSON each."""

    wanted = True

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab", buffering=0)

    def __call__(self, events: Sequence[Document]) -> None:
        """Write them down; a full disk loses events, and says so."""
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in events)
        try:
            self._stream.write(lines)
        except OSError:
            _LOG.exception("%d events were not written", len(events))

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()


class PostSink:
    """POSTs each event, as JSON, to an address, in order, from a thread of its own."""

    wanted = True

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: queue.Queue[Document | None] = queue.Queue(WAITING_MOST)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def __call__(self, events: Sequence[Document]) -> None:
        """Have them sent; never waits."""
        for each in events:
            try:
                self._waiting.put_nowait(each)
            except queue.Full:
                _LOG.error("an event was dropped: %s is too slow", self._url)

    def _run(self) -> None:
        with httpx.Client(timeout=_PATIENCE_S, trust_env=False) as client:
            while (event := self._waiting.get()) is not None:
                self._send(client, event)

    def _send(self, client: httpx.Client, event: Document) -> None:
        pause = threading.Event()
        for attempt in range(_TRIES):
            try:
                if client.post(self._url, json=event).status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            pause.wait(_TRY_AGAIN_S * 2**attempt)
        _LOG.error("an event was dropped: %s did not take it", self._url)

    def close(self) -> None:
        """Send what waits, as far as it goes, and end."""
        self._waiting.put(None)
        self._thread.join(_PATIENCE_S)


class Listeners:
    """Who listens to server-sent events at this moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[asyncio.Queue[bytes | None], asyncio.AbstractEventLoop] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._queues)

    def __call__(self, events: Sequence[Document]) -> None:
        """Give them to all who listen; called by any thread."""
        with self._lock:
            listening = list(self._queues.items())
        for each in events:
            text = b"id: %s\ndata: %s\n\n" % (each["id"].encode(), msgspec.json.encode(each))
            for waiting, loop in listening:
                loop.call_soon_threadsafe(_offer, waiting, text)

    def close(self) -> None:
        """End every stream."""
        with self._lock:
            for waiting, loop in self._queues.items():
                loop.call_soon_threadsafe(_offer, waiting, None)

    async def stream(self) -> AsyncIterator[bytes]:
        """The events from now on; one who is too slow to take them loses the connection."""
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MOST)
        with self._lock:
            self._queues[waiting] = asyncio.get_running_loop()
        try:
            yield b": listening\n\n"
            while not waiting.full():
                try:
                    text = await asyncio.wait_for(waiting.get(), _STILL_THERE_S)
                except TimeoutError:
                    text = b": still there\n\n"
                if text is None:
                    return
                yield text
        finally:
            with self._lock:
                del self._queues[waiting]


def _offer(waiting: asyncio.Queue[bytes | None], text: bytes | None) -> None:
    if not waiting.full():
        waiting.put_nowait(text)
