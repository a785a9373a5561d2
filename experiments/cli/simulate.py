"""`stowplan simulate`: runs a scenario, and writes table, report, results and journals."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.loading.arguments import whole
from stowplan.experiments.loading.load import load_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import Run, Scenario

if TYPE_CHECKING:
    from stowplan.experiments.record.result import RunResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan simulate`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument("--out", type=Path, required=True, help="folder for report and results")
    parser.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME=CHAIN",
        help="compare this one too: mine=my.py:Mine, or two=spread:instanceId,binpack:cpu",
    )
    parser.add_argument("--only", metavar="TEXT", help="only runs whose name contains this")
    parser.add_argument("--jobs", type=int, help="processes at a time (default: processors)")
    parser.add_argument(
        "--ties",
        choices=("auto", "both", "set"),
        default="auto",
        help="repeat runs with ties decided the other way: auto (default) where it takes little "
        "time, both always, set never",
    )
    parser.add_argument("--seed", type=whole, help="instead of the scenario's")
    parser.add_argument("--csv", action="store_true", help="every table as csv/NAME.csv, too")
    parser.add_argument("--png", action="store_true", help="the charts as plots/NAME.png, too")
    parser.add_argument("--svg", action="store_true", help="the charts as plots/NAME.svg, too")
    parser.set_defaults(command=simulate)


def simulate(arguments: argparse.Namespace) -> int:
    """`stowplan simulate`: every run of the scenario, then table, report, Parquet and journals."""
    from stowplan.experiments.cli.regret import with_least
    from stowplan.experiments.record.output import elsewhere, is_full, output_folder
    from stowplan.experiments.report.console import ProgressBars, print_table
    from stowplan.experiments.report.ties import ties_finding
    from stowplan.experiments.runs.parallel import check_jobs, run_all

    check_jobs(arguments.jobs)
    extra = _extra_strategies(arguments.strategy)
    loaded = load_scenario(arguments.scenario, extra).seeded(arguments.seed)
    scenario = loaded.scenario
    say_notes(loaded)
    runs = _chosen(scenario, arguments.only)
    with output_folder(arguments.out) as folder:
        journals = folder / "journals"
        journals.mkdir()
        with ProgressBars([run.id for run in runs], scenario.duration) as bars:
            results = run_all(
                arguments.scenario,
                runs,
                journals,
                bars,
                extra_strategies=extra,
                jobs=arguments.jobs,
                seed=arguments.seed,
            )
        again = _again(arguments, scenario, results, journals, extra)
        results = with_least(results)
        print_table(results)  # first, so that nothing on the way to a file can lose it
        try:
            _write(arguments, scenario, results, folder, again)
        except OSError as error:
            if not is_full(error):
                raise
            there = elsewhere(arguments.out.name, arguments.out)
            _write(arguments, scenario, results, there, again)
            what = f"no space left on the disk; results and report are in {there}"
            raise SpecError([(f"--out {arguments.out}", what)]) from error
    if tied := ties_finding(scenario, results, again):
        print(f"ties: {tied.text}")
    print(f"report: {arguments.out / 'report.html'}")
    short = [r.run.id for r in results if not r.whole]
    if short or len(results) < len(runs):
        never = len(runs) - len(results)
        print(f"interrupted: {never} runs never began; cut short: {', '.join(short) or 'none'}")
        return 130
    return 0


def _write(
    arguments: argparse.Namespace,
    scenario: Scenario,
    results: list[RunResult],
    folder: Path,
    again: list[RunResult],
) -> None:
    """Results and report, and what was asked for beside them."""
    from stowplan.experiments.record.results import write_results
    from stowplan.experiments.report.report import write_report

    write_results(results, folder, again)
    write_report(scenario, results, folder / "report.html", again)
    if arguments.csv:
        from stowplan.experiments.record.results import write_csv

        write_csv(results, folder / "csv", again)
    kinds = [kind for kind in ("png", "svg") if getattr(arguments, kind)]
    if kinds:
        from stowplan.experiments.report.pictures import write_pictures

        write_pictures(scenario, results, folder / "plots", kinds)


def _again(
    arguments: argparse.Namespace,
    scenario: Scenario,
    results: list[RunResult],
    journals: Path,
    extra: dict[str, str | list[str]],
) -> list[RunResult]:
    """The runs repeated with ties decided the other way; their journals only where asked for."""
    from stowplan.experiments.report.console import ProgressBars
    from stowplan.experiments.runs.parallel import run_all
    from stowplan.experiments.runs.ties import BOTH, repeats

    if len(results) < len(_chosen(scenario, arguments.only)) or not all(r.whole for r in results):
        return []  # interrupted: whoever did that wants no more of it
    runs = repeats(scenario, results, arguments.ties)
    if not runs:
        return []
    kept = journals if arguments.ties == BOTH else None
    with ProgressBars([run.id for run in runs], scenario.duration) as bars:
        again = run_all(
            arguments.scenario,
            runs,
            kept,
            bars,
            extra_strategies=extra,
            jobs=arguments.jobs,
            seed=arguments.seed,
        )
    return [result for result in again if result.whole]


def _extra_strategies(texts: list[str]) -> dict[str, str | list[str]]:
    problems = [(f"--strategy {text}", "expected NAME=CHAIN") for text in texts if "=" not in text]
    if problems:
        raise SpecError(problems)
    pairs = (text.split("=", 1) for text in texts)
    return {name: chain.split(",") if "," in chain else chain for name, chain in pairs}


def _chosen(scenario: Scenario, text: str | None) -> list[Run]:
    runs = [run for run in scenario.runs() if text is None or text in run.id]
    if not runs:
        names = ", ".join(run.id for run in scenario.runs())
        raise SpecError([(f"--only {text}", f"matches no run; the runs are {names}")])
    return runs
