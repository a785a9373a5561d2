"""docs/ecs-api.md says of every operation of the API model what becomes of it here."""

import re
from pathlib import Path

from stowplan.placement.taskdef.api_model import operations
from stowplan.placement.wire.front import CARRIED_OUT, REFUSED

PAGE = Path(__file__).parents[3] / "docs" / "ecs-api.md"
ROW = re.compile(r"^\| (\w+) \| (carried out|refused|not there) \|", re.M)


def test_the_page_has_every_operation_and_says_what_becomes_of_it():
    said = dict(ROW.findall(PAGE.read_text()))
    assert set(said) == set(operations())
    assert {name for name, word in said.items() if word == "carried out"} == set(CARRIED_OUT)
    assert {name for name, word in said.items() if word == "refused"} == set(REFUSED)
    counts = f"Of the {len(operations())} operations {len(CARRIED_OUT)} are carried out."
    assert counts in PAGE.read_text()
