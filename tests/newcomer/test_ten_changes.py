"""A newcomer's ten changes: each made as CONTRIBUTING says and nowhere else, and it works.

Each is made in a scratch copy of the project. Its script runs there; so do the tests of the project
that find what is new by themselves.
"""

from __future__ import annotations

import pytest

from tests.newcomer.changes import CHANGES, COMMON
from tests.newcomer.scratch import files_for, is_named


@pytest.mark.parametrize("change", CHANGES)
def test_contributing_names_every_file_of_the_change(change):
    names = files_for(change)
    assert [edit.path for edit in CHANGES[change].edits if not is_named(edit.path, names)] == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_works_wherever_it_should(change, scratch, tmp_path):
    made = CHANGES[change]
    scratch.make(*made.edits)
    if made.script:
        scratch.run("-c", COMMON + made.script, cwd=tmp_path)
    if made.tests:
        files = [file for file, _ in made.tests]
        chosen = " or ".join(words for _, words in made.tests)
        said = scratch.run("-m", "pytest", "-p", "no:cacheprovider", *files, "-k", chosen)
        assert "100%" in said


@pytest.mark.parametrize("change", ["a driver"])
def test_the_house_has_a_floor_for_a_new_room(change, scratch):
    scratch.make(*CHANGES[change].edits)
    chosen = "not time_limit and not notebooks and not whole_project"
    scratch.run("-m", "pytest", "-p", "no:cacheprovider", "tests/test_tidy.py", "-k", chosen)


def test_what_was_taken_back_is_as_it_was(scratch):
    for change in CHANGES.values():
        scratch.make(*change.edits)
        scratch.take_back()
    assert not (scratch.root / "realdriver" / "memory").exists()
    text = (scratch.root / "placement" / "strategies" / "__init__.py").read_text(encoding="utf-8")
    assert "quietest" not in text
