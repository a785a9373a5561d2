"""Engines for tests. Where none can be started, that is said loudly and not passed over."""

from __future__ import annotations

import warnings

import pytest

from stowplan.placement.messages import CreateService
from tests.driving import Driven, definition, instance, run_task
from tests.realdriver import engines as private


@pytest.fixture(scope="session")
def may_boot():
    """Skips, with a warning in the summary, where private engines cannot be had."""
    reason = private.why_not()
    if reason is not None:
        warnings.warn(f"NOT TESTED on real Docker: {reason}", stacklevel=1)
        pytest.skip(f"NOT TESTED on real Docker: {reason}")


@pytest.fixture(scope="session")
def warm():
    """Kernels are compiled before a test counts the seconds."""
    driven = Driven()
    driven.round(definition(), instance(0), run_task(placement_strategy=()))
    driven.round(CreateService("s", "app", 1))


@pytest.fixture
def boot(warm, may_boot, tmp_path_factory):
    """Boots private engines with the test image; all are taken away after the test."""
    booted = []

    def make(*args, data_mib=None, image=True):
        folder = tmp_path_factory.mktemp("engine")
        engine = private.Engine(folder, args, data_mib)
        booted.append(engine)
        engine.boot()
        if image:
            engine.load_image()
        return engine

    yield make
    for engine in booted:
        engine.close()


@pytest.fixture(scope="session")
def shared(warm, may_boot, tmp_path_factory):
    """One engine for all tests that leave it as it was."""
    engine = private.Engine(tmp_path_factory.mktemp("shared")).boot()
    engine.load_image()
    yield engine
    engine.close()
