"""What the subcommands of `stowplan` do, once their arguments are read."""

from __future__ import annotations

import argparse
import gzip
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stowplan.experiments.loading.load import load_scenario, load_strategies
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header, ReplayError, read_journal, replay
from stowplan.placement.messages import Round
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.placement.strategies import STRATEGIES


def simulate_parser(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan simulate`."""
    parser.add_argument("scenario", type=Path, help="the scenario, a TOML file")
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
    parser.set_defaults(command=simulate)


def check_parser(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan check`."""
    parser.add_argument("scenario", type=Path, help="the scenario, a TOML file")
    parser.set_defaults(command=check)


def verify_parser(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan verify`."""
    parser.add_argument("journal", type=Path, nargs="+", help="journals (.jsonl.gz)")
    parser.add_argument(
        "--strategies",
        type=Path,
        default=Path(),
        help="folder that the journal's own strategies are named from (default: here)",
    )
    parser.set_defaults(command=verify)


def simulate(arguments: argparse.Namespace) -> int:
    """`stowplan simulate`: every run of the scenario, then table, report, Parquet and journals."""
    from stowplan.experiments.cli.regret import with_least
    from stowplan.experiments.record.output import output_folder
    from stowplan.experiments.record.results import write_results
    from stowplan.experiments.report.console import ProgressBars, print_table
    from stowplan.experiments.report.report import cut_short, write_report
    from stowplan.experiments.runs.parallel import check_jobs, run_all

    check_jobs(arguments.jobs)
    extra = _extra_strategies(arguments.strategy)
    scenario = load_scenario(arguments.scenario, extra).scenario
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
            )
        results = with_least(results)
        write_results(results, folder)
        write_report(scenario, results, folder / "report.html")
    print_table(results)
    print(f"report: {arguments.out / 'report.html'}")
    short = [r.run.id for r in results if cut_short(scenario, r)]
    if short or len(results) < len(runs):
        never = len(runs) - len(results)
        print(f"interrupted: {never} runs never began; cut short: {', '.join(short) or 'none'}")
        return 130
    return 0


def check(arguments: argparse.Namespace) -> int:
    """`stowplan check`: says what a scenario amounts to, or everything that is wrong with it."""
    scenario = load_scenario(arguments.scenario).scenario
    count = sum(group.count for group in scenario.fleet)
    runs, providers = len(list(scenario.runs())), len(scenario.capacity_provider)
    launched = f", {providers} capacity providers" if providers else ""
    print(
        f"{arguments.scenario}: {count} instances{launched}, {len(scenario.service)} services, "
        f"{len(scenario.workload)} workloads, {runs} runs: no problems found"
    )
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """`stowplan verify`: each journal replays to the same commands and breaks no rule."""
    broken = [_verify_one(journal, arguments.strategies) for journal in arguments.journal]
    return 1 if any(broken) else 0


def _verify_one(journal: Path, folder: Path) -> bool:
    """Check one journal, round by round as it is read; True where it breaks a rule."""
    from stowplan.experiments.report.progress_lines import with_progress
    from stowplan.experiments.runs.simulate import uncollected
    from stowplan.placement.audit.checkers import Watch
    from stowplan.placement.audit.figures import Figures, differing

    watch, figures, differs = Watch(), Figures(), ""
    with open_journal(journal) as (header, rounds), uncollected():
        own = load_strategies(header.strategies, folder)
        scheduler = Scheduler(header.config, {**STRATEGIES, **own})
        told = with_progress(rounds, str(journal), lambda: len(watch.violations))
        try:
            replay(scheduler, _watched(told, watch, figures))
        except ReplayError as error:
            differs = str(error)
    for violation in watch.violations:
        print(f"{journal}: {violation}", file=sys.stderr)
    if differs:
        print(f"{journal}: {differs}", file=sys.stderr)
        return True
    count, broken = watch.rounds, len(watch.violations)
    print(f"{journal}: {count} rounds replay to the same commands, {broken} violations")
    said = _results_beside(journal, header)
    wrong = [] if said is None else differing(figures.row(), said)
    for what in wrong:
        print(f"{journal}: {what}", file=sys.stderr)
    if said is not None and not wrong:
        print(f"{journal}: the numbers of its results are what the journal comes to")
    return bool(broken or wrong)


def _results_beside(journal: Path, header: Header) -> Mapping[str, float] | None:
    """The row of a run in the results folder that its journal lies in; None: there is none."""
    table = journal.absolute().parent.parent / "results.parquet"
    if journal.absolute().parent.name != "journals" or not table.is_file():
        return None
    import pandas as pd

    frame = pd.read_parquet(table)
    for key in ("strategy", "layout", "faults"):
        frame = frame[frame[key] == header.run.get(key)]
    numbers = frame.select_dtypes("number")
    return None if len(frame) != 1 else {str(n): float(v) for n, v in numbers.iloc[0].items()}


def _watched(
    rounds: Iterable[Round], before: Callable[[Round], None], after: Callable[[Round], None]
) -> Iterator[Round]:
    """The same rounds, each shown to one before it is replayed, to the other once that went well.

    So what adds up figures meets no round that makes no sense.
    """
    for entry in rounds:
        before(entry)
        yield entry
        after(entry)


@contextmanager
def open_journal(journal: Path) -> Iterator[tuple[Header, Iterator[Round]]]:
    """A journal's header and its rounds, read one by one; SpecError where it cannot be read."""
    try:
        with gzip.open(journal) as stream:
            yield read_journal(stream, str(journal))
    except FileNotFoundError as error:
        raise SpecError([(str(journal), "no such file")]) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SpecError([(str(journal), f"not a journal of stowplan ({error})")]) from error
    except (OSError, EOFError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise SpecError([(str(journal), what)]) from error


def read_journal_file(journal: Path) -> tuple[Header, list[Round]]:
    """Header and all rounds of a journal (.jsonl.gz). Raises as `open_journal` does."""
    with open_journal(journal) as (header, rounds):
        return header, list(rounds)


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
