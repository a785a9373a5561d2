"""The journal: what is written is read back, and replays to the same commands or says where not."""

from __future__ import annotations

import io

import msgspec
import pytest

from stowplan.placement import messages as m
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.journal import FORMAT, Header, JournalWriter, read_journal, replay
from stowplan.placement.scheduler.scheduler import Scheduler, SchedulerConfig
from tests.driving import Driven, definition, draining, gone, instance, run_task, running, stopped


def story() -> list[m.Round]:
    """Something of everything, with chance in it."""
    world = Driven(SchedulerConfig(seed=3, provisioning_timeout_ms=5_000))
    world.round(definition(), *(instance(n, zone="ab"[n % 2]) for n in range(4)))
    world.round(m.RunTask(0, "app", 5), m.CreateService("web", "app", 3))
    world.round(running(0, 1, 2), m.RunTask(1, "nobody", 1))
    world.round(m.RunTask(2, "app", 1, capacity_provider="cp"), draining(1))
    world.round(gone(0), stopped(3))
    world.round(m.RunTask(3, "app", 50))
    world.round(at_ms=20_000)
    return world.rounds


def written(rounds, header=None) -> list[bytes]:
    stream = io.BytesIO()
    writer = JournalWriter(stream, header or Header(SchedulerConfig(seed=3)))
    for entry in rounds:
        writer(entry)
    return stream.getvalue().splitlines()


def fresh() -> Scheduler:
    return Scheduler(SchedulerConfig(seed=3, provisioning_timeout_ms=5_000))


def test_what_is_written_is_read_back_equal():
    header = Header(SchedulerConfig(9, None, None), {"scenario": "s"}, ("mine.py:Mine",))
    read, rounds = read_journal(written(story(), header))
    assert read == header
    assert list(rounds) == story()


def test_a_journal_is_a_line_for_the_header_and_one_for_every_round():
    assert len(written(story())) == 1 + len(story())


def test_the_same_rounds_give_the_same_bytes():
    assert written(story()) == written(story())


def test_a_journal_replays_to_the_same_commands():
    _, rounds = read_journal(written(story()))
    assert replay(fresh(), rounds) == len(story())


def test_a_replay_that_decides_otherwise_says_where_and_shows_both():
    rounds = story()
    rounds[1] = msgspec.structs.replace(rounds[1], commands=rounds[1].commands[:-1])
    with pytest.raises(PlacementError, match=r"round 1 at 2000 ms(.|\n)*recorded(.|\n)*replayed"):
        replay(fresh(), rounds)


def test_a_replay_with_another_seed_is_found_out():
    with pytest.raises(PlacementError, match="replays differently"):
        replay(Scheduler(SchedulerConfig(seed=4)), story())


@pytest.mark.parametrize("lines", [[], [b""], [b"{}"], [b"not json"]])
def test_a_journal_without_a_header_is_an_error_with_its_place(lines):
    with pytest.raises(PlacementError, match=r"^run\.jsonl:1: "):
        read_journal(lines, "run.jsonl")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"format":99,"of another":"shape"}', "99, which is too new"),
        (b'{"config":{},"format":0}', "0, which is too old"),
        (b'{"format":"1b"}', "1b"),
        (b'{"format":null}', "None"),
        (b'{"format":true}', "True"),
    ],
)
def test_a_journal_of_another_format_is_refused_in_a_sentence(line, found):
    with pytest.raises(SpecError) as raised:
        read_journal([line], "run.jsonl")
    what = f"of format version {found}: this stowplan reads journals of version {FORMAT}"
    assert raised.value.problems == (("run.jsonl", what),)


def test_a_journal_carries_its_format_and_one_without_is_of_the_first():
    first, *rest = written(story())
    assert msgspec.json.decode(first)["format"] == FORMAT
    without = first.replace(b',"format":1', b"")
    assert without != first
    header, rounds = read_journal([without, *rest])
    assert (header.format, list(rounds)) == (1, story())


def test_a_truncated_round_is_an_error_with_its_line_after_the_rounds_before_it():
    lines = written(story())
    lines[3] = lines[3][:-20]
    _, rounds = read_journal(lines, "run.jsonl")
    assert [next(rounds), next(rounds)] == story()[:2]
    with pytest.raises(PlacementError, match=r"^run\.jsonl:4: "):
        next(rounds)


def test_rounds_are_read_as_they_are_asked_for():
    def lines():
        yield from written(story())[:2]
        raise AssertionError("read too far")

    _, rounds = read_journal(lines())
    assert next(rounds) == story()[0]


def test_a_user_s_call_that_was_rejected_is_in_the_journal_with_its_answer():
    world = Driven()
    (rejected,) = world.round(run_task(0))
    _, rounds = read_journal(written(world.rounds))
    assert next(rounds).commands == (rejected,)
