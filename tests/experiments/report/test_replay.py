"""The replay page: its frames are what the recorder says, and a browser draws them."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.files.paths import SCENARIOS
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.record.records import SAMPLE_FIELDS
from stowplan.experiments.report import replay_frames
from stowplan.experiments.report.replay_frames import (
    CUT_OFF,
    DRAINING,
    FAILURE,
    FAULT,
    GONE,
    SERVICE,
    Frames,
)
from stowplan.experiments.report.replay_page import embedded
from stowplan.experiments.runs.simulate import simulate, world
from stowplan.placement.journal import read_journal
from stowplan.placement.loop import run_loop
from stowplan.placement.scenario.scenario import Run
from tests.driving import Driven, definition, draining, gone, instance, run_task

SMALL = SCENARIOS / "small.toml"


def small_rounds():
    loaded = load_scenario(SMALL)
    scheduler, driver = world(loaded, Run("binpack", "shared", "zone-loss"), 600_000)
    rounds = []
    run_loop(scheduler, driver, rounds.append)
    return rounds


@pytest.fixture(scope="module")
def rounds():
    return small_rounds()


def followed(rounds):
    frames = Frames()
    for entry in rounds:
        frames(entry)
    return frames


def unpacked(document):
    """For each frame, the cell of every instance seen so far, by number."""
    cells, found = {}, []
    for flat in document["frames"]["changes"]:
        at, number = 0, 0
        while at < len(flat):
            number, length = number + flat[at], flat[at + 1]
            cells[number] = flat[at + 2 : at + 2 + length]
            at += 2 + length
        found.append(dict(cells))
    return found


def until(rounds, ms):
    """A recorder that has seen all up to a time."""
    recorder = Recorder()
    for entry in rounds:
        if entry.now_ms <= ms:
            recorder(entry)
    return recorder


@pytest.mark.parametrize("frames_max", [5, 40, 400])
def test_frames_are_what_the_recorder_says_at_their_times(rounds, frames_max, monkeypatch):
    monkeypatch.setattr(replay_frames, "FRAMES_MAX", frames_max)
    document = followed(rounds).document()
    times, cells = document["frames"]["ms"], unpacked(document)
    assert frames_max / 2 < len(times) <= frames_max + 1
    assert times == sorted(times)
    assert times[-1] == rounds[-1].now_ms
    for at in range(0, len(times), max(1, len(times) // 12)):
        recorder = until(rounds, times[at])
        named = dict(zip(document["counters"], document["frames"]["counters"][at], strict=True))
        for name in set(SAMPLE_FIELDS) & named.keys():
            assert named[name] == getattr(recorder.totals, name), (name, times[at])
        for number, record in enumerate(recorder.instances):
            status, tasks, *shares = cells[at][number]
            assert (status == GONE) == (record.until_ms is not None)
            assert tasks == record.tasks
            # Each group's share is rounded to a percent of its own.
            error = 0.5 * len(shares[::3]) + 0.5
            for used, of, mine in (
                (recorder.amounts.held["CPU"][number], record.cpu, shares[1::3]),
                (recorder.amounts.held["MEMORY"][number], record.memory, shares[2::3]),
            ):
                assert sum(mine) == pytest.approx(100 * used / of, abs=error)


def test_groups_are_the_services_and_workloads(rounds):
    assert set(followed(rounds).document()["groups"]) == {"web", "cache", "batch"}


def test_the_price_is_of_the_instances_that_are_there(rounds):
    document = followed(rounds).document()
    first, last = document["frames"]["counters"][1][-1], document["frames"]["counters"][-1][-1]
    assert (first, last) == (12 * 192_000, 8 * 192_000)


def test_what_happened_is_listed_with_its_kind():
    world = Driven()
    world.round(definition(cpu=512), instance(0), instance(1), instance(2, zone="b"))
    world.round(run_task(0, count=9, started_by="batch"))
    world.round(draining(0))
    world.round(gone(2))
    document = followed(world.rounds).document()
    events = [(kind, text, n) for _, kind, text, n in document["events"]]
    assert (FAULT, "instances DRAINING in a", 1) in events
    assert (FAULT, "instances terminated in b", 1) in events
    assert (FAILURE, "batch: no room, RESOURCE:CPU", 3) in events
    assert (FAILURE, "tasks lost with their instance", 2) in events
    statuses = {number: cell[0] for number, cell in unpacked(document)[-1].items()}
    assert statuses == {0: DRAINING, 1: replay_frames.ACTIVE, 2: GONE}


def test_an_instance_that_registers_again_is_there_again():
    world = Driven()
    world.round(definition(), instance(0), instance(0))
    world.round(gone(0))
    frames = followed(world.rounds)
    assert frames.document()["frames"]["counters"][-1][3] == 0
    world.round(instance(0))
    document = followed(world.rounds).document()
    assert document["frames"]["counters"][-1][3] == 1
    assert unpacked(document)[-1][0][0] == replay_frames.ACTIVE


def test_instances_that_are_cut_off_are_marked():
    loaded = load_scenario(SCENARIOS / "deployments.toml")
    scheduler, driver = world(loaded, Run("ecs-default", "shared", "partition"), 660_000)
    frames = Frames()
    run_loop(scheduler, driver, frames)
    document = frames.document()
    statuses = [cell[0] for cell in unpacked(document)[-1].values()]
    assert statuses.count(CUT_OFF) == 9
    kinds = {kind for _, kind, _, _ in document["events"]}
    assert {SERVICE, FAULT, FAILURE} <= kinds


def test_events_are_bounded(monkeypatch):
    monkeypatch.setattr(replay_frames, "EVENTS_MAX", 10)
    events = replay_frames._Events()
    for at in range(1000):
        events.add(at * 1000, FAILURE, f"{at % 3}", 2)
    assert len(events.lines) <= 20
    assert sum(count for _, _, _, count in events.listed()) == 2000
    for at in range(100):
        events.add(1_000_000, FAILURE, f"another {at}", 1)
    assert len(events.lines) <= 20
    assert sum(count for _, _, _, count in events.listed()) == 2100


def test_the_data_is_thinned_until_it_fits(rounds, monkeypatch):
    frames = followed(rounds)
    whole = len(embedded(frames))
    monkeypatch.setattr("stowplan.experiments.report.replay_page.BYTES_MAX", whole // 2)
    assert len(embedded(frames)) <= whole // 2
    document = frames.document()
    assert unpacked(document)[-1] == unpacked(followed(rounds).document())[-1]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    loaded = load_scenario(SMALL)
    simulate(loaded, Run("binpack", "shared", "zone-loss"), folder / "run.jsonl.gz")
    assert main(["replay", str(folder / "run.jsonl.gz")]) == 0
    return folder / "run.html"


@pytest.fixture(scope="module")
def kept(written):
    """The rounds of the journal, to the end of the run."""
    with gzip.open(written.with_name("run.jsonl.gz")) as lines:
        _, rounds = read_journal(lines)
        found = list(rounds)
    assert (found[-1].now_ms, found[-1].events) == (load_scenario(SMALL).scenario.duration, ())
    return found


def test_the_page_needs_no_network_and_holds_the_document(written, kept):
    text = written.read_text()
    assert not re.findall(r"(?:src|href|action)=\"(?!data:,)", text)
    data = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(gzip.decompress(base64.b64decode(data))) == followed(kept).document()
    assert len(text) < 100_000


def test_a_browser_draws_the_page_without_an_error(written, kept, dom):
    page = dom(written.as_uri())
    document = followed(kept).document()
    assert f'data-ready="{len(document["frames"]["ms"])}"' in page
    assert 'role="alert" hidden' in page
    assert page.count("<li ") == len(document["events"])
    # It opens at the frame after the first fault, with the counters of that frame.
    fault = next(ms for ms, kind, *_ in document["events"] if kind == FAULT)
    at = next(i for i, ms in enumerate(document["frames"]["ms"]) if ms >= fault) + 1
    assert f"<dd>{document['frames']['counters'][at][0]}</dd>" in page


def test_the_title_is_the_name_of_the_run_and_no_more(written, tmp_path):
    with gzip.open(written.with_name("run.jsonl.gz"), "rt") as journal:
        header, *lines = journal
    header = header.replace('"scenario":', '"engines":"unix:///docker.sock","scenario":')
    with gzip.open(tmp_path / "j.jsonl.gz", "wt") as journal:
        journal.writelines([header, *lines])
    assert main(["replay", str(tmp_path / "j.jsonl.gz")]) == 0
    text = (tmp_path / "j.html").read_text()
    assert "<h1>small · binpack · shared · zone-loss</h1>" in text
    assert "docker.sock" not in text


def test_what_is_not_a_journal_is_refused(tmp_path, capsys):
    for content in (b"no gzip", gzip.compress(b"{}"), gzip.compress(b"x")[:-5]):
        (tmp_path / "j.jsonl.gz").write_bytes(content)
        assert main(["replay", str(tmp_path / "j.jsonl.gz")]) == 2
        assert "j.jsonl.gz" in capsys.readouterr().err
    assert main(["replay", str(tmp_path / "none.jsonl.gz")]) == 2


def test_a_run_with_a_capacity_provider_is_drawn():
    loaded = load_scenario(SCENARIOS / "capacity" / "scale_in.toml")
    run = next(loaded.scenario.runs())
    scheduler, driver = world(loaded, run, loaded.scenario.duration)
    frames = Frames()
    run_loop(scheduler, driver, frames)
    document = frames.document()
    texts = " ".join(text for _, _, text, _ in document["events"])
    assert "instances wanted" in texts
    present = [row[3] for row in document["frames"]["counters"]]
    prices = [row[-1] for row in document["frames"]["counters"]]
    assert max(present) > 0
    assert max(prices) > 0


def test_play_goes_on_and_every_choice_draws(written, rounds, tmp_path, dom):
    script = """<script>setTimeout(() => {
      document.getElementById("frame").value = 0;
      document.getElementById("frame").dispatchEvent(new Event("input"));
      document.getElementById("by").value = "2";
      document.getElementById("by").dispatchEvent(new Event("change"));
      document.querySelector("#legend button").click();
      document.querySelectorAll("#events li")[0].click();
      document.getElementById("play").click();
    }, 800);</script>"""
    page_text = written.read_text().replace("</body>", script + "</body>")
    (tmp_path / "played.html").write_text(page_text)
    page = dom((tmp_path / "played.html").as_uri())
    assert ">Pause</button>" in page
    assert 'aria-pressed="true"' in page
    shown = re.search(r'<output id="time"[^>]*>(\d+):(\d+):(\d+)', page).groups()
    ms = sum(int(part) * unit for part, unit in zip(shown, (3_600_000, 60_000, 1000), strict=True))
    times = followed(rounds).document()["frames"]["ms"]
    assert times[3] <= ms < times[-1]
