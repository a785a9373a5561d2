"""Made-up chains name fields that no made-up instance has: what is refused has tests of its own."""

import pytest

from stowplan.placement.engine.eligibility import Eligibility


@pytest.fixture(autouse=True, scope="module")
def fields_that_no_instance_has():
    """As a scheduler has it, whose instances may register later; see `Eligibility.check_fields`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Eligibility, "check_fields", lambda self, kind: None)
        yield
