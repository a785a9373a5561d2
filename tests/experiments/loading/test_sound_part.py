"""What is left of a scenario file without what has a wrong shape."""

import copy
import re

import pytest

from stowplan.experiments.loading.sound_part import sound_part
from tests.experiments.scenarios import definition, sound

SOUND = sound() | {
    "task_definitions": {"web": definition(), "batch": definition()},
    "models": {"boot": {"mean": "30s"}},
    "capacity_provider": [
        {
            "name": "p",
            "instance_types": ["m5.large"],
            "zones": ["a"],
            "max_size": 1,
            "managed_scaling": {"target_capacity": 90},
        }
    ],
    "optimize": {"objective": {"placed": 5}},
}


def nodes(value, place=()):
    """Every place in a document."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, each in items:
        yield from nodes(each, (*place, key))


@pytest.mark.parametrize("junk", [5, "x", [], {}, [[5]], {"x": {"y": 5}}, -1.5, False])
def test_whatever_is_wrong_the_rest_is_a_scenario_and_each_problem_has_a_place_near_it(junk):
    for place in nodes(SOUND):
        document = copy.deepcopy(SOUND)
        target = document
        for part in place[:-1]:
            target = target[part]
        target[place[-1]] = junk
        before = copy.deepcopy(document)
        part = sound_part(document)
        assert document == before
        assert part.scenario.seed == 0
        assert {re.match(r"\w+", at)[0] for at, _ in part.problems} <= {place[0]}


def test_items_keep_the_places_that_they_have_in_the_file():
    document = copy.deepcopy(SOUND)
    good = {"at": "1s", "kind": "zone-loss", "zone": "a"}
    document["faults"]["loss"] = [{}, good, {"kind": "x"}, good]
    document["fleet"] = [5, document["fleet"][0], {}, document["fleet"][0]]
    part = sound_part(document)
    assert [len(part.scenario.fleet), len(part.scenario.faults["loss"])] == [2, 2]
    assert part.place("fleet[0].count") == "fleet[1].count"
    assert part.place("fleet[1].zones[0]") == "fleet[3].zones[0]"
    assert part.place("faults.loss[1]") == "faults.loss[3]"
    assert part.place("faults.loss2[1]") == "faults.loss2[1]"
    assert part.place("service[0].at") == "service[0].at"
    assert part.incomplete == {"fleet", "faults"}
