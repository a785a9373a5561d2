"""Line charts as inline SVG whose colours and text sizes come from the page's style sheet.

So they follow its light and dark scheme and stay readable on a phone, without a script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 24, 34
POINTS_MAX = 360
COLOURS = 8

Points = Sequence[tuple[float, float]]
Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; `index` is its strategy's number, which sets its colour; a `dashed` one
    is what ECS believed."""

    name: str
    index: int
    points: Points
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, with ticks; `log` only where both ends are above zero."""

    low: float
    high: float
    ticks: Ticks
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies, from 0 (low end) to 1; values beyond the ends are put on them."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over common axes. `backdrop` is a grey area, `marks` are vertical lines with a word;
    `band` is a grey area from its first points up to its second."""

    label: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    marks: Ticks = ()
    backdrop: Points = ()
    band: tuple[Points, Points] = ((), ())


def nice_axis(high: float, unit: str = "", steps: int = 5, *, whole: bool = False) -> Axis:
    """An axis from 0 to at least `high` with about `steps` round ticks; `whole`: of counts."""
    rough = (high if high > 0 else 1.0) / steps
    rough = max(rough, 1.0) if whole else rough
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    count = math.ceil(high / step - 1e-6) or 1
    decimals = 0 if step >= 1 and step == int(step) else max(1, -math.floor(math.log10(step)))
    ticks = [(i * step, f"{i * step:,.{decimals}f}{unit}") for i in range(count + 1)]
    return Axis(0, max(count * step, high), ticks)


_UNITS = ((1440, "d"), (60, "h"), (1, "min"))  # in minutes, the longest first


def minutes_axis(high: float) -> Axis:
    """Minutes of simulated time, ending where the run ends; of long runs in hours or days."""
    size, unit = next(each for each in _UNITS if high >= 3 * each[0] or each[0] == 1)
    axis = nice_axis(max(high / size, 1e-3), steps=7)
    ticks = [(at * size, text) for at, text in axis.ticks if at * size <= high]
    # The unit stands at the first tick, where there is room for it on a phone too.
    return Axis(0, max(high, 1e-3), [(0, f"0 {unit}"), *ticks[1:]])


def waits_axis(low: float, high: float) -> Axis:
    """Seconds on a log scale, ticks as people say them."""
    known = {0.01: "10 ms", 0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min"}
    known |= {3_600: "1 h", 36_000: "10 h"}
    low = max((at for at in known if at <= low), default=0.01)
    high = max(high, 2 * low)
    return Axis(low, high, [(at, text) for at, text in known.items() if low <= at <= high], True)


def thinned(points: Points) -> Points:
    """At most POINTS_MAX points: means of equal stretches."""
    size = -(-len(points) // POINTS_MAX)
    if size <= 1:
        return points
    chunks = [points[i : i + size] for i in range(0, len(points), size)]
    return [(chunk[0][0], sum(y for _, y in chunk) / len(chunk)) for chunk in chunks]


def svg(chart: Chart) -> Markup:
    """The chart as an SVG element."""
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.label)}">',
        *_grid(chart),
    ]
    if chart.backdrop:
        floor = [(chart.backdrop[-1][0], 0.0), (chart.backdrop[0][0], 0.0)]
        parts.append(f'<path class="back" d="{_path(chart, [*chart.backdrop, *floor])}Z"/>')
    low, high = chart.band
    if low:
        parts.append(f'<path class="band" d="{_path(chart, [*high, *reversed(low)])}Z"/>')
    parts += [_mark(chart, at, text) for at, text in chart.marks]
    # Where lines coincide, the earlier and wider ones still show as a rim.
    width = [f"{1.4 + 0.5 * behind:g}" for behind in reversed(range(len(chart.lines)))]
    dash = {False: "", True: " dash"}
    parts += [
        f'<path class="line c{line.index % COLOURS}{dash[line.dashed or line.index >= COLOURS]}"'
        f' data-s="{line.index}" stroke-width="{stroke}" d="{_path(chart, line.points)}">'
        f"<title>{escape(line.name)}</title></path>"
        for line, stroke in zip(chart.lines, width, strict=True)
        if line.points
    ]
    return Markup("".join([*parts, "</svg>"]))


_STYLE = """
:root { --back: #ffffff; --ink: #1b1f24; --soft: #565e68; --line: #d9dde2;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #c05a98; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --ink: #e8eaed; --soft: #a4adb8;
  --line: #363c44; --c0: #4fa8e8; --c1: #ff8a47; --c2: #2fcf9f; --c3: #ec9bcb; } }
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: var(--soft); }
.head { font-size: 14px; fill: var(--ink); }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.grid { stroke: var(--line); fill: none; } .line { fill: none; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); }
"""


def drawn(charts: Sequence[tuple[str, str]], names: Sequence[str]) -> str:
    """Charts (heading, SVG element) below each other as one SVG file that needs no page, with a
    key of the lines' names, at most four."""
    head, key = 22, 30
    high = key + len(charts) * (head + HEIGHT)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" width="{2 * WIDTH}">'
        f'<style>{_STYLE}</style><rect width="100%" height="100%" style="fill: var(--back)"/>'
    ]
    for n, name in enumerate(names):
        at = LEFT + n * 120
        parts.append(f'<path class="line c{n}" stroke-width="4" d="M{at} 16h18"/>')
        parts.append(f'<text class="head" x="{at + 25}" y="21">{escape(name)}</text>')
    for n, (heading, chart) in enumerate(charts):
        top = key + n * (head + HEIGHT)
        parts.append(f'<text class="head" x="{LEFT}" y="{top + head}">{escape(heading)}</text>')
        where = f'<svg y="{top + head}" width="{WIDTH}" height="{HEIGHT}" '
        parts.append(str(chart).replace("<svg ", where, 1))
    return "".join([*parts, "</svg>\n"])


def _x(chart: Chart, value: float) -> float:
    return round(LEFT + chart.x.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(chart: Chart, value: float) -> float:
    return round(HEIGHT - BOTTOM - chart.y.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _path(chart: Chart, points: Points) -> str:
    known = [(x, y) for x, y in points if not math.isnan(y)]
    return "M" + "L".join(f"{_x(chart, x):g} {_y(chart, y):g}" for x, y in known)


def _grid(chart: Chart) -> list[str]:
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for at, text in chart.y.ticks:
        y = _y(chart, at)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y}" dy=".35em" class="end">{escape(text)}</text>')
    for at, text in chart.x.ticks:
        x = _x(chart, at)
        # The last label would stick out of the drawing were it centred.
        side = "end" if x > right - 20 else "mid"
        parts.append(f'<path class="grid" d="M{x} {floor}v5"/>')
        parts.append(f'<text x="{x}" y="{floor + 22}" class="{side}">{escape(text)}</text>')
    return parts


def _mark(chart: Chart, at: float, text: str) -> str:
    x = _x(chart, at)
    side = "word" if x < WIDTH * 0.6 else "word end"
    return (
        f'<path class="mark" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/>'
        f'<text x="{x}" y="{TOP - 7}" class="{side}">{escape(text)}</text>'
    )
