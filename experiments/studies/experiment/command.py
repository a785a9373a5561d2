"""`stowplan experiment`: run a question's runs, check them before, report on them after."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.placement.errors import SpecError

if TYPE_CHECKING:
    from stowplan.experiments.studies.experiment.experiment import Experiment

_SHOWN = 12  # verdicts on the terminal; the report has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan experiment`."""
    parts = parser.add_subparsers(required=True, metavar="run | check | report")
    run = parts.add_parser("run", help="make the runs that are not known yet, then the report")
    run.add_argument("spec", type=Path, metavar="SPEC.toml", help="the question")
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="runs and report")
    run.add_argument("--jobs", type=int, metavar="N", help="processes; default: one a processor")
    run.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://head:8786")
    run.set_defaults(command=run_command)
    check = parts.add_parser("check", help="name every problem, or how many runs there would be")
    check.add_argument("spec", type=Path, metavar="SPEC.toml", help="the question")
    check.set_defaults(command=check_command)
    report = parts.add_parser("report", help="the report again, from the runs in a folder")
    report.add_argument("folder", type=Path, metavar="DIR", help="that `run` wrote")
    report.add_argument("--out", type=Path, metavar="DIR", help="write it there instead")
    report.set_defaults(command=report_command)


def run_command(arguments: argparse.Namespace) -> int:
    """`stowplan experiment run`."""
    from stowplan.experiments.runs.parallel import check_jobs
    from stowplan.experiments.studies.experiment.cells import design_of
    from stowplan.experiments.studies.experiment.progress import RunsProgress
    from stowplan.experiments.studies.experiment.report import write_report
    from stowplan.experiments.studies.experiment.runner import Runner
    from stowplan.experiments.studies.experiment.spec import read_spec
    from stowplan.experiments.studies.experiment.store import Store

    check_jobs(arguments.jobs)
    if arguments.jobs is not None and arguments.scheduler is not None:
        raise SpecError([("--jobs", "the scheduler's workers make the runs: leave it out")])
    spec = read_spec(arguments.spec)
    design = design_of(spec, arguments.spec.parent, str(arguments.spec))
    with RunsProgress() as progress:
        runner = Runner(
            *(design, Store(arguments.out), arguments.jobs, arguments.scheduler), report=progress
        )
        try:
            found = runner.run()
        except BaseException as error:
            _say_kept(runner.made, arguments.out)
            if isinstance(error, KeyboardInterrupt):
                return 130
            raise
    known = sum(len(cell.names) for cell in found.cells) - runner.made
    print(f"{runner.made} runs made, {max(0, known)} known before")
    _print(found)
    print(f"report: {write_report(found, arguments.out)[0]}")
    return 0


def _say_kept(made: int, folder: Path) -> None:
    if made:
        what = f"the {made} runs that ended are kept in {folder}: the same command goes on there"
        print(f"stowplan: {what}", file=sys.stderr)


def check_command(arguments: argparse.Namespace) -> int:
    """`stowplan experiment check`."""
    from stowplan.experiments.studies.experiment.cells import design_of
    from stowplan.experiments.studies.experiment.spec import read_spec

    spec = read_spec(arguments.spec)
    design = design_of(spec, arguments.spec.parent, str(arguments.spec))
    for axis, labels in design.axes.items():
        print(f"{axis}: {', '.join(labels)}")
    if design.compared is not None:
        print("compared: {}, each with {}".format(*design.compared))
    runs = len(design.cells) * len(spec.seeds)
    more = f", at most {len(design.cells) * spec.seeds_max}" if spec.precision else ""
    print(f"{len(design.cells)} cells, {len(spec.seeds)} seeds, {runs} runs{more}")
    return 0


def report_command(arguments: argparse.Namespace) -> int:
    """`stowplan experiment report`."""
    from stowplan.experiments.studies.experiment.experiment import read_experiment
    from stowplan.experiments.studies.experiment.report import write_report

    found = read_experiment(arguments.folder)
    _print(found)
    print(f"report: {write_report(found, arguments.out or arguments.folder)[0]}")
    return 0


def _print(found: Experiment) -> None:
    from stowplan.experiments.studies.experiment.verdicts import verdicts, words

    shown = 0
    of = verdicts(found)
    for heading, items in words(found, of):
        if heading and shown < _SHOWN:
            print(f"{heading}:")
        for each in items:
            if shown < _SHOWN:
                print(f"  {each.text}")
            shown += 1
    if shown > _SHOWN:
        print(f"  and {shown - _SHOWN} more in the report")
