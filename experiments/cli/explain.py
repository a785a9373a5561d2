"""`stowplan explain` and `try`: why a task finds no place, and where one would go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stowplan.experiments.cli.endpoint import described_there, state_argument
from stowplan.experiments.loading.arguments import positive
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.units import parse_duration_ms

if TYPE_CHECKING:
    from stowplan.experiments.runs.moments import Moment
    from stowplan.placement.cluster.cluster import Cluster
    from stowplan.placement.engine.changes import Offer
    from stowplan.placement.engine.engine import Filled
    from stowplan.placement.engine.explain import Explanation
    from stowplan.placement.journal import Header
    from stowplan.placement.messages import Round
    from stowplan.placement.model import PlacementConstraint, PlacementStrategy, TaskKind
    from stowplan.placement.scheduler.described import Described

_COLUMNS = 110  # columns of a terminal that is none


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan explain`."""
    parser.add_argument(
        "names",
        nargs="+",
        metavar="[SCENARIO] SERVICE|TASK",
        help="a service, the number of a task, or the family of a task definition; after a "
        "scenario's TOML file: that run is simulated",
    )
    parser.add_argument("--only", metavar="TEXT", help="the scenario's run whose name contains it")
    _state_arguments(parser, "when it last lacked room, of a scenario first; else the end")
    parser.set_defaults(command=explain)


def add_try_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan try`."""
    parser.add_argument("definition", type=Path, help="a task definition, JSON or YAML")
    parser.add_argument("--count", type=positive, default=1, help="so many tasks (1)")
    parser.add_argument(
        "--strategy", metavar="CHAIN", help="such as spread:instanceId,binpack:memory (random)"
    )
    parser.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="TEXT",
        help="distinctInstance, or a cluster query; as often as needed",
    )
    parser.add_argument("--zones", metavar="A,B", help="of the subnets, for awsvpc (any)")
    _state_arguments(parser, "the end")
    parser.set_defaults(command=try_out)


def _state_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--journal", type=Path, help="the state out of this journal")
    parser.add_argument("--cluster", help="the state of this cluster on real engines")
    state_argument(parser)
    parser.add_argument("--state", type=Path, help="folder of journals (~/.local/state/stowplan)")
    parser.add_argument("--at", type=_time, metavar="15m", help=f"the state then ({default})")
    parser.add_argument(
        "--strategies",
        type=Path,
        default=Path(),
        help="folder that the journal's own strategies are named from (default: here)",
    )
    parser.add_argument("--json", action="store_true", help="all of it, for a script")


def _time(text: str) -> int:
    try:
        return parse_duration_ms(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


# --- explain --------------------------------------------------------------------------------------


def explain(arguments: argparse.Namespace) -> int:
    """`stowplan explain`: what keeps a task off every instance, and what would place it."""
    from stowplan.experiments.report.explain import explanation_json, sentences

    moment = _moment(arguments)
    lack, described = moment.lack, moment.described
    assert lack is not None
    found = described.explain(lack.kind, _offers(described, lack.kind))
    if arguments.json:
        print(json.dumps(explanation_json(described.cluster, lack, found, moment.at_ms)))
        return 0
    _print(described.cluster, sentences(described.cluster, lack, found, moment.at_ms), found)
    return 0


def _moment(arguments: argparse.Namespace) -> Moment:
    from stowplan.experiments.runs.moments import moment_of

    *scenario, name = arguments.names
    if len(scenario) > 1:
        raise SpecError([(" ".join(arguments.names), "[SCENARIO] SERVICE|TASK expected")])
    if scenario:
        _only_one(arguments, scenario[0])
        return _simulated(arguments, Path(scenario[0]), name)
    if arguments.only is not None:
        raise SpecError([("--only", "is for a scenario; a journal is of one run")])
    return _now(arguments, name) or moment_of(
        _journal(arguments), arguments.strategies, name, arguments.at
    )


def _now(arguments: argparse.Namespace, name: str | None) -> Moment | None:
    """What the state says that a run or an endpoint keeps, as it is now; None: the rounds must be
    read for it."""
    if arguments.endpoint_url is not None:
        return _served(arguments, name)
    if arguments.cluster is None or arguments.at is not None or arguments.journal is not None:
        return None
    from stowplan.experiments.runs.moments import moment_now
    from stowplan.realdriver.clusters import find_cluster, state_folder

    looked = find_cluster(state_folder(arguments.state), arguments.cluster).look()
    return None if looked is None else moment_now(*looked, arguments.strategies, name)


def _served(arguments: argparse.Namespace, name: str | None) -> Moment:
    if arguments.journal is not None or arguments.at is not None:
        what = "shows a cluster as it is now: no --journal, no --at"
        raise SpecError([("--endpoint-url", what)])
    from stowplan.experiments.runs.moments import moment_in

    state = described_there(arguments)
    assert state is not None, "an endpoint is given"
    moment = moment_in(state, name)
    if moment is None:
        raise SpecError([(str(name), "no service, task or family there")])
    return moment


def _simulated(arguments: argparse.Namespace, path: Path, name: str) -> Moment:
    from stowplan.experiments.cli.notes import say_notes
    from stowplan.experiments.loading.load import load_scenario
    from stowplan.experiments.runs.moments import simulated_moment

    loaded = load_scenario(path)
    say_notes(loaded)
    runs = list(loaded.scenario.runs())
    chosen = [run for run in runs if arguments.only is None or arguments.only in run.id]
    if not chosen:
        known = ", ".join(run.id for run in runs)
        raise SpecError([(f"--only {arguments.only}", f"matches no run; the runs are {known}")])
    if len(chosen) > 1:
        print(f"note: the run is {chosen[0].id}, the first of {len(chosen)}", file=sys.stderr)
    return simulated_moment(loaded, chosen[0], name, arguments.at)


def _only_one(arguments: argparse.Namespace, scenario: str | None = None) -> None:
    """Raises SpecError unless the state comes from one place."""
    given = {"--journal": arguments.journal, "--cluster": arguments.cluster, "SCENARIO": scenario}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise SpecError([(" and ".join(names), "one of them expected")])


def _journal(arguments: argparse.Namespace) -> Callable[[], Any]:
    """Opens the journal that is meant, as often as it is called."""
    from stowplan.experiments.record.journals import open_journal

    _only_one(arguments)
    if arguments.journal is not None:
        return partial(open_journal, arguments.journal)
    from stowplan.experiments.cli.docker_status import read_cluster

    try:
        _, header, rounds = read_cluster(arguments)
    except SpecError as error:
        if arguments.cluster is not None:
            raise
        what = "a journal, or a cluster, is needed to say what runs where"
        raise SpecError([("--journal", what), *error.problems]) from error

    @contextmanager
    def opened() -> Iterator[tuple[Header, Sequence[Round]]]:
        yield header, rounds

    return opened


def _offers(described: Described, kind: TaskKind) -> list[Offer]:
    from stowplan.experiments.record.refused import all_offers

    return all_offers(described.cluster, described.offers(), kind)


def _print(cluster: Cluster, lines: list[str], found: Explanation) -> None:
    from rich.console import Console

    from stowplan.experiments.report.explain import misses_table

    for line in lines:
        print(line)
    if found.misses:
        print()
        console = Console() if sys.stdout.isatty() else Console(width=_COLUMNS)
        console.print(misses_table(cluster, found))


# --- try ------------------------------------------------------------------------------------------


def try_out(arguments: argparse.Namespace) -> int:
    """`stowplan try`: where tasks of a definition would go now, or why they would not."""
    from stowplan.experiments.report.explain import explanation_json, placed_words, sentences
    from stowplan.experiments.runs.moments import moment_of
    from stowplan.placement.scheduler.lacking import Lack

    moment = _now(arguments, None) or moment_of(
        _journal(arguments), arguments.strategies, None, arguments.at
    )
    described = moment.described
    name, kind = _kind_of(arguments, described)
    filled, found = _tried(described, kind, arguments.count)
    lack = Lack(name, kind, arguments.count - len(filled.rows), arguments.count)
    cluster = described.cluster
    if arguments.json:
        said = explanation_json(cluster, lack, found, moment.at_ms)
        said["placed"] = [cluster.strings_of(r)["ec2InstanceId"] for r in filled.rows]
        print(json.dumps(said))
        return 0
    lines = sentences(cluster, lack, found, moment.at_ms)
    if filled.rows:
        many = f"{len(filled.rows)} of {arguments.count} tasks of {name}"
        went = f"{many if arguments.count > 1 else f'a task of {name}'} would be placed: "
        lines.insert(0, went + placed_words(cluster, filled.rows))
    _print(cluster, lines, found)
    return 0


def _tried(described: Described, kind: TaskKind, count: int) -> tuple[Filled, Explanation]:
    """So many tasks placed on a copy of the cluster, and what there is to say of one more there."""
    from stowplan.placement.engine.explain import explain_kind
    from stowplan.placement.engine.obstacles import Resident

    engine = described.engine.on(described.cluster.copy())
    filled = engine.fill(kind, count)
    first = described.state.tasks_ever

    def there(row: int) -> Sequence[Resident]:
        tried = [
            Resident(first + at, kind, devices)
            for at, (on, devices) in enumerate(zip(filled.rows, filled.devices, strict=True))
            if on == row
        ]
        return [*described.residents(row), *tried]

    offers, seek = _offers(described, kind), filled.failure is not None
    return filled, explain_kind(engine, kind, there, offers, seek_changes=seek)


def _kind_of(arguments: argparse.Namespace, described: Described) -> tuple[str, TaskKind]:
    """The name of the definition, and the kind of a task that RunTask would start of it.

    Raises:
        SpecError: names everything that is wrong with the arguments.
    """
    from stowplan.experiments.loading.definition_file import read_definition_file
    from stowplan.placement.messages import RunTask

    problems: list[tuple[str, str]] = []
    document: Mapping[str, Any] | None = None
    try:
        read = read_definition_file(arguments.definition)
        document = read.definition.document
        for note in read.notes:
            print(f"note: {note}", file=sys.stderr)
    except SpecError as error:
        problems += error.problems
    strategy, constraints = _rules(arguments, described, problems)
    if problems or document is None:
        raise SpecError(problems)
    definition = described.launches.register(document)
    call = RunTask(
        0,
        definition.name,
        arguments.count,
        placement_constraints=constraints,
        placement_strategy=strategy,
        zones=tuple(arguments.zones.split(",")) if arguments.zones else (),
    )
    try:
        kind = described.launches.of_run_task(call).kind
        described.engine.check_call(kind)
    except PlacementError as error:
        raise SpecError([(str(arguments.definition), str(error))]) from error
    return definition.name, kind


def _rules(
    arguments: argparse.Namespace, described: Described, problems: list[tuple[str, str]]
) -> tuple[tuple[PlacementStrategy, ...], tuple[PlacementConstraint, ...]]:
    """The chain and the constraints that are asked for; each that makes no sense is a problem."""
    from stowplan.placement.model import TaskKind
    from stowplan.placement.scenario.fields import parse_constraint, parse_strategy

    chain, constraints = [], []
    for text in (arguments.strategy or "random").split(","):
        try:
            link = parse_strategy(text)
            described.engine.check_call(TaskKind((), "", strategies=(link,)))
            chain.append(link)
        except (PlacementError, ValueError) as error:
            problems.append((f"--strategy {text}", str(error)))
    for text in arguments.constraint:
        try:
            constraint = parse_constraint(text)
            described.engine.check_call(TaskKind((), "", constraints=(constraint,)))
            constraints.append(constraint)
        except (PlacementError, ValueError) as error:
            problems.append((f"--constraint {text}", str(error)))
    return tuple(chain), tuple(constraints)
