"""`stowplan compare`: a simulation's prediction over what a real run did, with the errors."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from stowplan.experiments.files.paths import TEMPLATES
from stowplan.experiments.record.result import AGENT
from stowplan.experiments.record.task_lives import History, Key, Life, read_history
from stowplan.experiments.report.charts import Axis, Chart, Line, drawn, nice_axis, svg, waits_axis
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header

PREDICTED, MEASURED = 0, 1
# Number (which sets the colour), name and history of each.
Runs = Sequence[tuple[int, str, History]]
# Held to `--within`; the tail is only shown, as a few tasks make it.
_HELD = ("makespan", "start p50")


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity in both runs, in seconds."""

    name: str
    predicted_s: float
    measured_s: float

    @property
    def error_percent(self) -> float:
        """How much the prediction is above (or below) what was measured."""
        if self.measured_s == 0:
            return 0.0 if self.predicted_s == 0 else float("inf")
        return 100 * (self.predicted_s / self.measured_s - 1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs of one scenario.

    Figures are of the tasks that came to run in both; `apart` did in one alone, as where a run was
    interrupted. Of `tasks` placed in both, `same` are on the same instance in both. `comparable`
    were placed while the cluster held the same in both, and of these `agreeing` are on the same
    instance.
    """

    figures: tuple[Figure, ...]
    tasks: int
    same: int
    comparable: int
    agreeing: int
    apart: int = 0

    def missed(self, percent: float) -> list[str]:
        """What missed the limit: makespan, median start; "choices" where comparable ones differ."""
        held = [each for each in self.figures if each.name in _HELD]
        far = [each.name for each in held if abs(each.error_percent) > percent]
        return far + (["choices"] if self.agreeing < self.comparable else [])

    def within(self, percent: float) -> bool:
        """Whether nothing is missed."""
        return not self.missed(percent)

    @property
    def left_out(self) -> str:
        """Which tasks no figure is of; "" where there are none."""
        if not self.apart:
            return ""
        tasks = "1 task" if self.apart == 1 else f"{self.apart} tasks"
        return f"figures leave out {tasks} that came to run in one of the runs alone"

    @property
    def choices(self) -> str:
        """The choices in a line."""
        return (
            f"{self.same} of {self.tasks} tasks on the same instance; of {self.comparable} placed "
            f"on the same cluster in both runs, {self.agreeing}"
        )


def compared(predicted: History, measured: History) -> Comparison:
    """Hold a predicted run against a measured one, over what happened in both.

    At least one task must have come to run in both.
    """
    pair = (predicted, measured)
    ran = [_ran(run) for run in pair]
    shared = [[run.lives[key] for key in sorted(ran[0] & ran[1], key=str)] for run in pair]
    figures = [Figure("makespan", *_makespans(*shared))]
    for percent in (50, 95):
        values = (
            float(np.percentile([(x.running_ms or 0) - x.placed_ms for x in lives], percent)) / 1000
            for lives in shared
        )
        figures.append(Figure(f"start p{percent}", *values))
    both = [(life, measured.lives[k]) for k, life in predicted.lives.items() if k in measured.lives]
    comparable = [(one, other) for one, other in both if one.before == other.before]
    return Comparison(
        tuple(figures),
        len(both),
        sum(one.instance == other.instance for one, other in both),
        len(comparable),
        sum(one.instance == other.instance for one, other in comparable),
        len(ran[0] ^ ran[1]),
    )


def _ran(run: History) -> set[Key]:
    """The tasks that came to run."""
    return {key for key, life in run.lives.items() if life.running_ms is not None}


def _makespans(*runs: Sequence[Life]) -> tuple[float, float]:
    """Seconds from the first task placed to the last end, of the same tasks in both runs: that a
    task stopped, where it did in both, else that it came to run."""
    stopped = [
        all(life.stopped_ms is not None for life in pair) for pair in zip(*runs, strict=True)
    ]
    predicted, measured = (
        max(
            (life.stopped_ms if both else life.running_ms) or 0
            for life, both in zip(lives, stopped, strict=True)
        )
        - min(life.placed_ms for life in lives)
        for lives in runs
    )
    return predicted / 1000, measured / 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan compare`."""
    parser.add_argument("predicted", type=Path, help="journal of a simulation (.jsonl.gz)")
    parser.add_argument("measured", type=Path, help="journal of a real run (.sqlite or .jsonl.gz)")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="draw both there")
    parser.add_argument("--within", type=float, metavar="PERCENT", help="else exit with 1")
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Print the errors, draw the page, and hold them to `--within`."""
    header, predicted = read_history(arguments.predicted)
    real, measured = read_history(arguments.measured)
    _same_agent(arguments, header, real)
    if not predicted.instances & measured.instances:
        what = "no instance of that name in the other; engines play a scenario's fleet if their "
        what += "file gives them neither cpu nor memory"
        raise SpecError([(str(arguments.measured), what)])
    if not _ran(predicted) & _ran(measured):
        what = "no task came to run in both; are they runs of one scenario?"
        raise SpecError([(str(arguments.measured), what)])
    found = compared(predicted, measured)
    print(f"{'':10} predicted  measured   error")
    for each in found.figures:
        values = f"{each.predicted_s:8.2f} s {each.measured_s:7.2f} s"
        print(f"{each.name:10} {values} {each.error_percent:+6.1f} %")
    if found.left_out:
        print(found.left_out)
    print(found.choices)
    if arguments.out is not None:
        _write(arguments.out, header.run.get("scenario", "a run"), found, predicted, measured)
    if arguments.within is None:
        return 0
    missed = found.missed(arguments.within)
    print(f"within {arguments.within:g} %: " + (f"no, by {', '.join(missed)}" if missed else "yes"))
    return 1 if missed else 0


def _same_agent(arguments: argparse.Namespace, *headers: Header) -> None:
    """Refuse runs whose agents wait differently: an error would be of the agents, not of the model.

    A journal that does not say so was made when there was but one way.
    """
    one, other = (header.run.get(AGENT) for header in headers)
    if one is not None and other is not None and one != other:
        what = f"its agents are of the kind {other!r}, those of {arguments.predicted} of {one!r}; "
        what += f"simulate with `agent = {other!r}`, as a calibration file sets it"
        raise SpecError([(str(arguments.measured), what.replace("'", '"'))])


def _write(out: Path, title: str, found: Comparison, predicted: History, measured: History) -> None:
    """The page, and beside it its charts as a file of their own."""
    runs = ((PREDICTED, "predicted", predicted), (MEASURED, "measured", measured))
    charts = [
        ("Tasks RUNNING, by time since the first was placed", _timeline(runs)),
        ("Share of tasks that were RUNNING within so long", _starts(runs)),
    ]
    drawing = out.with_suffix(".svg")
    texts = {out: page(title, found, runs, charts), drawing: drawn(charts, [r[1] for r in runs])}
    for file, text in texts.items():
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SpecError([(f"--out {file}", error.strerror or str(error))]) from error
    print(f"page: {out}, its charts alone: {drawing}")


def page(title: str, found: Comparison, runs: Runs, charts: Sequence[tuple[str, str]]) -> str:
    """An HTML page that needs nothing else: figures, tasks RUNNING over time, starts."""
    environment: Any = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("compare.html.j2")
    return str(template.render(title=title, found=found, runs=runs, charts=charts))


def _timeline(runs: Runs) -> str:
    lines = [Line(name, index, _steps(run)) for index, name, run in runs]
    high_s = max(point[0] for line in lines for point in line.points)
    most = max(point[1] for line in lines for point in line.points)
    seconds = nice_axis(high_s, " s", 6)
    return svg(Chart("Tasks RUNNING over time", seconds, nice_axis(most, whole=True), lines))


def _steps(run: History) -> list[tuple[float, float]]:
    """The timeline with its corners: a line from point to point would lean."""
    points: list[tuple[float, float]] = []
    for at_ms, running in run.timeline():
        if points:
            points.append((at_ms / 1000, points[-1][1]))
        points.append((at_ms / 1000, running))
    return points


def _starts(runs: Runs) -> str:
    lines = []
    for index, name, run in runs:
        starts = run.starts_ms
        shares = [(each / 1000, 100 * (n + 1) / len(starts)) for n, each in enumerate(starts)]
        lines.append(Line(name, index, [(max(0.01, at), share) for at, share in shares]))
    ends = [line.points[place][0] for line in lines for place in (0, -1)]
    percent = Axis(0, 100, [(at, f"{at} %") for at in (0, 25, 50, 75, 100)])
    axis = waits_axis(min(ends), max(ends))
    return svg(Chart("Share of tasks that run within a time of being placed", axis, percent, lines))
