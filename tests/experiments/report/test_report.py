"""The report: complete, self-contained, and equal to the results."""

import base64
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from stowplan.experiments.record.records import SAMPLE_FIELDS
from stowplan.experiments.record.results import runs_frame
from stowplan.experiments.report.charts import (
    Axis,
    Chart,
    Line,
    minutes_axis,
    nice_axis,
    svg,
    thinned,
    waits_axis,
)
from stowplan.experiments.report.findings import findings
from stowplan.experiments.report.formats import (
    LOSS,
    USE,
    WAITING,
    dollars,
    duration,
    roughly,
    seconds,
)
from stowplan.experiments.report.report import PROVEN, write_report
from stowplan.placement.scenario.fields import Distribution
from stowplan.placement.scenario.models import Models
from tests.experiments.report.made_results import result, results, scenario

VOID = {"meta", "link", "br", "wbr", "input", "path"}


class Page(HTMLParser):
    """Checks that tags nest, and keeps tables, addresses and the map's data."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tables, self.text = [], [], [], ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.addresses += [v for k, v in attributes if k in ("src", "href", "action", "xlink:href")]
        if tag not in VOID or (tag == "path" and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        if tag not in VOID:
            self.handle_starttag(tag, attributes)
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data
        if any(tag in self.open for tag in ("td", "th")):
            self.tables[-1][-1][-1] += data


@pytest.fixture
def written(tmp_path):
    def write(runs, **changes):
        path = tmp_path / "report.html"
        write_report(scenario(**changes), runs, path)
        return path.read_text(encoding="utf-8")

    return write


def map_of(text):
    return json.loads(re.search(r'id="map-data">(.*?)</script>', text, re.S)[1])


def test_the_tables_have_every_run_and_the_numbers_of_the_frame(written):
    runs = results()
    ours = ("ever", "busy", "wait p50")
    tables = [t for t in Page(written(runs)).tables if t[0][1].startswith(ours)]
    frame = runs_frame(runs).set_index(["layout", "faults", "strategy"])
    seen = 0
    for number, table in enumerate(tables):
        layout = ("shared", "separate")[number // 6]
        faults = ("none", "zone-loss")[number // 3 % 2]
        loss = LOSS if faults != "none" else ()
        columns = (USE, WAITING + loss, PROVEN)[number % 3]
        for row in table[1:]:
            expected = frame.loc[layout, faults, row[0]]
            assert row[1:] == [column.text(expected[column.metric]) for column in columns]
            seen += 1
    assert seen == 3 * len(runs)


def test_without_a_minimum_no_table_speaks_of_it(written):
    metrics = dict.fromkeys(("dollars_busy_least", "dollars_busy_gap_pct"))
    assert "Busy against the minimum" not in written([result(**metrics)])
    assert "Busy against the minimum" in written([result()])


def test_waits_of_jobs_and_of_services_are_apart_and_shown_where_there_are_any(written):
    jobs, services = "How long standalone tasks waited", "How long services waited for tasks"
    text = written([result()])
    assert jobs in text
    assert services in text
    [table] = [t for t in Page(text).tables if t[0][1].startswith("wait p50")]
    assert table[0][1:] == [
        *("wait p50standalones", "wait p99standalones"),
        *("wait p50of servicess", "wait p99of servicess", "no place at end"),
    ]
    none = {"service_wait_p50_s": None, "service_wait_p99_s": None}
    text = written([replace(result(**none), service_waits=[])])
    assert services not in text
    assert "wait p50<span>of services" not in text
    # Four of the five tasks that the service came to lack ran: the curve ends at 80 %.
    [line] = svg_lines(written([result()]), "service waits")
    heights = [round((216 - float(point.split(" ")[1])) / 1.92) for point in line.split("L")]
    assert heights == [0, 60, 80, 80]


def svg_lines(text, label):
    """The paths of the lines of the chart whose label begins so."""
    [chart] = re.findall(rf'<svg [^>]*aria-label="{label}.*?</svg>', text, re.S)
    return re.findall(r'class="line [^>]* d="M([^"]*)"', chart)


def test_refusals_stand_by_reason_the_most_frequent_first(written):
    tables = Page(written([result()])).tables
    assert [["strategy", "RESOURCE:MEMORY", "RESOURCE:CPU"], ["binpack", "40", "2"]] in tables


def test_failed_deployments_have_a_column_where_there_are_any(written):
    assert "deployments failed" not in written(results())
    text = written([result(deployments_failed=0.0), result("spread", deployments_failed=3.0)])
    [table] = re.findall(r"<caption>Waiting</caption>.*?</table>", text, re.S)
    assert "deployments failed" in table
    assert re.findall(r"<td[^>]*>(\d+)</td></tr>", table) == ["0", "3"]


def test_how_long_things_take_is_said_and_who_says_so(written):
    said = "instances that are launched during the run boot in 40 s"
    starts = "tasks start in 0.66 s (median) and stop in 0.30 s"
    text = written([result()])
    assert said in text
    assert starts in text
    assert "<dt>Times that are measured</dt><dd>from placement to RUNNING" in text
    assert "<dt>Times that are documented</dt>" in text
    assert "yours" not in text
    boot = Distribution(distribution="exponential", mean="90s")
    start = Distribution(distribution="empirical", samples=("1s", "2s"))
    models = Models(boot=boot, start=start, stop=Distribution(mean="3s"))
    assert "at containers that wait for others 5 s" in text
    text = written([result()], models=models, agent="docker")
    assert "boot in 1 min 30 s (mean), tasks start in one of 2 measured times" in text
    yours = "models.boot (of the scenario), models.start (of the scenario), models.stop"
    assert f"<dt>Times that are yours</dt><dd>{yours}" in text
    assert "<dt>Times that are measured</dt>" not in text
    assert "and stop in 3.00 s" in text


def test_nothing_is_fetched_from_elsewhere(written):
    text = written(results())
    assert Page(text).addresses == ["data:,"]
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", text)


def test_the_map_holds_every_instance_of_every_run_at_every_time(written):
    data = map_of(written(results()))
    assert data["instances"] == [
        [f"i-{n:03d}", zone, "m5.xlarge"]
        for n, zone in enumerate(("us-east-1a", "us-east-1b", "us-east-1c"))
    ]
    assert data["ms"] == [0, 60_000, 120_000]
    assert list(data["runs"]) == ["shared", "separate"]
    for faults in data["runs"].values():
        assert list(faults) == ["none", "zone-loss"]
        for runs in faults.values():
            assert [data["strategies"][run[0]] for run in runs] == ["spread", "binpack"]
            for _, fill, busy in runs:
                assert busy == [0, 2, 0]
                assert list(base64.b64decode(fill)) == [0, 0, 0, 100, 25, 0, 50, 25, 255]


def test_a_very_large_map_leaves_out_frames_and_keeps_instances(written, monkeypatch):
    monkeypatch.setattr("stowplan.experiments.report.report.MAP_BYTES_MAX", 5)
    data = map_of(written([result()]))
    assert data["ms"] == [0, 120_000]
    assert len(base64.b64decode(data["runs"]["shared"]["none"][0][1])) == 6


@pytest.mark.parametrize("runs", [[], [result()]], ids=["none", "one"])
def test_few_results_make_a_whole_report(written, runs):
    page = Page(written(runs))
    assert ("There are no runs" in page.text) is (not runs)
    assert "nan" not in page.text.lower()


def test_runs_with_nothing_in_them_make_a_whole_report(written):
    nothing = result(wait_p50_s=None, wait_p99_s=None, refusals_by_reason="{}", submitted=0)
    nothing.samples[:] = [(0, *[0] * len(SAMPLE_FIELDS))]
    nothing.frames[:] = []
    nothing.instances[:] = []
    nothing.waits[:] = []
    assert "none at any time" in Page(written([nothing])).text


def test_names_are_text_and_never_markup(written):
    name = "</script><img src=x onerror=alert(1)>&\"'"
    runs = [result(strategy=name, layout=name, faults=name)]
    text = written(runs, name=name, question=name, strategies={name: ()})
    assert "<img" not in text
    assert "</script><" not in text.replace("</script>\n", "")
    page = Page(text)
    assert page.text.count(name) >= 8
    assert map_of(text)["strategies"] == [name]


def test_the_same_results_make_the_same_bytes(written):
    assert written(results()) == written(results())


def test_the_answer_names_who_did_best_and_by_how_much():
    found = findings(scenario(), results())
    text = {finding.title: finding.text for finding in found}
    busy = text["Instances and dollars"]
    assert "binpack kept the fewest instances busy: 4.2 of 12 on average" in busy
    assert "11.5 under spread" in busy
    loss = next(f for f in found if "zone-loss" in f.title and "shared" in f.title)
    assert [row[0] for row in loss.rows] == ["spread", "binpack"]
    assert {row[1] for row in loss.rows} == {"3"}
    parted = next(f for f in found if "against" in f.title)
    assert "Under 2 of 2 strategies standalone tasks waited longer in “separate”" in parted.text
    assert parted.rows[0][1] == "10.0 → 90.0"


def test_all_that_tie_are_named():
    """To the figures that are shown; who is first among them would be luck."""
    runs = [
        result(name, faults=faults, instances_busy_mean=busy, dollars_busy=paid, wait_p99_s=wait)
        for faults in ("none", "zone-loss")
        for name, busy, paid, wait in (
            ("a", 4.26, 1.0, 10.0),
            ("b", 9.0, 3.0, 300.0),
            ("c", 4.34, 1.5, 10.1),
            ("d", 9.0, 3.0, 301.0),
            ("e", 4.3, 1.5, 90.0),
        )
    ]
    lost = {"a": 1.0, "b": 5.0, "c": 5.0, "d": 2.0, "e": 1.0}
    runs = [
        replace(run, metrics={**run.metrics, "lost": lost[run.run.strategy]})
        if run.run.faults != "none"
        else run
        for run in runs
    ]
    text = {finding.title: finding.text for finding in findings(scenario(), runs)}
    busy = text["Instances and dollars"]
    assert "a, e and c kept the fewest instances busy: 4.3 of 12 on average" in busy
    assert "9.0 under b and d" in busy
    assert "$1.00\N{EN DASH}1.50 against $3.00" in busy
    assert "a and c let standalone tasks wait least" in text["Waiting"]
    assert "under b and d it took 5 min" in text["Waiting"]
    loss = next(each for title, each in text.items() if "zone-loss" in title)
    assert "a and e lost the fewest tasks, b and c the most" in loss


def test_strategies_that_do_alike_are_not_ranked():
    alike = [result("a", instances_busy_mean=100.0), result("b", instances_busy_mean=99.0)]
    assert "all strategies kept about as many busy" in findings(scenario(), alike)[0].text


def text_of(runs, title):
    [text] = [each.text for each in findings(scenario(), runs) if each.title == title]
    return text


def test_busy_instances_are_set_beside_those_that_were_up_in_the_same_run():
    """With capacity providers that is another number in every run, and far below who ever was."""
    runs = [
        result("a", instances=304, instances_mean=41.25, instances_busy_mean=39.6),
        result("b", instances=52, instances_mean=52.0, instances_busy_mean=50.0),
    ]
    text = text_of(runs, "Instances and dollars")
    assert "a kept the fewest instances busy: 39.6 of 41.2 that were up on average" in text
    assert "against 50.0 of 52 under b" in text
    assert "304" not in text
    alike = [runs[0], result("b", instances_mean=60.0, instances_busy_mean=39.7)]
    assert "busy: 39.6\N{EN DASH}39.7 of 41.2\N{EN DASH}60 on" in text_of(
        alike, "Instances and dollars"
    )
    assert "39.6 of 41.2 instances busy" in text_of(runs[:1], "Instances and dollars")


def test_fewest_instances_need_not_cost_least():
    """They may be the dear ones; what is saved or paid more is of the dollars that are shown."""
    for cheap, dear, said in ((3.0, 4.0, "(25 % less)"), (4.0, 3.0, "(33 % more)")):
        runs = [
            result("few", instances_busy_mean=2.0, dollars_busy=cheap),
            result("many", instances_busy_mean=4.0, dollars_busy=dear),
        ]
        assert said in text_of(runs, "Instances and dollars")
    runs = [result("few", instances_busy_mean=2.0), result("many", instances_busy_mean=4.0)]
    assert "%" not in text_of(runs, "Instances and dollars").split(" in all;")[0]


def test_waits_of_services_are_a_sentence_of_their_own():
    runs = [
        result("a", wait_p99_s=10.0, service_wait_p99_s=60.0, waiting=0.0),
        result("b", wait_p99_s=90.0, service_wait_p99_s=60.0, waiting=0.0),
    ]
    jobs, services = text_of(runs, "Waiting").split(". Half of them started within")
    assert "a let standalone tasks wait least: 99 of 100 that started" in jobs
    assert "99 of 100 tasks of services that started were running within 60 s" in services
    assert "no place" not in services
    none = [replace(r, metrics={**r.metrics, "wait_p99_s": None, "waiting": 7.0}) for r in runs]
    text = text_of(none, "Waiting")
    assert "standalone" not in text
    assert "Tasks that had no place at the end, 7, are in none of these figures" in text


def cut(run, **metrics):
    return replace(run, whole=False, metrics={**run.metrics, "simulated_s": 30.0, **metrics})


def test_an_interrupted_run_is_compared_with_nothing(written):
    """It would look cheap, as it did not run for long."""
    short = cut(result("short"), dollars=0.01, dollars_busy=0.01, instances_busy_mean=0.5)
    whole = [result("a", dollars=5.0), result("b", dollars=9.0, instances_busy_mean=30.0)]
    found = findings(scenario(), [*whole, short])
    assert [each.title for each in found] == [
        *("Interrupted", "Instances and dollars", "Services at their worst", "Waiting")
    ]
    assert "short__shared__none (after 30 s) did not come to the end" in found[0].text
    assert "short" not in found[1].text + found[2].text
    assert [each.text for each in findings(scenario(), whole)] == [e.text for e in found[1:]]
    [table] = [t for t in Page(written([*whole, short])).tables if t[0][1].startswith("ever")]
    assert [row[0] for row in table[1:]] == ["a", "b", "short (only 30 s)"]
    best = re.findall(r'class="best">([^<]*)<', written([*whole, short]))
    assert "5.00" in best
    assert "0.01" not in best


def test_where_no_run_came_to_its_end_nothing_is_compared():
    [only] = findings(scenario(), [cut(result("a")), cut(result("b"))])
    assert "nothing is compared" in only.text


def test_two_ways_are_compared_over_the_strategies_that_ran_both():
    """The one that was not struck waited longest: without it nothing got worse."""
    runs = [
        result("a", wait_p99_s=10.0),
        result("b", wait_p99_s=5_000.0),
        result("a", faults="zone-loss", wait_p99_s=10.0),
        cut(result("b", faults="zone-loss", wait_p99_s=1.0, lost=99.0)),
        result("a", layout="separate", wait_p99_s=20.0),
    ]
    found = {each.title: each for each in findings(scenario(), runs)}
    loss = next(each for title, each in found.items() if "zone-loss" in title)
    assert "waiting of standalone tasks stayed at 10 s" in loss.text
    assert loss.text.startswith("3 tasks died with their instance")
    assert [row[0] for row in loss.rows] == ["a"]
    parted = next(each for title, each in found.items() if "against" in title)
    assert "Under 1 of 1 strategies standalone tasks waited longer" in parted.text
    assert "went from 10 s to 20 s" in parted.text


def test_a_fault_is_not_charged_with_what_is_lost_without_it():
    """Capacity providers scale in instances with tasks whatever happens."""
    runs = [result("a", lost=14.0), result("a", faults="zone-loss", lost=20.0)]
    loss = findings(scenario(), runs)[-1]
    assert "Tasks that died with their instance went from 14 to 20" in loss.text
    assert loss.rows[0][1] == "14 → 20"
    harmless = [result("a"), result("a", faults="drain", lost=0.0)]
    assert "No task died with its instance" in findings(scenario(), harmless)[-1].text


def test_where_a_figure_is_missing_on_one_side_it_is_not_taken_for_nothing():
    runs = [
        result("a", wait_p99_s=None),
        result("a", layout="separate", wait_p99_s=20.0),
    ]
    text = findings(scenario(), runs)[-1].text
    assert "standalone tasks waited longer" not in text
    assert "tasks of services waited longer" in text


@pytest.mark.parametrize(
    ("value", "short", "long", "rough"),
    [
        (None, "-", "-", "-"),
        (float("nan"), "-", "-", "-"),
        (0.0, "0.00", "0 s", "0 s"),
        (0.326, "0.33", "0.33 s", "0.33 s"),
        (9.996, "10.0", "10 s", "10 s"),
        (59.6, "59.6", "1 min", "60 s"),
        (302.6, "303", "5 min 3 s", "5 min"),
        (7_500.0, "7,500", "2 h 5 min", "2.1 h"),
    ],
)
def test_times_are_written_to_be_read(value, short, long, rough):
    assert (seconds(value), duration(value), roughly(value)) == (short, long, rough)


def test_small_sums_of_money_do_not_read_as_nothing():
    assert [dollars(v) for v in (0, 0.0042, 82.766)] == ["0.00", "0.0042", "82.77"]


@pytest.mark.parametrize("high", [0, 0.003, 1, 3, 12, 288, 15_800, 1e9])
def test_axes_have_a_few_round_ticks_that_reach_the_top(high):
    for axis in (nice_axis(high), nice_axis(high, whole=True)):
        ticks = [at for at, _ in axis.ticks]
        assert axis.high >= max(high, ticks[-1])
        assert 2 <= len(ticks) <= 7
        assert len({text for _, text in axis.ticks}) == len(ticks)
    assert all(at == int(at) for at, _ in nice_axis(high, whole=True).ticks)


def test_axes_of_time_end_where_the_run_does():
    assert minutes_axis(35).high == 35
    assert [text for _, text in minutes_axis(35).ticks][:2] == ["0 min", "5"]
    hours, days = minutes_axis(1440), minutes_axis(7 * 1440)
    assert (hours.high, days.high) == (1440, 10_080)
    assert hours.ticks[:2] == [(0, "0 h"), (300, "5")]
    assert days.ticks[:3] == [(0, "0 d"), (1440, "1"), (2880, "2")]
    assert [text for _, text in waits_axis(0.15, 70).ticks] == ["0.1 s", "1 s", "10 s", "1 min"]


def test_a_chart_stays_inside_its_frame_and_leaves_out_what_is_unknown():
    axis = Axis(0, 10, [(0, "0"), (10, "10")])
    points = [(0, -5.0), (5, math.nan), (99, 99.0)]
    drawn = svg(Chart("c", axis, axis, [Line("a", 9, points)]))
    path = re.search(r'class="line c1 dash"[^>]* d="M([^"]*)"', drawn)[1]
    assert path == "56 216L506 24"


def test_long_lines_are_thinned_to_means():
    points = [(float(i), float(i % 2)) for i in range(3600)]
    thin = thinned(points)
    assert len(thin) == 360
    assert {y for _, y in thin} == {0.5}
