"""The live map: what it serves is what the rounds so far come to."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from stowplan.experiments.report.live_map import LiveMap, address, served
from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import page
from stowplan.placement.errors import SpecError
from tests.driving import Driven, definition, instance, run_task


def made_rounds():
    """Two instances, then six tasks in two batches."""
    world = Driven()
    world.round(definition(), instance(0), instance(1, zone="b"))
    world.round(run_task(0, count=2, started_by="batch"))
    world.round(run_task(1, count=4, started_by="web"))
    return world.rounds


def got(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def document_of(rounds):
    frames = Frames()
    for entry in rounds:
        frames(entry)
    return frames.document()


def test_what_is_served_follows_the_rounds_and_ends_with_the_run():
    live, rounds = LiveMap("a < b"), made_rounds()
    with served(live, "0") as url:
        assert url.startswith("http://127.0.0.1:")
        assert "a &lt; b" in got(url)
        assert json.loads(got(url + "frames.json")) == document_of([])
        for seen, entry in enumerate(rounds, 1):
            live(entry)
            assert json.loads(got(url + "frames.json?now")) == document_of(rounds[:seen])
        with pytest.raises(urllib.error.HTTPError) as refused:
            got(url + "etc/passwd")
        assert refused.value.code == 404
    with pytest.raises(urllib.error.URLError):
        got(url)


def test_a_browser_draws_the_last_frame(dom):
    live, rounds = LiveMap("now"), made_rounds()
    for entry in rounds:
        live(entry)
    with served(live, "0") as url:
        drawn = dom(url)
    document = document_of(rounds)
    assert f'data-ready="{len(document["frames"]["ms"])}"' in drawn
    assert 'role="alert" hidden' in drawn
    starting = document["frames"]["counters"][-1][document["counters"].index("pending")]
    assert starting == 6
    assert "<dt>starting</dt><dd>6</dd>" in drawn.replace(' class=""', "")


def test_a_page_whose_run_is_over_says_so(tmp_path, dom):
    file = tmp_path / "page.html"
    file.write_text(page("over", live="http://127.0.0.1:9/frames.json"))
    drawn = dom(file.as_uri())
    assert "it is over, or was interrupted. The page follows" in drawn
    assert 'role="alert" hidden' not in drawn


def test_an_address_is_a_port_with_or_without_a_host():
    assert address("8080") == ("127.0.0.1", 8080)
    assert address("0.0.0.0:80") == ("0.0.0.0", 80)


@pytest.mark.parametrize(
    "at", ["", "x", "localhost", "1:", "65536", "-1", "no.such.host.invalid:0"]
)
def test_what_is_no_address_is_refused(at):
    with pytest.raises(SpecError, match="--map"), served(LiveMap("x"), at):
        pass


def test_a_port_that_is_taken_is_refused():
    with served(LiveMap("x"), "0") as url:
        taken = url.rstrip("/").rpartition(":")[2]
        with pytest.raises(SpecError, match="in use"), served(LiveMap("y"), taken):
            pass
