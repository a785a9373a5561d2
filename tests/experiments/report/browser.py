"""A headless Chromium for tests of pages."""

from __future__ import annotations

import subprocess
from pathlib import Path

# As root, in a container, and without a network.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=3000"),
)


def dom_of(address: str, folder: Path) -> str:
    """The page as Chromium leaves it; fails where the page had an error.

    Args:
        folder: for the browser's profile; it must be fresh.
    """
    command = ["chromium", *FLAGS, f"--user-data-dir={folder}", "--dump-dom", address]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    assert "Uncaught" not in run.stderr, run.stderr
    return run.stdout
