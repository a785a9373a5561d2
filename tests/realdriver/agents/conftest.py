"""A control plane and a crew of played agents for each test."""

from __future__ import annotations

import pytest

from tests.realdriver.agents.rig import Crew, Plane


@pytest.fixture
def plane():
    found = Plane()
    yield found
    found.close()


@pytest.fixture
def crew(plane):
    found = Crew(plane.url)
    yield found
    found.close()


@pytest.fixture
def ecs(plane):
    return plane.client()
