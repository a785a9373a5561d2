"""The live map: what it serves is what the rounds so far come to."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from stowplan.experiments.report import live_map
from stowplan.experiments.report.live_map import LiveMap, address, is_own, served, task_rows
from stowplan.experiments.report.replay_frames import Frames
from stowplan.experiments.report.replay_page import page
from stowplan.placement.errors import SpecError
from tests.driving import Driven, definition, instance, run_task, running, stopped


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


def asked_as(url, host):
    """The status of an answer to a request with this Host header."""
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_name_that_is_not_this_machines_is_refused():
    with served(LiveMap("x"), "0") as url:
        port = url.rstrip("/").rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "10.0.0.7"):
            assert asked_as(url + "frames.json", host) == 200, host
        for host in (f"evil.example:{port}", "127.0.0.1.evil.example", "", "[::1"):
            assert asked_as(url + "frames.json", host) == 421, host


def test_half_a_request_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(live_map, "SILENT_S", 0.3)
    with served(LiveMap("x"), "0") as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: 127")
            began = time.monotonic()
            assert half.recv(1) == b""
            assert time.monotonic() - began < 5


def test_tasks_are_shown_one_by_one_and_by_instance():
    live = LiveMap("now")
    world = Driven()
    world.round(definition(cpu=600), instance(0), instance(1, zone="b"))
    world.round(run_task(0, count=2, started_by="batch"))
    world.round(running(0, 1))
    world.round(stopped(1))
    for entry in world.rounds:
        live(entry)
    with served(live, "0") as url:
        found = json.loads(got(url + "tasks.json"))
        one = json.loads(got(url + "tasks.json?instance=i-1"))
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    assert [(row["task"], row["status"], row["instance"]) for row in rows] == [
        ("0", "RUNNING", "i-0"),
        ("1", "STOPPED", "i-1"),
    ]
    assert rows[1]["reason"] == "done"
    assert [row[0] for row in one["rows"]] == ["1"]
    assert task_rows(live._reader.state, "nobody")["rows"] == []


def test_a_browser_lists_the_tasks(dom):
    live = LiveMap("now")
    for entry in made_rounds():
        live(entry)
    with served(live, "0") as url:
        drawn = dom(url)
    assert drawn.count("<td>family:app</td>") == 6


def test_whom_an_address_is_shown_to():
    assert list(map(is_own, ("127.0.0.1", "localhost", "::1"))) == [True] * 3
    assert list(map(is_own, ("0.0.0.0", "example.org"))) == [False] * 2
