"""What holds for all tests."""

from uuid import uuid4

import pytest
from hypothesis import settings

# How long an example takes says more about what else runs on the machine than about the code.
settings.register_profile("stowplan", deadline=None)
settings.load_profile("stowplan")

# Seconds for a test, its fixtures included, that waits for real engines or for a browser: the first
# one may install them. `long` is for tests of minutes. All others have the limit of pyproject.toml.
LONG_S, REAL_S = 3600, 900
REAL_FIXTURES = frozenset({"may_boot", "chromium"})


def pytest_collection_modifyitems(items):
    """A limit for those that may take longer than others, where they do not set one themselves."""
    for item in items:
        if item.get_closest_marker("timeout") is not None:
            continue
        if item.get_closest_marker("long") is not None:
            item.add_marker(pytest.mark.timeout(LONG_S))
        elif not REAL_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(REAL_S))


@pytest.fixture(autouse=True)
def a_cache_of_its_own(tmp_path_factory, monkeypatch):
    """No test begins with what another has left in the user's cache."""
    monkeypatch.setenv(
        "STOWPLAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache" / uuid4().hex)
    )
