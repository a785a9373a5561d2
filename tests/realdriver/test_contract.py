"""The Docker driver keeps the contract of the protocol, on a real engine."""

from __future__ import annotations

from stowplan.testing import check_driver
from tests.realdriver.rig import Rig, container, ours, settings


def test_the_driver_keeps_the_contract(shared):
    rig = Rig(settings([shared], lost_after="60s"), [])
    document = {"family": "app", "containerDefinitions": [container()]}
    try:
        check_driver(lambda: rig.driver, definition=document, patience_ms=60_000, quiet_ms=1_500)
        assert not rig.driver.book.tasks, "an order that came again is not forgotten"
        assert not [c for c in ours(shared, rig.cluster).values() if c["State"]["Running"]]
    finally:
        with shared.client() as client:
            for found in ours(shared, rig.cluster).values():
                client.api.remove_container(found["Id"], v=True, force=True)
            client.api.remove_network(f"stowplan-{rig.cluster}")
