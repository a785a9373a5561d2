"""Sums over time of dollars, waiting and availability, and what deeds did to them."""

import msgspec
import pytest

from stowplan.experiments.report.effects import Effects
from stowplan.placement import messages as m
from stowplan.placement.describe import Reader
from tests.driving import Driven, definition, instance, running

PRICED = msgspec.structs.replace(instance(0), price_microusd_hour=96_000)


def test_sums_are_those_of_what_was_there():
    world, reader = Driven(), Reader()
    effects = Effects(reader.state)

    def taken():
        for entry in world.rounds[reader.state.rounds :]:
            effects(entry)
            reader(entry)

    world.round(definition(), PRICED, m.CreateService("s", "app", 2), at_ms=0)
    taken()
    price = effects.price() / 1e6
    tasks = tuple(reader.state.tasks)
    assert effects.waiting() == 2
    world.round(running(*tasks), at_ms=1_800_000)
    taken()
    effects.note("a deed", 1_800_000)
    after = effects.until(5_400_000)
    assert after.dollars == pytest.approx(1.5 * price)
    assert after.waiting == 2 * 1800
    assert (after.wanted, after.up) == (2 * 5400, 2 * 3600)
    ((at_s, what, *means),) = effects.rows(5_400_000)
    assert (at_s, what) == (1800, "a deed")
    assert means == [pytest.approx(price), pytest.approx(price), 2, 0, 0, 1]
