"""`stowplan run --map`: the page of `stowplan replay`, served while the run goes on.

Over time it shows the frames of a replay; what tasks there are now comes from the described state.
Whoever reaches the address may look. So a request must name it by a number, or by a name that is
this machine's: else any page in a browser here could ask in its own name (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import gethostname
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import page
from stowplan.placement.describe import Reader, State, Task
from stowplan.placement.errors import SpecError
from stowplan.placement.messages import Round
from stowplan.placement.model import TaskStatus

LOCALHOST = "127.0.0.1"
SILENT_S = 10
TASKS_MOST = 500
TASK_COLUMNS = ("task", "group", "definition", "status", "for", "instance", "reason")


class LiveMap:
    """Call it with every round; `pages` has what a browser may ask for."""

    def __init__(self, title: str) -> None:
        self._page = page(title, live="frames.json").encode()
        self._frames, self._lock, self._reader = Frames(), Lock(), Reader()

    def __call__(self, entry: Round) -> None:
        """Take in one round."""
        with self._lock:
            self._frames(entry)
            self._reader(entry)

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body of a path; None where there is nothing."""
        asked = urlsplit(path)
        match asked.path:
            case "/":
                return "text/html; charset=utf-8", self._page
            case "/frames.json":
                with self._lock:
                    document = self._frames.document()
                return "application/json", msgspec.json.encode(document)
            case "/tasks.json":
                named = parse_qs(asked.query).get("instance", [""])[0]
                with self._lock:
                    found = task_rows(self._reader.state, named)
                return "application/json", msgspec.json.encode(found)
        return None


@contextmanager
def served(live: LiveMap, at: str) -> Iterator[str]:
    """Serve the map at `[HOST:]PORT`, on this machine alone by default; yields its address.

    Port 0 is one that is free. Raises SpecError where that is no address, or not to be had.
    """
    host, port = address(at)
    try:
        server = ThreadingHTTPServer((host, port), _handler(live, host))
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


def task_rows(state: State, instance: str = "") -> dict[str, Any]:
    """The tasks of a cluster for people, those that run first, then the last that ended.

    Args:
        instance: only those on the instance of that name; "": all.
    Returns:
        `columns`, `rows` (at most `TASKS_MOST` of them), and how many `more` there are.
    """
    names = {number: each.ec2_instance_id for number, each in state.instances.items()}
    there = [t for t in state.tasks.values() if instance in ("", names.get(_on(t), ""))]
    ended = [task for task in there if task.last_status is TaskStatus.STOPPED]
    alive = [task for task in there if task.last_status is not TaskStatus.STOPPED]
    shown = [*alive, *reversed(ended)]
    rows = [_task_row(state, task, names.get(_on(task), "")) for task in shown[:TASKS_MOST]]
    return {"columns": TASK_COLUMNS, "rows": rows, "more": max(0, len(shown) - TASKS_MOST)}


def _on(task: Task) -> int:
    return -1 if task.instance is None else task.instance


def _task_row(state: State, task: Task, instance: str) -> list[str]:
    changed = task.stopped_at_ms or task.stopping_at_ms or task.started_at_ms or task.created_at_ms
    status = str(task.last_status)
    if task.desired_status is TaskStatus.STOPPED and task.last_status is not TaskStatus.STOPPED:
        status += ", to stop"
    if task.healthy is not None:
        status += ", healthy" if task.healthy else ", unhealthy"
    why = task.stopped_reason if task.waits_for is None else task.waits_for.reason
    if task.exit_code is not None:
        why += f" (exit code {task.exit_code})"
    since = f"{(state.now_ms - changed) / 1000:.0f} s"
    return [str(task.number), task.group, task.task_definition, status, since, instance, why]


def is_own(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_meant(named: str, host: str) -> bool:
    """Whether a Host header may name the address that is served at `host`."""
    try:
        name = urlsplit(f"//{named}").hostname or ""
    except ValueError:
        return False
    if name in ("localhost", host, gethostname().lower()):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def address(at: str) -> tuple[str, int]:
    """Host and port of `[HOST:]PORT`. Raises SpecError."""
    host, _, port = at.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 1 << 16):
        raise SpecError([(f"--map {at}", "expected PORT or HOST:PORT, such as 8080")])
    return host or LOCALHOST, int(port)


def _handler(live: LiveMap, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT_S  # half a request, or none, is not waited for for ever

        def do_GET(self) -> None:
            if not is_meant(self.headers.get("Host", ""), host):
                self.send_error(421, "no name of this machine's")
                return
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
