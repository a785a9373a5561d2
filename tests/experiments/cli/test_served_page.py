"""The live page of `stowplan serve`, in a browser: what it shows, and what its controls do."""

import json
import urllib.request

import pytest

from tests.experiments.cli.test_serve import client, served
from tests.experiments.report.driven import browser


def submit(tab, deed, **fields):
    """Fill a form of the page and send it; what the page says then."""
    for name, value in fields.items():
        script = f"document.querySelector('form[data-do={deed}] [name={name}]').value"
        tab.run(f"{script} = {json.dumps(value)}")
    tab.run("say('')")
    tab.run(f"act(document.querySelector('form[data-do={deed}]'))")
    return tab.run("document.getElementById('said').textContent")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with served("--clock", "60", "--testing") as url, browser(folder) as tab:
        client(url).create_cluster()
        tab.size(1280, 900)
        tab.open(f"{url}/")
        tab.until("typeof shown !== 'undefined' && shown !== null")
        yield url, tab
        assert tab.errors == []


def test_a_cluster_is_led_by_its_page(page):
    url, tab = page
    ecs = client(url)
    assert submit(tab, "define", family="app") == "done"
    assert submit(tab, "clock", factor="fast") == "done"
    assert submit(tab, "add", count="6") == "6 m5.large launched"
    tab.until("shown.totals.instances === 6 || (look(), false)")
    assert [zone for zone, _ in tab.run("shown.zones")] == [f"us-east-1{z}" for z in "abc"]
    tab.run("look()")
    assert submit(tab, "serve", name="web", count="9") == "service web of 9 created"
    tab.until("shown.totals.running === 9 || (look(), false)")
    assert "9" in tab.run("document.getElementById('services').textContent")
    assert submit(tab, "scale", service="web", count="12") == "web scaled to 12"
    tab.until("shown.totals.running === 12 || (look(), false)")
    assert submit(tab, "run", count="3") == "3 tasks of app run"
    assert "binpack" in submit(tab, "strategy", service="web", strategy="binpack:memory")
    (service,) = ecs.describe_services(services=["web"])["services"]
    assert service["placementStrategy"] == [{"type": "binpack", "field": "memory"}]
    assert submit(tab, "drain", zone="us-east-1b") == "1 instance of us-east-1b drained"
    tab.until("shown.zones[1][1].some((each) => each[4] === 1) || (look(), false)")
    assert submit(tab, "lose", zone="us-east-1a") == "us-east-1a lost"
    tab.until("!shown.zones.some(([zone]) => zone === 'us-east-1a') || (look(), false)")
    deeds = tab.run("shown.effects.map((row) => row[1])")
    assert deeds[0] == "us-east-1a lost"
    assert len(deeds) == 7
    assert tab.run("document.querySelectorAll('#effects tbody tr').length") == 7
    assert submit(tab, "run", count="11").startswith("Count must be between")


def test_what_a_deed_did_is_told_before_and_after(page):
    url, tab = page
    submit(tab, "clock", factor="step")
    before = tab.run("shown.totals.dollarsHour")
    submit(tab, "add", count="3")
    beside = {"content-type": "application/json"}
    hour = urllib.request.Request(f"{url}/_stowplan/clock", b'{"advance": "1h"}', beside)
    urllib.request.urlopen(hour, timeout=20)
    tab.until(f"shown.totals.dollarsHour > {before} || (look(), false)")
    after = tab.run("shown.totals.dollarsHour")
    assert after == pytest.approx(before + 3 * 0.096)
    dollars = tab.run("shown.effects[0].slice(2, 4)")
    assert dollars[1] == pytest.approx(after, rel=0.02)


@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
def test_nothing_hangs_out_of_a_screen(page, width, phone):
    _, tab = page
    tab.size(width, 844, phone=phone)
    tab.run("look()")
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.getElementById('map').clientWidth") > 300


def test_what_is_not_there_is_said(page):
    url, tab = page
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{url}/_stowplan/page.json?cluster=none")
    assert error.value.code == 404
    refused = "fetch('/_stowplan/lose-zone', {method: 'POST', body: '{}'}).then((a) => a.status)"
    assert tab.run(refused) == 415
