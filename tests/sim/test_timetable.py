"""What is due comes once, in order of time, and at ticks."""

from hypothesis import given
from hypothesis import strategies as st

from stowplan.sim.timetable import Timetable


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=30), st.integers(1, 7))
def test_everything_is_due_once_at_the_next_tick(entries, tick):
    table, found = Timetable(tick), []
    for at_ms, entry in entries:
        table.add(at_ms, entry)
    while (at_ms := table.next_ms) is not None:
        assert table.pop(at_ms - 1) == []
        found += [(at_ms, entry) for entry in table.pop(at_ms)]
    rounded = [(-(-at_ms // tick) * tick, entry) for at_ms, entry in entries]
    assert found == sorted(rounded)
