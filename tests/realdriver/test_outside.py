"""Calls from outside in the middle of a run on a real engine."""

from __future__ import annotations

from tests.outside import arrivals, check_outside
from tests.realdriver.rig import Rig, container, ours, settings


def test_a_run_on_an_engine_takes_calls_from_outside(shared):
    document = {"family": "app", "containerDefinitions": [container()]}
    rig = Rig(settings([shared]), arrivals(document))
    try:
        check_outside(rig.callers, rig.rounds, rig.until, "app")
        there = ours(shared, rig.cluster).values()
        assert sum("FROM=outside" in (each["Config"]["Env"] or ()) for each in there) == 2
    finally:
        rig.close()
        with shared.client() as client:
            for found in ours(shared, rig.cluster).values():
                client.api.remove_container(found["Id"], v=True, force=True)
            client.api.remove_network(f"stowplan-{rig.cluster}")
