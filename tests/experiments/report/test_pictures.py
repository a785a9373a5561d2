"""At most eight curves in a chart, whatever is compared, and charts as files."""

from __future__ import annotations

from stowplan.experiments.report.pictures import write_pictures
from stowplan.experiments.report.plots import CURVES_MOST, plots
from tests.experiments.report.made_results import result, scenario

MANY = [f"s{number}" for number in range(19)]


def sections(names):
    runs = [result(name) for name in names]
    return plots(scenario(), runs, {name: number for number, name in enumerate(names)})


def test_many_strategies_are_small_charts_on_the_same_axes_before_a_band_of_all():
    for section in sections(MANY):
        charts = [each["chart"] for each in section["charts"]]
        if not charts:
            continue
        lines = [line for chart in charts for line in chart.lines]
        assert {line.name.split(",")[0] for line in lines} == set(MANY)
        assert max(len(chart.lines) for chart in charts) <= CURVES_MOST
        assert len({(chart.y.high, chart.x.high) for chart in charts}) == 1
        for chart in charts:
            low, high = chart.band
            assert low
            assert all(a <= b for (_, a), (_, b) in zip(low, high, strict=True))
            assert '<path class="band"' in section["charts"][0]["svg"]


def test_few_are_in_one_chart_without_a_band():
    for section in sections(MANY[:3]):
        assert all(each["chart"].band == ((), ()) for each in section["charts"])
        assert len(section["charts"]) <= 1


def test_charts_are_files_for_slides(tmp_path):
    runs = [result("a"), result("b")]
    paths = write_pictures(scenario(), runs, tmp_path / "plots", ["png", "svg"])
    assert sorted(paths) == sorted((tmp_path / "plots").iterdir())
    assert {path.suffix for path in paths} == {".png", ".svg"}
    svg = (tmp_path / "plots" / "memory-reserved.svg").read_text()
    assert "<svg" in svg
    assert "<dc:date>" not in svg
    assert (tmp_path / "plots" / "memory-reserved.png").read_bytes().startswith(b"\x89PNG")
