"""`stowplan run --map`: the page of `stowplan replay`, served while the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import msgspec

from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import page
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import Round

LOCALHOST = "127.0.0.1"


class LiveMap:
    """Call it with every round; `pages` has what a browser may ask for."""

    def __init__(self, title: str) -> None:
        self._page = page(title, live="frames.json").encode()
        self._frames, self._lock = Frames(), Lock()

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        with self._lock:
            self._frames(entry)

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body of a path; None where there is nothing."""
        match path.partition("?")[0]:
            case "/":
                return "text/html; charset=utf-8", self._page
            case "/frames.json":
                with self._lock:
                    document = self._frames.document()
                return "application/json", msgspec.json.encode(document)
        return None


@contextmanager
def served(live: LiveMap, at: str) -> Iterator[str]:
    """Serve the map at `[HOST:]PORT`, on this machine alone by default; yields its address.

    Port 0 is one that is free. Raises SpecError where that is no address, or not to be had.
    """
    host, port = address(at)
    try:
        server = ThreadingHTTPServer((host, port), _handler(live))
    except OSError as error:
        raise SpecError([(f"--map {at}", error.strerror or str(error))]) from error
    thread = Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(at: str) -> tuple[str, int]:
    """Host and port of `[HOST:]PORT`. Raises SpecError."""
    host, _, port = at.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise SpecError([(f"--map {at}", "expected PORT or HOST:PORT, such as 8080")])
    return host or LOCALHOST, int(port)


def _handler(live: LiveMap) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = live.answer(self.path)
            if found is None:
                self.send_error(404)
                return
            kind, body = found
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with suppress(ConnectionError):  # the browser has turned away
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
