"""One AWS for all tests of the driver; each finds an account as it is on its first day."""

from __future__ import annotations

import pytest

from tests.realdriver.ec2.world import KEYS, World


@pytest.fixture(scope="session")
def whole_world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def world(whole_world, monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    whole_world.reset()
    yield whole_world
    whole_world.reset()
