"""Growing arrays and coded string columns, against plain lists and dicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.cluster import arrays as columns
from stowplan.placement.cluster.arrays import StringColumns, grown


def test_an_array_with_room_is_not_copied():
    array = np.arange(5)
    assert grown(array, 5) is array
    assert grown(array, 2) is array


@pytest.mark.parametrize("axis", [0, 1])
def test_an_array_that_must_grow_keeps_its_entries_and_at_least_doubles(axis):
    array = np.arange(60).reshape((20, 3) if axis == 0 else (3, 20))
    bigger = grown(array, 21, axis=axis, fill=-1)
    assert bigger.shape[axis] >= 40
    assert bigger.shape[1 - axis] == 3
    assert bigger.dtype == array.dtype
    kept = bigger[tuple(slice(0, n) for n in array.shape)]
    assert np.array_equal(kept, array)
    assert bigger.sum() == array.sum() - (bigger.size - array.size)


def test_growing_one_entry_at_a_time_copies_seldom():
    array, copies = np.zeros(0, np.int64), 0
    for size in range(1, 2001):
        before, array = array, grown(array, size)
        copies += array is not before
    assert copies <= 12


def test_an_array_without_columns_grows_rows_and_columns():
    assert grown(np.zeros((0, 0)), 1).shape[0] >= 1
    assert grown(grown(np.zeros((0, 0)), 3), 2, axis=1).shape[1] >= 2


def texts(column):
    return [None if code < 0 else column.values[code] for code in column.codes.tolist()]


SUBJECTS = ("attribute:a", "attribute:b", "ec2InstanceId")


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.dictionaries(st.sampled_from(SUBJECTS), st.sampled_from("xyz"), max_size=3),
        ),
        max_size=25,
    )
)
def test_a_row_holds_what_was_last_set_and_nothing_else(changes):
    columns, rows = StringColumns(), {}
    for row, strings in changes:
        columns.set(row, strings)
        rows[row] = strings
        for subject in SUBJECTS:
            expected = [rows.get(r, {}).get(subject) for r in range(31)]
            assert texts(columns.column(subject, 31)) == expected
            assert texts(columns.column(subject, 3)) == expected[:3]


def test_a_subject_that_nobody_has_is_a_column_without_values():
    column = StringColumns().column("attribute:none", 4)
    assert texts(column) == [None] * 4
    assert list(column.values) == []


def test_a_subject_stays_known_after_its_last_value_is_gone():
    columns = StringColumns()
    assert "attribute:a" not in columns
    columns.set(0, {"attribute:a": "x"})
    columns.set(0, {})
    assert "attribute:a" in columns
    assert texts(columns.column("attribute:a", 2)) == [None, None]


def test_an_empty_string_is_a_value():
    columns = StringColumns()
    columns.set(1, {"attribute:a": ""})
    assert texts(columns.column("attribute:a", 2)) == [None, ""]


def test_what_is_kept_is_forgotten_only_when_there_is_too_much(monkeypatch):
    monkeypatch.setattr(columns, "MEMO_MAX", 3)
    kept = columns.Memo()
    for key in (1, 2, 3, 3):
        kept[key] = key
    assert kept == {1: 1, 2: 2, 3: 3}
    kept[4] = 4
    assert kept == {4: 4}
