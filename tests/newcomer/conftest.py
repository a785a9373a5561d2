"""One scratch copy for each worker."""

from __future__ import annotations

import pytest

from tests.newcomer.scratch import Scratch


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """The copy, made once."""
    return Scratch(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture
def scratch(copy):
    """The copy, as it was, also after the test."""
    yield copy
    copy.take_back()
