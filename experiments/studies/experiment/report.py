"""The report of an experiment: HTML, Markdown, LaTeX and figures, from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from stowplan.experiments.files.paths import TEMPLATES
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.report.formats import duration
from stowplan.experiments.studies.experiment.experiment import CellRuns, Experiment
from stowplan.experiments.studies.experiment.figures import drawings, svg_text, themed
from stowplan.experiments.studies.experiment.statistics import Interval, quantile_interval
from stowplan.experiments.studies.experiment.verdicts import (
    DIFFERENT,
    Verdict,
    digits,
    verdicts,
    words,
)
from stowplan.placement.errors import SpecError


def write_report(found: Experiment, folder: Path) -> list[Path]:
    """Write `report.html`, `report.md`, `tables.tex`, `results.csv` and `plots/*.svg`.

    The same experiment gives the same bytes, wherever and whenever it is written.

    Returns:
        the files, the HTML page first.
    Raises:
        SpecError: a file cannot be written.
    """
    drawn = [(each, svg_text(each.figure)) for each in drawings(found)]
    content = _content(found)
    files = [(each.title, f"plots/{each.name}.svg") for each, _ in drawn]
    figures = [(each.title, themed(text)) for each, text in drawn]
    texts = {
        "report.html": _page("experiment.html.j2", figures=figures, **content),
        "report.md": _page("experiment.md.j2", figures=files, **content),
        "tables.tex": latex(found),
        "results.csv": found.frame.to_csv(index=False),
        **{f"plots/{each.name}.svg": text + "\n" for each, text in drawn},
    }
    paths = []
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise SpecError([(str(path), error.strerror or str(error))]) from error
        paths.append(path)
    return paths


def _page(template: str, **content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return str(environment.get_template(template).render(**content))


def _content(found: Experiment) -> dict[str, Any]:
    of = verdicts(found)
    tables = [_table(found, metric) for metric in found.spec.metrics]
    return {
        "title": found.spec.question or f"An experiment on {found.about['scenario']}",
        "verdicts": words(found, of),
        "summary": summary(of),
        "tables": tables,
        "axes": list(found.axes),
        "about": _about(found),
        "DIFFERENT": DIFFERENT,
        "confidence": f"{100 * found.spec.compare.confidence:g} %",
    }


def summary(of: Sequence[Verdict]) -> str:
    """How many comparisons there are, and how many found a difference."""
    if not of:
        return "Nothing is compared: no axis has two values."
    claims = sum(each.kind == DIFFERENT for each in of)
    was = "comparison" if len(of) == 1 else "comparisons"
    return f"{claims} of {len(of)} {was} found a difference."


# --- tables -------------------------------------------------------------------------------------


def _table(found: Experiment, metric: str) -> dict[str, Any]:
    about = METRICS[metric].about if metric in METRICS else ""
    unit = METRICS[metric].unit if metric in METRICS else ""
    rows = [
        {
            "labels": list(cell.labels.values()),
            "mean": interval_text(found.mean(cell, metric)),
            "median": interval_text(_median(found, cell, metric)),
            "runs": int((~np.isnan(cell.values(metric))).sum()),
        }
        for cell in found.cells
    ]
    return {"metric": metric, "about": about, "unit": unit, "rows": rows}


def _median(found: Experiment, cell: CellRuns, metric: str) -> Interval | None:
    values = cell.values(metric)
    known = values[~np.isnan(values)]
    return quantile_interval(known, 0.5, found.spec.compare.confidence) if known.size else None


def interval_text(interval: Interval | None) -> str:
    """`12.3 (11.9 to 12.7)`; one end where the other is not known, as of a median of five runs."""
    if interval is None:
        return "-"
    low, high = interval.low, interval.high
    if np.isinf(low) or np.isinf(high):
        return f"{digits(interval.estimate)} (too few runs for an interval)"
    if low == high:
        return f"{digits(interval.estimate)} (all runs alike)"
    return f"{digits(interval.estimate)} ({digits(low)} to {digits(high)})"


def latex(found: Experiment) -> str:
    """A `tabular` of booktabs: cells as rows, means with half their interval by metric."""
    axes, metrics = list(found.axes), list(found.spec.metrics)
    lines = [
        f"% {_tex(found.spec.question or str(found.about['scenario']))}",
        f"% mean $\\pm$ half of the {100 * found.spec.compare.confidence:g} \\% interval",
        rf"\begin{{tabular}}{{{'l' * len(axes)}{'r' * len(metrics)}}}",
        r"\toprule",
        " & ".join(map(_tex, [*axes, *map(_headed, metrics)])) + r" \\",
        r"\midrule",
    ]
    for cell in found.cells:
        values = [_tex_mean(found.mean(cell, metric)) for metric in metrics]
        lines.append(" & ".join([*map(_tex, cell.labels.values()), *values]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _headed(metric: str) -> str:
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric} ({unit})" if unit else metric


def _tex_mean(mean: Interval | None) -> str:
    if mean is None:
        return "--"
    return rf"${digits(mean.estimate)} \pm {digits(mean.half_width)}$".replace(",", "{,}")


def _tex(text: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}"}
    return "".join(special.get(letter, letter) for letter in text)


# --- what was run on what -----------------------------------------------------------------------


def _about(found: Experiment) -> list[tuple[str, str]]:
    seeds = [len(cell.rows) for cell in found.cells]
    runs = len({name for cell in found.cells for name in cell.names.values()})
    said = f"{max(seeds)} in each of {len(found.cells)} cells, {runs} runs; every cell has the same"
    if found.pilot is not None:
        said += f"; {found.pilot} of them decided how many (Stein's two stages)"
    of = found.about
    lines = [
        ("Scenario", f"{of['scenario']}, {duration(of['duration_ms'] / 1000)} simulated"),
        *((f"Axis {axis}", ", ".join(labels)) for axis, labels in found.axes.items()),
        ("Seeds", said),
    ]
    if found.cut_ms or found.spec.warm_up:
        way = "MSER-5 on pilot runs" if isinstance(found.spec.warm_up, str) else "as asked"
        lines.append(("Warm-up left out", f"{duration(found.cut_ms / 1000)}, {way}"))
    if found.compared:
        count = len(verdicts(found))
        lines.append(
            (
                "Compared",
                f"{found.compared[0]} against {found.compared[1]}, by pairs of runs with the same "
                f"seed; Student's interval of the difference, Fieller's of the ratio; a difference "
                f"is claimed by Holm's correction for {count} comparisons",
            )
        )
    versions = ", ".join(f"{name} {of[name]}" for name in ("stowplan", "python", "numpy"))
    return [*lines, ("Versions", versions)]
