"""`stowplan run`: a scenario on real engines."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.loading.engines_file import load_engines
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.realdriver.backends import BACKENDS
from stowplan.realdriver.clusters import ClusterFolder, state_folder
from stowplan.realdriver.docker.names import cluster_name
from stowplan.realdriver.docker.rights import RIGHTS

if TYPE_CHECKING:
    from stowplan.experiments.record.result import RunResult
    from stowplan.experiments.runs.docker import RunOrder
    from stowplan.realdriver.docker.config import EnginesTable


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan run`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument("--driver", choices=[*BACKENDS], default="docker", help="on what to run it")
    parser.add_argument("--engines", type=Path, help="TOML file; default: the local engine alone")
    parser.add_argument("--only", metavar="TEXT", help="the run whose name contains this")
    parser.add_argument("--out", type=Path, help="folder for report and results")
    parser.add_argument("--forever", action="store_true", help="until Ctrl-C, not for its duration")
    parser.add_argument("--map", metavar="[HOST:]PORT", help="serve a live map of the cluster")
    add_allow_argument(parser)
    cluster_arguments(parser)
    parser.set_defaults(command=run)


def add_allow_argument(parser: argparse.ArgumentParser) -> None:
    """Says which rights on the machine are meant."""
    parser.add_argument(
        "--allow",
        metavar="A,B",
        default="",
        help=f"rights on the machine that tasks are meant to have: {', '.join(RIGHTS)}",
    )


def cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that say which cluster is meant."""
    parser.add_argument("--cluster", help="its name; default: the scenario's, or the only one")
    parser.add_argument("--state", type=Path, help="folder of journals (~/.local/state/stowplan)")


def run(arguments: argparse.Namespace) -> int:
    """`stowplan run`: the scenario on real engines, then table and, if asked for, report."""
    from stowplan.experiments.report.console import print_table
    from stowplan.experiments.runs.docker import RunOrder, play
    from stowplan.experiments.runs.permits import parse_allowed

    loaded = load_scenario(arguments.scenario)
    say_notes(loaded)
    chosen = _chosen(loaded, arguments.only)
    name = cluster_name(arguments.cluster or loaded.scenario.name)
    cluster = ClusterFolder(state_folder(arguments.state) / name)
    engines, driver = load_engines(arguments.engines), arguments.driver
    allowed = parse_allowed(arguments.allow)
    order = RunOrder(
        *(loaded, chosen, engines, cluster, arguments.forever),
        driver=driver,
        allowed=allowed,
        down=down_words(name, arguments),
    )
    say_permits(order.scenario, engines, allowed)
    try:
        with _mapped(order, arguments.map) as watched:
            result, journal = play(watched)
    except KeyboardInterrupt:
        print(_interrupted(order.down), file=sys.stderr)
        return 130
    if arguments.out is not None:
        _write(arguments.out, loaded.scenario, result, journal)
    print_table([result])
    print(f"journal: {journal}")
    return 0


def say_permits(scenario: Scenario, engines: EnginesTable, allowed: Sequence[str]) -> None:
    """Say what tasks ask of the machine, and which ports its network sees.

    Raises:
        SpecError: a password or a secret is not set, or a shared engine does not allow a right.
    """
    from stowplan.experiments.runs import permits
    from stowplan.placement.scenario.scenario import instance_specs
    from stowplan.realdriver.docker.config import machines

    documents = scenario.task_definitions
    permits.check_variables(documents.values(), engines)
    for asked in permits.check_permits(documents.values(), engines, allowed):
        print(f"note: {asked}; `--allow {asked.right}` says that it is meant", file=sys.stderr)
    fleet = machines(engines, instance_specs(scenario))
    if seen := permits.published_everywhere(documents, fleet):
        what = "published on every address of its machine, for all who reach that"
        cure = "`addresses` of an engine says where instead"
        print(f"note: ports of {', '.join(seen)} are {what}; {cure}", file=sys.stderr)


@contextmanager
def _mapped(order: RunOrder, at: str | None) -> Iterator[RunOrder]:
    """The order, with a live map as its watcher where one is asked for."""
    if at is None:
        yield order
        return
    from stowplan.experiments.report.live_map import LiveMap, served
    from stowplan.experiments.runs.docker import say

    run = order.run
    live = LiveMap(" · ".join((order.cluster.name, run.strategy, run.layout, run.faults)))
    with served(live, at) as url:
        say(f"{url} shows names, instances, tasks and reasons until the run ends, {_to(at)}")
        yield replace(order, watch=live)


def _to(at: str) -> str:
    """Whom a map is shown to."""
    from stowplan.experiments.report.live_map import address, is_own

    return "to this machine" if is_own(address(at)[0]) else "to all who reach that, without asking"


def _interrupted(down: str) -> str:
    return (
        "stowplan: interrupted; the tasks go on. The same command takes them up again,\n"
        f"stowplan: `{down}` removes them"
    )


def down_words(name: str, arguments: argparse.Namespace) -> str:
    """The command that removes all that a cluster has, as it is to be typed here."""
    words = ["stowplan", "down", "--cluster", name]
    for option in ("engines", "state"):
        if (value := getattr(arguments, option)) is not None:
            words += [f"--{option}", str(value)]
    return shlex.join([*words, "--yes"])


def _write(out: Path, scenario: Scenario, result: RunResult, journal: Path) -> None:
    from stowplan.experiments.record.output import output_folder
    from stowplan.experiments.record.results import write_results
    from stowplan.experiments.report.report import write_report
    from stowplan.experiments.runs.docker import copy_journal

    with output_folder(out) as folder:
        (folder / "journals").mkdir()
        copy_journal(journal, folder / "journals" / f"{result.run.id}.jsonl.gz")
        write_results([result], folder)
        write_report(scenario, [result], folder / "report.html")
    print(f"report: {out / 'report.html'}")


def _chosen(loaded: Loaded, text: str | None) -> Run:
    """The run to play: the first that matches, has no faults, and needs nothing that engines lack.

    Raises:
        SpecError: naming everything that cannot be played on engines.
    """
    scenario, path = loaded.scenario, loaded.path
    problems = [(f"{path}: {place}", what) for place, what in _only_simulated(scenario)]
    runs = list(scenario.runs())
    matching = [run for run in runs if text is None or text in run.id]
    sound = [run for run in matching if not scenario.faults[run.faults]]
    if not matching:
        what = f"matches no run; the runs are {', '.join(run.id for run in runs)}"
        problems.append((f"--only {text}", what))
    elif not sound:
        what = "faults cannot be played on real engines; `none = []` beside them adds a run without"
        names = dict.fromkeys(run.faults for run in matching)
        problems += [(f"{path}: faults.{name}", what) for name in names]
    if problems:
        raise SpecError(problems)
    return sound[0]


def _only_simulated(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The parts of a scenario that no engine can play, each with its place."""
    for index, provider in enumerate(scenario.capacity_provider):
        what = f"{provider.name!r} launches instances, which engines cannot do; name instances "
        yield f"capacity_provider[{index}]", what + "that are there under [[fleet]]"
    for index, table in enumerate(scenario.running):
        what = f"what runs on {table.instance} is simulated; a run finds its own containers itself"
        yield f"running[{index}]", what
    for index, service in enumerate(scenario.service):
        if service.autoscaling is not None:
            what = f"the load of {service.name!r} is simulated; on engines it is not measured"
            yield f"service[{index}].autoscaling", what
