"""`stowplan import`: saved output of `aws ... describe-*` becomes a scenario and its files."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from stowplan.experiments.files.paths import DATA
from stowplan.experiments.loading.aws_draft import Draft, scenario_text
from stowplan.experiments.loading.aws_import import import_cluster, without
from stowplan.experiments.loading.load import Loaded, load_scenario
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.running import RunningTable
from stowplan.placement.units import parse_duration_ms

SHIPPED = "describe_40"  # a made cluster of 40 services


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan import`."""
    parser.add_argument(
        "path",
        type=Path,
        nargs="+",
        help="JSON that aws ecs describe-*, autoscaling describe-auto-scaling-groups, ec2 "
        "describe-instances or elbv2 describe-target-groups printed, or a folder of such; "
        "describe_40: the cluster that ships",
    )
    parser.add_argument("--out", type=Path, required=True, help="the scenario to write (TOML)")
    parser.add_argument("--cluster", default="", help="which, if the files are of several")
    parser.add_argument("--duration", default="1h", help="of the scenario's runs (default: 1h)")
    parser.add_argument(
        "--with-environment",
        action="store_true",
        help="keep values of variables, secrets, labels and log options, and ARNs",
    )
    parser.add_argument("--force", action="store_true", help="replace what exists")
    parser.set_defaults(command=run)


def _shipped(path: Path) -> Path:
    """The folder of the cluster that ships, where its name is given and nothing here has it."""
    return DATA / SHIPPED if str(path) == SHIPPED and not path.exists() else path


def run(arguments: argparse.Namespace) -> int:
    """Write the scenario, and its task definitions in a folder beside it."""
    out: Path = arguments.out
    folder = out.with_name(f"{out.stem}-taskdefs")
    _check(arguments, folder)
    paths = [_shipped(path) for path in arguments.path]
    draft = import_cluster(paths, arguments.cluster, arguments.with_environment)
    say(write(draft, out, folder, arguments.duration), draft, out, arguments.with_environment)
    return 0


def say(loaded: Loaded, draft: Draft, out: Path, with_environment: bool) -> None:
    """What became of it: notes to stderr, and a line of what the scenario holds."""
    if draft.definitions and not with_environment:
        what = "values of variables, secrets, labels and log options, names in ARNs and numbers of "
        draft.notes.add(
            what + "accounts are left out (--with-environment keeps them); commands stay"
        )
    for note in draft.notes.said():
        print(f"note: {note}", file=sys.stderr)
    scenario = loaded.scenario
    count = sum(group.count for group in scenario.fleet)
    count += sum(each.first_size for each in scenario.capacity_provider)
    print(
        f"{out}: cluster {scenario.name!r}: {count} instances, "
        f"{len(scenario.capacity_provider)} capacity providers, {len(scenario.service)} services "
        f"of {sum(each.desired_count for each in scenario.service)} tasks, "
        f"{sum(map(_count, scenario.running))} tasks running on {len(scenario.running)} of the "
        f"instances, {len(scenario.workload)} groups of standalone tasks elsewhere, "
        f"{len(scenario.task_definitions)} task definitions"
    )


def _count(table: RunningTable) -> int:
    return sum(table.services.values()) + sum(table.standalone.values())


def _check(arguments: argparse.Namespace, folder: Path) -> None:
    problems = []
    for path in (arguments.out, folder):
        if path.exists() and not arguments.force:
            problems.append((str(path), "exists already; --force replaces it"))
    if not arguments.out.parent.is_dir():
        problems.append((str(arguments.out.parent), "no such folder"))
    try:
        parse_duration_ms(arguments.duration)
    except ValueError as error:
        problems.append(("--duration", str(error)))
    if problems:
        raise SpecError(problems)


def write(draft: Draft, out: Path, folder: Path, duration: str) -> Loaded:
    """Write the scenario and the folder of its definitions aside; what is sound takes its place."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{out.stem}-", dir=out.parent) as scratch:
            aside = Path(scratch)
            loaded = _sound(draft, aside / out.name, aside / folder.name, duration)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(aside / folder.name, folder)
            os.replace(aside / out.name, out)
            return loaded
    except OSError as error:
        raise SpecError([(str(out), error.strerror or str(error))]) from error


def _sound(draft: Draft, out: Path, folder: Path, duration: str) -> Loaded:
    """Write a scenario that the loader takes: services that none can have are left out."""
    for attempt in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, document in draft.definitions.items():
            text = json.dumps(document, indent=2) + "\n"
            (folder / f"{name}.json").write_text(text, encoding="utf-8")
        out.write_text(scenario_text(draft, folder.name, duration), encoding="utf-8")
        try:
            return load_scenario(out)
        except SpecError as error:
            if attempt or not without(draft, error.problems):
                hidden = str(out.parent)
                found = [(at.replace(hidden, "made scenario"), what) for at, what in error.problems]
                raise SpecError(found) from error
    raise AssertionError("the second attempt returns or raises")
