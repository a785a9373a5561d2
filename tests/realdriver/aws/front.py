"""A front of AWS for tests: ECS's calls go to one address, others to another, or are refused."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_SKIPPED = {"host", "content-length", "connection", "accept-encoding"}


class Front:
    """Stands at `url`.

    Args:
        ecs, others: the addresses behind; None: nothing is there.

    `denied`: actions that nobody may call. `throttled`: how often an action is throttled first.
    `hook`: called with the action of each request, before it is passed on. `actions`: all that
    were called, in order.
    """

    def __init__(self, ecs: str, others: str | None = None) -> None:
        self.ecs, self.others = ecs, others
        self.denied: set[str] = set()
        self.throttled: dict[str, int] = {}
        self.hook = lambda action: None
        self.actions: list[str] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                front._answer(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        target = handler.headers.get("x-amz-target", "")
        action = target.rpartition(".")[2] or parse_qs(body.decode()).get("Action", [""])[0]
        self.actions.append(action)
        self.hook(action)
        if action in self.denied:
            status, said = 400, _refusal("AccessDeniedException", "no", bool(target))
        elif self.throttled.get(action, 0) > 0:
            self.throttled[action] -= 1
            status, said = 400, _refusal("ThrottlingException", "Rate exceeded", bool(target))
        else:
            behind = self.ecs if "ContainerService" in target else self.others
            status, said = self._passed_on(handler, behind, body)
        handler.send_response(status)
        handler.send_header("content-length", str(len(said)))
        handler.send_header("content-type", "application/x-amz-json-1.1" if target else "text/xml")
        handler.end_headers()
        handler.wfile.write(said)

    def _passed_on(self, handler, behind, body):
        if behind is None:
            return 404, b"nothing is here"
        headers = {k: v for k, v in handler.headers.items() if k.lower() not in _SKIPPED}
        request = urllib.request.Request(behind + handler.path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def _refusal(code: str, text: str, as_json: bool) -> bytes:
    if as_json:
        return json.dumps({"__type": code, "message": text}).encode()
    inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
    return f"<ErrorResponse>{inner}<RequestId>1</RequestId></ErrorResponse>".encode()
