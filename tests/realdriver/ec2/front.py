"""A front before moto's EC2 or `stowplan serve`: it keeps EC2's client tokens, and plays faults.

`hook` hears of every launch and termination, so that a test can boot what user data describes.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs

_ERROR = (
    "<?xml version='1.0'?><Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error>"
    "</Errors><RequestID>r</RequestID></Response>"
)
LOST = "lost"  # a fault: it is done, and the answer never arrives


class Front:
    """See the module. `faults(action, form)` gives (status, code, message), LOST or None."""

    def __init__(self, moto: str, hook=lambda action, form, ids: None):
        self._moto, self._hook = moto, hook
        self.faults = lambda action, form: None
        self.calls: Counter[str] = Counter()
        self.launches: list[tuple[str, tuple[str, ...]]] = []  # (token, ids), those that were made
        self.prices: dict[str, str] = {}  # of the Pricing API; without any nobody may ask it
        self._tokens: dict[str, tuple[dict, bytes]] = {}
        self._lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                front._serve(self)

            def log_message(self, *words):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # programs under test are killed

            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        action = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if action:
            form = json.loads(body)
        else:
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            action = form["Action"]
        self.calls[action] += 1
        if action == "GetProducts":  # moto has no Pricing API
            self._answer(handler, *self._priced(body))
            return
        fault = self.faults(action, form)
        if fault is not None and fault != LOST:
            status, code, message = fault
            text = _ERROR.format(code, message)
            if "Action" not in form:
                text = json.dumps({"__type": code, "message": message})
            self._answer(handler, status, text.encode())
            return
        status, answer = self._done(action, form, handler, body)
        if fault == LOST:
            handler.close_connection = True
            return
        self._answer(handler, status, answer)

    def _priced(self, body):
        fields = {each["Field"]: each["Value"] for each in json.loads(body)["Filters"]}
        price = self.prices.get(fields["instanceType"])
        if price is None:
            what = {"__type": "AccessDeniedException", "message": "not authorized"}
            return 400, json.dumps(what).encode()
        dimension = {"unit": "Hrs", "pricePerUnit": {"USD": price}}
        product = {"terms": {"OnDemand": {"t": {"priceDimensions": {"d": dimension}}}}}
        return 200, json.dumps({"PriceList": [json.dumps(product)]}).encode()

    def _done(self, action, form, handler, body):
        token = form.get("ClientToken")
        if action != "RunInstances" or not token or form.get("DryRun") == "true":
            status, answer = self._forward(handler, body)
            if action == "TerminateInstances" and status == 200:
                self._hook(action, form, tuple(re.findall(r"<instanceId>([^<]+)<", str(answer))))
            return status, answer
        with self._lock:
            if token in self._tokens:
                asked, answer = self._tokens[token]
                if asked != form:
                    what = _ERROR.format("IdempotentParameterMismatch", "another request")
                    return 400, what.encode()
                return 200, answer
            status, answer = self._forward(handler, body)
            if status == 200:
                self._tokens[token] = form, answer
                ids = tuple(re.findall(r"<instanceId>([^<]+)<", answer.decode()))
                self.launches.append((token, ids))
        if status == 200:
            self._hook(action, form, ids)
        return status, answer

    def _forward(self, handler, body):
        headers = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in ("content-length", "connection", "expect")
        }
        request = urllib.request.Request(self._moto + handler.path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def _answer(self, handler, status, body):
        handler.send_response(status)
        handler.send_header("Content-Type", "text/xml")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def user_data_of(form) -> str:
    """The script of a RunInstances call."""
    return base64.b64decode(form["UserData"]).decode()
