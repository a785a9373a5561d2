"""An engine of another release, played by a proxy in front of a real one: the API versions that it
takes, how it refuses others, and what its answers lack."""

from __future__ import annotations

import http.client
import json
import re
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

REAL = "1.41"  # what the engine behind it speaks


class _Upstream(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Proxy(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves on `folder`/proxy.sock as an engine that speaks `oldest` to `newest`."""

    daemon_threads = True

    def __init__(self, folder: Path, behind: str, oldest: str, newest: str) -> None:
        self.path, self.behind = str(folder / "proxy.sock"), behind.removeprefix("unix://")
        self.url, self.oldest, self.newest = f"unix://{self.path}", oldest, newest
        self.asked: set[str] = set()
        super().__init__(self.path, _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else None
        body = self.rfile.read(length) if body is None else body
        found = re.match(r"/v([\d.]+)(/.*)", self.path)
        path = found[2] if found else self.path
        if found:
            self.server.asked.add(found[1])
            if refusal := self._refused(found[1]):
                self._whole(400, json.dumps({"message": refusal}).encode())
                return
            path = f"/v{REAL}{path}"
        upstream = _Upstream(self.server.behind)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOPS}
        upstream.request(self.command, path, body, headers)
        answer = upstream.getresponse()
        if path.endswith("/version"):
            said = json.loads(answer.read())
            said |= {"ApiVersion": self.server.newest, "MinAPIVersion": self.server.oldest}
            self._whole(answer.status, json.dumps(said).encode())
        else:
            self._stream(answer, events="/events" in path)
        upstream.close()

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = _serve

    def _refused(self, version: str) -> str:
        if _number(version) < _number(self.server.oldest):
            return (
                f"client version {version} is too old. Minimum supported API version is "
                f"{self.server.oldest}, please upgrade your client to a newer version"
            )
        if _number(version) > _number(self.server.newest):
            return (
                f"client version {version} is too new. Maximum supported API version is "
                f"{self.server.newest}"
            )
        return ""

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _whole(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer: http.client.HTTPResponse, *, events: bool) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOPS:
                self.send_header(name, value)
        if answer.status in (204, 304):
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        read = answer.readline if events else lambda: answer.read1(65536)
        while piece := read():
            piece = self._without(piece) if events else piece
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _without(self, line: bytes) -> bytes:
        """From 1.52 an event says who it is of in `Actor` alone."""
        if _number(self.server.newest) < (1, 52):
            return line
        event = json.loads(line)
        for name in ("id", "status", "from"):
            event.pop(name, None)
        return json.dumps(event).encode() + b"\n"


_HOPS = ("content-length", "transfer-encoding", "connection", "host")
