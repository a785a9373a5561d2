"""`stowplan run-task`, `create-service` and `delete-service`: for a cluster file or a live cluster.

With a FILE they edit it; with `--cluster` the run that drives that cluster makes the call, and what
became of it is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.toml_document import TOMLDocument

from stowplan.experiments.cli.clusterfile import edit
from stowplan.experiments.loading.arguments import positive
from stowplan.experiments.loading.overrides import overrides_json, read_overrides
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.model import PlacementConstraint, PlacementStrategy
from stowplan.placement.scenario.fields import parse_constraint, parse_strategy

_EITHER = "with --cluster it is left out"


def add_create_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan create-service`."""
    _either(parser, "TASK_DEFINITION", "a family, or family:revision; of a cluster also FILE.json")
    parser.add_argument("--count", type=int, metavar="N", help="desired count")
    parser.add_argument("--daemon", action="store_true", help="one task on each instance instead")
    parser.add_argument("--name", help="the service's name (default: the family)")
    _placing_arguments(parser)
    parser.set_defaults(command=create_service)


def add_delete_service_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan delete-service`."""
    _either(parser, "SERVICE", "by name")
    parser.add_argument("--force", action="store_true", help="whatever its desired count is")
    parser.set_defaults(command=delete_service)


def add_run_task_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan run-task`."""
    _either(parser, "TASK_DEFINITION", "a family, or family:revision; of a cluster also FILE.json")
    parser.add_argument("--count", type=positive, default=1, metavar="N", help="how many (1)")
    parser.add_argument("--group", help="default: family:NAME")
    parser.add_argument("--run", metavar="60s", help="of a file: how long each runs (60s)")
    parser.add_argument("--at", metavar="0s", help="of a file: when they are asked for (0s)")
    parser.add_argument(
        "--overrides", metavar="JSON", help="as `aws ecs run-task` has it, or file://FILE"
    )
    _placing_arguments(parser)
    parser.set_defaults(command=run_task)


def _either(parser: argparse.ArgumentParser, what: str, about: str) -> None:
    parser.add_argument("words", nargs="+", metavar=f"[FILE] {what}", help=f"{about}; {_EITHER}")
    parser.add_argument("--cluster", help="the cluster of a run that goes on, by name")
    parser.add_argument("--state", type=Path, help="folder of journals (~/.local/state/stowplan)")


def _placing_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--strategy", metavar="CHAIN", help="such as binpack:memory")
    parser.add_argument(
        "--constraint", action="append", default=[], metavar="TEXT", help="as often as needed"
    )


def _named(arguments: argparse.Namespace) -> tuple[Path | None, str]:
    """The file, if one is meant, and what is named. Raises SpecError where both are, or neither."""
    *files, name = arguments.words
    if arguments.cluster is not None and not files:
        return None, name
    if arguments.cluster is None and len(files) == 1:
        return Path(files[0]), name
    what = f"expected a cluster file and a name, or --cluster and a name; {_EITHER}"
    raise SpecError([(" ".join(arguments.words), what)])


# --- the commands ---------------------------------------------------------------------------------


def create_service(arguments: argparse.Namespace) -> int:
    """`stowplan create-service`: in a cluster file, or in a cluster that runs."""
    file, name = _named(arguments)
    problems = []
    if arguments.daemon is (arguments.count is not None):
        problems.append(("--count", "expected, or --daemon in its place"))
    elif arguments.count is not None and arguments.count < 0:
        problems.append(("--count", f"at least 0, found {arguments.count}"))
    chain, constraints = _placing(arguments, problems)
    if file is not None:
        return _service_to_file(arguments, file, name, problems)
    if problems:
        raise SpecError(problems)
    calls, definition = _definition(name)
    call = m.CreateService(
        arguments.name or definition.partition(":")[0],
        definition,
        arguments.count or 0,
        constraints,
        chain,
        scheduling_strategy="DAEMON" if arguments.daemon else "REPLICA",
    )
    return _call(arguments, *calls, call)


def delete_service(arguments: argparse.Namespace) -> int:
    """`stowplan delete-service`: from a cluster file, or from a cluster that runs."""
    file, name = _named(arguments)
    if file is None:
        return _call(arguments, m.DeleteService(name, arguments.force))

    def drop(document: TOMLDocument) -> None:
        services = document.get("service", [])
        at = next((n for n, each in enumerate(services) if each.get("name") == name), None)
        if at is None:
            known = ", ".join(str(each.get("name")) for each in services) or "none"
            raise SpecError([(str(file), f"unknown service {name!r}; there are {known}")])
        count = services[at].get("desired_count", 0)
        if count and not arguments.force:
            raise SpecError([(str(file), f"service {name!r} has a count of {count}; --force")])
        del services[at]

    edit(file, drop)
    print(f"{file}: service {name!r} deleted")
    return 0


def run_task(arguments: argparse.Namespace) -> int:
    """`stowplan run-task`: once in a cluster file, or at once in a cluster that runs."""
    file, name = _named(arguments)
    problems: list[tuple[str, str]] = []
    chain, constraints = _placing(arguments, problems)
    sizes = read_overrides(arguments.overrides, problems)
    if file is not None:
        return _task_to_file(arguments, file, name, problems)
    problems += [
        (f"--{name}", "is for a file: a task on an engine runs until it ends by itself")
        for name in ("run", "at")
        if getattr(arguments, name) is not None
    ]
    if problems:
        raise SpecError(problems)
    calls, definition = _definition(name)
    call = m.RunTask(
        0,
        definition,
        arguments.count,
        arguments.group,
        sizes.cpu,
        sizes.memory,
        constraints,
        chain,
        overrides=sizes.containers,
    )
    return _call(arguments, *calls, call)


# --- a cluster that runs --------------------------------------------------------------------------


def _call(arguments: argparse.Namespace, *calls: m.Event) -> int:
    from stowplan.experiments.cli.docker_calls import leave
    from stowplan.experiments.cli.docker_status import read_cluster, scheduler_of

    cluster, header, rounds = read_cluster(arguments)
    return leave(cluster, header, scheduler_of(header, rounds), *calls)


def _definition(name: str) -> tuple[Sequence[m.Event], str]:
    """The calls that make a definition known, and its name: a file is registered first."""
    from stowplan.experiments.loading.definition_file import read_task_definition

    if not name.endswith(".json"):
        return (), name
    definition = read_task_definition(Path(name))
    return [m.RegisterTaskDefinition(dict(definition.document))], definition.family


def _placing(
    arguments: argparse.Namespace, problems: list[tuple[str, str]]
) -> tuple[tuple[PlacementStrategy, ...], tuple[PlacementConstraint, ...]]:
    """The chain and the constraints; what does not parse is a problem."""
    chain, constraints = [], []
    for text in (arguments.strategy or "").split(",") if arguments.strategy else ():
        try:
            chain.append(parse_strategy(text))
        except ValueError as error:
            problems.append((f"--strategy {text}", str(error)))
    for text in arguments.constraint:
        try:
            constraints.append(parse_constraint(text))
        except ValueError as error:
            problems.append((f"--constraint {text}", str(error)))
    return tuple(chain), tuple(constraints)


# --- a file ---------------------------------------------------------------------------------------


def _check_definition(
    document: TOMLDocument, file: Path, name: str, problems: list[tuple[str, str]]
) -> None:
    known = document.get("task_definitions", {})
    if name not in known:
        what = f"unknown task definition {name!r}; registered: {', '.join(known) or 'none'}"
        problems.append((str(file), what))


def _service_to_file(
    arguments: argparse.Namespace, file: Path, definition: str, problems: list[tuple[str, str]]
) -> int:
    name = arguments.name or definition

    def add(document: TOMLDocument) -> None:
        _check_definition(document, file, definition, problems)
        if any(service["name"] == name for service in document.get("service", [])):
            problems.append((str(file), f"service {name!r} exists already"))
        if problems:
            raise SpecError(problems)
        service = tomlkit.table()
        service["name"] = name
        service["task_definition"] = definition
        if arguments.daemon:
            service["scheduling_strategy"] = "DAEMON"
        else:
            service["desired_count"] = arguments.count
        _add_placing(arguments, service)
        document.setdefault("service", tomlkit.aot()).append(service)

    edit(file, add)
    keeps = "a task on each instance" if arguments.daemon else f"{arguments.count} tasks"
    print(f"{file}: service {name!r} keeps {keeps} running")
    return 0


def _task_to_file(
    arguments: argparse.Namespace, file: Path, definition: str, problems: list[tuple[str, str]]
) -> int:
    at, run = arguments.at or "0s", arguments.run or "60s"

    def add(document: TOMLDocument) -> None:
        _check_definition(document, file, definition, problems)
        if problems:
            raise SpecError(problems)
        workloads = document.setdefault("workload", tomlkit.aot())
        taken = {str(each.get("name")) for each in workloads}
        number = next(n for n in range(1, len(taken) + 2) if f"run-task-{n}" not in taken)
        table = tomlkit.table()
        table["name"] = f"run-task-{number}"
        table["task_definition"] = definition
        table["kind"] = "burst"
        if arguments.group:
            table["group"] = arguments.group
        _add_placing(arguments, table)
        if arguments.overrides is not None:
            table["overrides"] = overrides_json(arguments.overrides)
        options = tomlkit.inline_table()
        options.update({"at": [at], "count": arguments.count, "run": {"mean": run}})
        table["options"] = options
        workloads.append(table)

    edit(file, add)
    tasks = "1 task" if arguments.count == 1 else f"{arguments.count} tasks"
    print(f"{file}: {tasks} of {definition!r} at {at}, each for {run}")
    return 0


def _add_placing(arguments: argparse.Namespace, table: tomlkit.items.Table) -> None:
    if arguments.strategy:
        table["strategy"] = arguments.strategy.split(",")
    if arguments.constraint:
        table["constraints"] = arguments.constraint
