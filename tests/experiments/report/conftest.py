"""A browser for the tests of pages."""

from __future__ import annotations

import pytest

from tests.debian import need
from tests.experiments.report.browser import dom_of


@pytest.fixture(scope="session")
def chromium():
    """Skips where there is no Chromium; Debian's is installed where that can be."""
    need(("chromium",), ("chromium",))


@pytest.fixture
def dom(chromium, tmp_path):
    """Address -> the page as a browser leaves it."""
    return lambda address: dom_of(address, tmp_path / "profile")
