"""A client that costs little: requests that are written before, over connections that are kept.

An SDK takes longer for a call than a fast server does, so it would measure itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

TARGET = "AmazonEC2ContainerServiceV20141113"
# moto's server finds the service by it, and checks nothing of it.
SCOPE = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/{}/aws4_request, SignedHeaders=a, "


class Load(NamedTuple):
    """What a stretch of requests took: answers a second, and the time of each in seconds."""

    rate: float
    seconds: list[float]

    def percentile(self, share: float) -> float:
        """The time that this share of the requests took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(operation: str, **params: Any) -> bytes:
    """A call of ECS's API, as it goes over the wire."""
    body = json.dumps(params).encode()
    return _http("/", body, "application/x-amz-json-1.1", "ecs", f"{TARGET}.{operation}")


def plain(path: str, body: bytes, kind: str, service: str = "ec2") -> bytes:
    """Another POST."""
    return _http(path, body, kind, service, "")


def _http(path: str, body: bytes, kind: str, service: str, target: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Authorization: {SCOPE.format(service)}Signature=b\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    if target:
        head += f"X-Amz-Target: {target}\r\n"
    return head.encode() + b"\r\n" + body


class _Line:
    """A connection, made anew where the server closes it after an answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        lowered = head.lower()
        length = int(lowered.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(length)
        if b"connection: close" in lowered or lowered.startswith(b"http/1.0"):
            self.close()
        status = int(head.split(b" ", 2)[1])
        assert status == 200, f"{status}: {body[:300]!r}"
        return body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _all(port: int, requests: Sequence[bytes], clients: int, rate: float | None) -> Any:
    waiting, begun = iter(enumerate(requests)), time.perf_counter()
    seconds: list[float] = []
    bodies: list[bytes] = [b""] * len(requests)

    async def client() -> None:
        line = _Line(port)
        for at, each in waiting:
            due = time.perf_counter()
            if rate is not None:
                due = begun + at / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            bodies[at] = await line.ask(each)
            seconds.append(time.perf_counter() - due)
        line.close()

    await asyncio.gather(*(client() for _ in range(min(clients, len(requests)))))
    return Load(len(requests) / (time.perf_counter() - begun), seconds), bodies


def load(
    port: int, requests: Sequence[bytes], clients: int = 8, rate: float | None = None
) -> tuple[Load, list[bytes]]:
    """Make all requests, each client one after the other; what they took, and the answers.

    Args:
        rate: requests a second that become due, whether earlier ones were answered or not: the time
            of each counts from then on. None: as many as are answered.
    """
    found: tuple[Load, list[bytes]] = asyncio.run(_all(port, requests, clients, rate))
    return found
