"""What holds for all tests."""

import os
from uuid import uuid4

import pytest
from hypothesis import settings

# How long an example takes says more about what else runs on the machine than about the code.
settings.register_profile("stowplan", deadline=None)
settings.load_profile("stowplan")

# No test can reach a real account, nor can a program that a test starts: clients of AWS may call
# this machine alone, call a closed port unless told otherwise, and find no credentials.
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ |= {
    "STOWPLAN_AWS_HOSTS": "127.0.0.1,localhost",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

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
