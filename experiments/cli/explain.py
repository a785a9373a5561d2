"""`stowplan explain` and `try`: why a task finds no place, and where one would go."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stowplan.experiments.cli.endpoint import described_there, state_argument
from stowplan.experiments.loading.arguments import positive
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.units import parse_duration_ms

if TYPE_CHECKING:
    from stowplan.experiments.runs.moments import Moment
    from stowplan.placement.cluster.cluster import Cluster
    from stowplan.placement.describe import State
    from stowplan.placement.engine.changes import Offer
    from stowplan.placement.engine.engine import Engine
    from stowplan.placement.engine.explain import Explanation
    from stowplan.placement.engine.obstacles import Resident
    from stowplan.placement.journal import Header
    from stowplan.placement.messages import Round
    from stowplan.placement.model import TaskKind
    from stowplan.placement.scheduler.lacking import Lack
    from stowplan.placement.scheduler.launches import Launches
    from stowplan.placement.scheduler.scheduler import Scheduler

    Answer = tuple[Lack, Explanation, Cluster, int]  # the last: of which time, in ms

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
    parser.add_argument("--journal", type=Path, help="the state out of this journal (.jsonl.gz)")
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

    lack, found, cluster, at_ms = _described(arguments) or _replayed(arguments)
    if arguments.json:
        print(json.dumps(explanation_json(cluster, lack, found, at_ms)))
        return 0
    _print(cluster, sentences(cluster, lack, found, at_ms), found)
    return 0


def _described(arguments: argparse.Namespace) -> Answer | None:
    """The answer from the state that a run keeps, as it is now; None: that does not say it."""
    served = _served(arguments)
    if served is None and arguments.cluster is None:
        return None
    if arguments.at is not None or len(arguments.names) > 1:
        return None
    from stowplan.experiments.loading.load import load_strategies
    from stowplan.experiments.record.refused import all_offers
    from stowplan.placement.scheduler.described import Described
    from stowplan.placement.strategies import STRATEGIES
    from stowplan.realdriver.clusters import find_cluster, state_folder

    if served is not None:
        described = Described(served)
    else:
        _only_one(arguments)
        looked = find_cluster(state_folder(arguments.state), arguments.cluster).look()
        if looked is None:
            return None
        header, state = looked
        own = load_strategies(header.strategies, arguments.strategies)
        described = Described(state, {**STRATEGIES, **own})
    lack = described.lack(arguments.names[0])
    if lack is None:
        if served is not None:
            raise SpecError([(arguments.names[0], "no service, task or family there")])
        return None
    offers = all_offers(described.cluster, described.offers(), lack.kind)
    return lack, described.explain(lack.kind, offers), described.cluster, described.state.now_ms


def _served(arguments: argparse.Namespace) -> State | None:
    """The state of an endpoint's cluster; None: none is meant."""
    if arguments.endpoint_url is None:
        return None
    if arguments.journal is not None or arguments.at is not None:
        what = "shows a cluster as it is now: no --journal, no --at"
        raise SpecError([("--endpoint-url", what)])
    return described_there(arguments)


def _replayed(arguments: argparse.Namespace) -> Answer:
    from stowplan.placement.engine.explain import explain_kind
    from stowplan.placement.scheduler.lacking import residents

    moment = _moment(arguments)
    lack, scheduler = moment.lack, moment.scheduler
    assert lack is not None
    there, offers = partial(residents, scheduler), _offers(scheduler, lack.kind)
    found = explain_kind(scheduler.engine, lack.kind, there, offers)
    return lack, found, scheduler.cluster, moment.at_ms


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
    return moment_of(_journal(arguments), arguments.strategies, name, arguments.at)


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


def _offers(scheduler: Scheduler, kind: TaskKind) -> list[Offer]:
    from stowplan.experiments.record.refused import all_offers
    from stowplan.placement.scheduler.lacking import offers_of

    return all_offers(scheduler.cluster, offers_of(scheduler), kind)


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


class _Now(NamedTuple):
    """What `try` asks of a state, be it of a journal or of an endpoint."""

    cluster: Cluster
    engine: Engine
    launches: Launches
    residents: Callable[[int], Sequence[Resident]]
    offers: Callable[[TaskKind], list[Offer]]
    tasks: int
    at_ms: int


def _now(arguments: argparse.Namespace) -> _Now:
    served = _served(arguments)
    if served is not None:
        from stowplan.experiments.record.refused import all_offers
        from stowplan.placement.scheduler.described import Described

        it = Described(served)

        def offers(kind: TaskKind) -> list[Offer]:
            return all_offers(it.cluster, it.offers(), kind)

        number = served.tasks_ever
        return _Now(it.cluster, it.engine, it.launches, it.residents, offers, number, served.now_ms)
    from stowplan.experiments.runs.moments import moment_of
    from stowplan.placement.scheduler.lacking import residents

    moment = moment_of(_journal(arguments), arguments.strategies, None, arguments.at)
    scheduler = moment.scheduler
    return _Now(
        *(scheduler.cluster, scheduler.engine, scheduler.launches, partial(residents, scheduler)),
        *(partial(_offers, scheduler), len(scheduler.tasks), moment.at_ms),
    )


def try_out(arguments: argparse.Namespace) -> int:
    """`stowplan try`: where tasks of a definition would go now, or why they would not."""
    from stowplan.experiments.report.explain import explanation_json, placed_words, sentences
    from stowplan.placement.engine.explain import explain_kind
    from stowplan.placement.engine.obstacles import Resident
    from stowplan.placement.scheduler.lacking import Lack

    now = _now(arguments)
    name, kind = _kind_of(arguments, now)
    engine = now.engine.on(now.cluster.copy())
    filled = engine.fill(kind, arguments.count)

    def there(row: int) -> Sequence[Resident]:
        tried = [
            Resident(now.tasks + at, kind, devices)
            for at, (on, devices) in enumerate(zip(filled.rows, filled.devices, strict=True))
            if on == row
        ]
        return [*now.residents(row), *tried]

    found = explain_kind(
        engine, kind, there, now.offers(kind), seek_changes=filled.failure is not None
    )
    left = arguments.count - len(filled.rows)
    lack = Lack(name, kind, left, arguments.count)
    if arguments.json:
        said = explanation_json(now.cluster, lack, found, now.at_ms)
        said["placed"] = [now.cluster.strings_of(r)["ec2InstanceId"] for r in filled.rows]
        print(json.dumps(said))
        return 0
    lines = sentences(now.cluster, lack, found, now.at_ms)
    if filled.rows:
        many = f"{len(filled.rows)} of {arguments.count} tasks of {name}"
        went = f"{many if arguments.count > 1 else f'a task of {name}'} would be placed: "
        lines.insert(0, went + placed_words(now.cluster, filled.rows))
    _print(now.cluster, lines, found)
    return 0


def _kind_of(arguments: argparse.Namespace, now: _Now) -> tuple[str, TaskKind]:
    """The name of the definition, and the kind of a task that RunTask would start of it."""
    from stowplan.experiments.loading.definition_file import read_definition_file
    from stowplan.placement.messages import RunTask
    from stowplan.placement.scenario.fields import parse_constraint, parse_strategy

    read = read_definition_file(arguments.definition)
    for note in read.notes:
        print(f"note: {note}", file=sys.stderr)
    definition = now.launches.register(read.definition.document)
    call = RunTask(
        0,
        definition.name,
        arguments.count,
        placement_constraints=tuple(map(parse_constraint, arguments.constraint)),
        placement_strategy=tuple(map(parse_strategy, (arguments.strategy or "random").split(","))),
        zones=tuple(arguments.zones.split(",")) if arguments.zones else (),
    )
    try:
        kind = now.launches.of_run_task(call).kind
        now.engine.check_call(kind)
    except PlacementError as error:
        raise SpecError([(str(arguments.definition), str(error))]) from error
    return definition.name, kind
