"""A headless Chromium that a test drives, by the DevTools protocol."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
import urllib.request
from contextlib import contextmanager

from websockets.sync.client import connect

from tests.experiments.report.browser import FLAGS


class Tab:
    """A page that is open."""

    def __init__(self, socket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.errors: list[str] = []
        self._send("Runtime.enable")
        self._send("Page.enable")

    def _send(self, method, **params):
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(self._socket.recv(timeout=60))
            if said.get("method") == "Runtime.exceptionThrown":
                self.errors.append(str(said["params"]["exceptionDetails"])[:500])
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """As on a screen of that size."""
        shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self._send("Emulation.setDeviceMetricsOverride", **shape)

    def open(self, address: str) -> None:
        """Go there."""
        self._send("Page.navigate", url=address)

    def run(self, script: str):
        """The value of an expression, awaited."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        said = self._send("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, script: str, seconds: float = 30):
        """Wait until an expression is true; its value."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}\n{self.errors}"
            time.sleep(0.1)
        return found


@contextmanager
def browser(folder):
    """A tab of a browser of its own; `folder` for its profile must be fresh."""
    flags = [flag for flag in FLAGS if not flag.startswith("--virtual-time")]
    command = ["chromium", *flags, "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    with subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            file, end = folder / "DevToolsActivePort", time.monotonic() + 60
            while not file.exists() or not file.read_text().count("\n"):
                assert time.monotonic() < end, "no browser"
                time.sleep(0.1)
            port = file.read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=20) as answer:
                (page, *_) = [e for e in json.load(answer) if e["type"] == "page"]
            with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
            process.wait(20)
