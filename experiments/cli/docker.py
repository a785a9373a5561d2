"""`stowplan run`, `down`, `status` and `logs`: scenarios on real Docker engines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.loading.engines_file import load_engines
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import Run, Scenario
from stowplan.realdriver.backends import BACKENDS, backend_of
from stowplan.realdriver.clusters import ClusterFolder, find_cluster, state_folder
from stowplan.realdriver.docker.names import cluster_name

if TYPE_CHECKING:
    from stowplan.experiments.record.result import RunResult
    from stowplan.experiments.runs.docker import RunOrder
    from stowplan.realdriver.backend import Backend, Leftovers


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan run`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument("--driver", choices=[*BACKENDS], default="docker", help="on what to run it")
    parser.add_argument("--engines", type=Path, help="TOML file; default: the local engine alone")
    parser.add_argument("--only", metavar="TEXT", help="the run whose name contains this")
    parser.add_argument("--out", type=Path, help="folder for report and results")
    parser.add_argument("--forever", action="store_true", help="until Ctrl-C, not for its duration")
    parser.add_argument("--map", metavar="[HOST:]PORT", help="serve a live map of the cluster")
    _cluster_arguments(parser)
    parser.set_defaults(command=run)


def add_down_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan down`."""
    parser.add_argument("--engines", type=Path, help="where to look, if no journal says so")
    parser.add_argument("--yes", action="store_true", help="do it; without, only say what it is")
    _cluster_arguments(parser)
    parser.set_defaults(command=down)


def _cluster_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cluster", help="its name; default: the scenario's, or the only one")
    parser.add_argument("--state", type=Path, help="folder of journals (~/.local/state/stowplan)")


def run(arguments: argparse.Namespace) -> int:
    """`stowplan run`: the scenario on real engines, then table and, if asked for, report."""
    from stowplan.experiments.report.console import print_table
    from stowplan.experiments.runs.docker import RunOrder, play

    loaded = load_scenario(arguments.scenario)
    say_notes(loaded)
    chosen = _chosen(loaded, arguments.only)
    name = cluster_name(arguments.cluster or loaded.scenario.name)
    cluster = ClusterFolder(state_folder(arguments.state) / name)
    engines, driver = load_engines(arguments.engines), arguments.driver
    order = RunOrder(loaded, chosen, engines, cluster, arguments.forever, driver=driver)
    try:
        with _mapped(order, arguments.map) as watched:
            result, journal = play(watched)
    except KeyboardInterrupt:
        print(_interrupted(name), file=sys.stderr)
        return 130
    if arguments.out is not None:
        _write(arguments.out, loaded.scenario, result, journal)
    print_table([result])
    print(f"journal: {journal}")
    return 0


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
        say(f"a map of the cluster is at {url} until the run ends")
        yield replace(order, watch=live)


def _interrupted(name: str) -> str:
    return (
        "stowplan: interrupted; the tasks go on. The same command takes them up again,\n"
        f"stowplan: `stowplan down --cluster {name} --yes` removes them"
    )


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


def down(arguments: argparse.Namespace) -> int:
    """`stowplan down`: removes what a cluster has on its engines, or lists it."""
    from stowplan.realdriver.docker.backend import DockerBackend

    state = state_folder(arguments.state)
    if arguments.engines is not None and arguments.cluster is not None:
        cluster = ClusterFolder(state / arguments.cluster)
        backend: Backend = DockerBackend(load_engines(arguments.engines))
    else:
        cluster = find_cluster(state, arguments.cluster)
        looked = cluster.look()
        backend = (
            DockerBackend(load_engines(arguments.engines))
            if looked is None
            else backend_of(looked[0])
        )
    lock = cluster.lock()
    try:
        found = backend.leftovers(cluster.name, None, reachable_only=True)
        for thing in found.things:
            print(thing)
        if arguments.yes:
            found.remove()
        print(f"removed {found.summary}" if arguments.yes else f"would remove {found.summary}")
        return _settled(cluster, found, remove=arguments.yes)
    finally:
        lock.close()


def _settled(cluster: ClusterFolder, found: Leftovers, *, remove: bool) -> int:
    """Put the journal aside once nothing can be left on any engine; else say what may be left."""
    for why in found.silent:
        print(f"does not answer; its containers stay: {why}", file=sys.stderr)
    looked = cluster.look()
    # A run that never had a round asked nothing of an engine.
    begun = looked[1].rounds > 0 if looked else not cluster.journal.exists()
    if found.silent and begun:
        given_up = f"`--cluster {cluster.name} --engines FILE`, with a file that lacks the engine"
        print(
            f"the same command removes the rest later; to leave it there: {given_up}",
            file=sys.stderr,
        )
        return 1
    if not remove:
        print("--yes does it")
    elif cluster.journal.exists():
        print(f"journal: {cluster.retire()}")
    return 0
