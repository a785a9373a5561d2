"""`stowplan sizes`: what to reserve for each service by what its tasks were seen to use.

The peaks come from a CSV file. The scenario's tasks are resized to them, with headroom, and both
the tasks as they are and the resized ones get their proven plan, so the saving has two ends.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stowplan.experiments.cli.interrupt import Interruptible
from stowplan.experiments.cli.notes import say_notes
from stowplan.experiments.cli.optimize import answer_scenario
from stowplan.experiments.loading.arguments import amount, whole
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.report.optimize import answer_json, summary
from stowplan.experiments.workloads.rows import named_rows, number
from stowplan.placement.errors import SpecError
from stowplan.placement.model import CPU, MEMORY
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.packing.problem import Limits, PackingInputError
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.taskdef.parse import parse_task_definition, task_resources

USAGE = ("service", "cpu", "memory")
COLUMNS = ("service", "tasks", "cpu_now", "cpu", "memory_now", "memory")
CPU_LEAST, MEMORY_LEAST = 2, 6  # what a Linux container may ask for at least (ECS's own limits)
GOALS = ("fleet", "instances", "placement")

EPILOG = """\
The CSV file has a header with service, cpu and memory: the most CPU units (1,024 are a vCPU) and
MiB that a task of the service was seen to use; of several rows of a service the largest count. A
service that is not in it stays as it is. Of a task of several containers each keeps its share. The
hard limit on memory of a container stays, or grows to what is reserved.

saves: what the plan for the tasks as they are costs, less what the one for the resized tasks does;
saves_at_least and saves_at_most are proven, from the bounds of both. It is about room alone:
whether a task that shares a busy instance is slower, only utilisation over time can say.
"""


@dataclass(frozen=True)
class Size:
    """Of one service: tasks, and CPU units and MiB of one of them, now and as it should be."""

    service: str
    tasks: int
    cpu_now: int
    cpu: int
    memory_now: int
    memory: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan sizes`."""
    parser.add_argument("scenario", type=Path, help="a TOML file, or one that ships: small")
    parser.add_argument(
        "--usage", type=Path, required=True, metavar="FILE", help="CSV of service, cpu and memory"
    )
    parser.add_argument(
        "--headroom", type=amount, default=20.0, metavar="PCT", help="above the peaks (20)"
    )
    parser.add_argument("--goal", choices=GOALS, default="fleet", help="what to compare (fleet)")
    parser.add_argument("--layout", help="layout of the scenario (default: its first)")
    parser.add_argument("--strategy", metavar="NAME", help="of the scenario (default: its first)")
    parser.add_argument(
        "--time-limit", type=amount, default=60.0, metavar="S", help="seconds for each plan (60)"
    )
    parser.add_argument("--work", type=amount, metavar="N", help="limit of each in units of work")
    parser.add_argument("--seed", type=whole, default=0, help="of the search (0)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--json", action="store_true", help="sizes, now and resized (answers), and what it saves"
    )
    how.add_argument("--csv", action="store_true", help="the sizes alone, a line for each service")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.set_defaults(command=command)


def command(arguments: argparse.Namespace) -> int:
    """Print the sizes, both plans and what lies between them."""
    buys = arguments.goal in ("fleet", "instances")
    loaded = load_scenario(arguments.scenario, buys=buys)
    say_notes(loaded)
    scenario = loaded.scenario
    sizes = sizes_for(scenario, read_usage(arguments.usage, scenario), arguments.headroom)
    if arguments.csv:
        print(as_csv(sizes), end="")
        return 0
    answers = []
    try:
        with Interruptible() as interruptible:
            for each in (scenario, resized(scenario, sizes)):
                limits = Limits(
                    arguments.time_limit, arguments.work, arguments.seed, interruptible.clock
                )
                answers.append(
                    answer_scenario(
                        each, arguments.goal, limits, None, arguments.layout, arguments.strategy,
                        loaded.strategies,
                    )
                )  # fmt: skip
    except PackingInputError as error:
        raise SpecError([(str(arguments.scenario), str(error))]) from error
    saved = savings(*answers)
    if arguments.json:
        now, after = (answer_json(each) for each in answers)
        rows = [vars(size) for size in sizes]
        print(json.dumps({"sizes": rows, "now": now, "resized": after, "saves": saved}))
    else:
        print(as_text(sizes, answers, saved, scenario))
    return 0


def read_usage(path: Path, scenario: Scenario) -> dict[str, tuple[float, float]]:
    """Per service of the file its peaks of CPU units and MiB.

    Raises:
        SpecError: names every row that is wrong, and services that the scenario has not.
    """
    known = {table.name for table in scenario.service}
    problems: list[tuple[str, str]] = []
    peaks: dict[str, tuple[float, float]] = {}
    for line, row in named_rows(path, USAGE):
        place = f"{path}:{line}"
        if isinstance(row, str):
            problems.append((place, row))
            continue
        try:
            cpu, memory = number("cpu", row["cpu"]), number("memory", row["memory"])
        except ValueError as error:
            problems.append((place, str(error)))
            continue
        if row["service"] not in known:
            what = f"no service {row['service']!r}; the scenario has {', '.join(sorted(known))}"
            problems.append((place, what))
            continue
        before = peaks.get(row["service"], (0.0, 0.0))
        peaks[row["service"]] = (max(cpu, before[0]), max(memory, before[1]))
    if not peaks and not problems:
        problems.append((str(path), "holds no row"))
    if problems:
        raise SpecError(problems)
    return peaks


def sizes_for(
    scenario: Scenario, peaks: Mapping[str, tuple[float, float]], headroom: float
) -> list[Size]:
    """What to reserve for each service that has peaks, `headroom` percent above them."""
    found = []
    for table in scenario.service:
        if table.name not in peaks:
            continue
        definition = parse_task_definition(
            scenario.task_definitions[table.task_definition], table.task_definition
        )
        now = task_resources(definition)
        cpu, memory = (math.ceil(peak * (100 + headroom) / 100) for peak in peaks[table.name])
        containers = len(definition.containers)
        found.append(
            Size(
                table.name,
                table.desired_count,
                now.get(CPU, 0),
                max(cpu, CPU_LEAST * containers),
                now.get(MEMORY, 0),
                max(memory, MEMORY_LEAST * containers),
            )
        )
    return found


def resized(scenario: Scenario, sizes: Sequence[Size]) -> Scenario:
    """The scenario with a task definition of its own, of that size, for each of the services."""
    by_name = {size.service: size for size in sizes}
    definitions, services = dict(scenario.task_definitions), []

    def own(size: Size, definition: str) -> str:
        name = f"{size.service}--{definition}--resized"
        definitions[name] = resized_document(scenario.task_definitions[definition], size)
        definitions[name]["family"] = name
        return name

    for table in scenario.service:
        size = by_name.get(table.name)
        if size is not None:
            deploy = tuple(
                step.model_copy(update={"task_definition": own(size, step.task_definition)})
                if step.task_definition
                else step
                for step in table.deploy
            )
            new = {"task_definition": own(size, table.task_definition), "deploy": deploy}
            table = table.model_copy(update=new)
        services.append(table)
    update = {"task_definitions": definitions, "service": type(scenario.service)(services)}
    return scenario.model_copy(update=update)


def resized_document(document: Mapping[str, Any], size: Size) -> dict[str, Any]:
    """The task definition with other sizes; containers keep their shares of both."""
    found: dict[str, Any] = deepcopy(dict(document))
    containers = found["containerDefinitions"]
    cpus = dealt(size.cpu, [int(each.get("cpu") or 0) for each in containers], CPU_LEAST)
    soft = [int(each.get("memoryReservation") or each.get("memory") or 0) for each in containers]
    memories = dealt(size.memory, soft, MEMORY_LEAST)
    for each, cpu, memory in zip(containers, cpus, memories, strict=True):
        each["cpu"] = cpu
        each["memoryReservation"] = memory
        if each.get("memory"):
            each["memory"] = max(int(each["memory"]), memory)
    for name, total in (("cpu", size.cpu), ("memory", size.memory)):
        if found.get(name):
            found[name] = str(total)
    if found.get("memory"):
        for each, memory in zip(containers, memories, strict=True):
            each.pop("memory", None)
            each["memoryReservation"] = memory
    return found


def dealt(total: int, weights: Sequence[int], least: int) -> list[int]:
    """`total` in whole parts in the proportion of `weights` (alike where all are 0), none less
    than `least`, which together must not be more than `total`."""
    whole_weight = sum(weights)
    shares = [w / whole_weight if whole_weight else 1 / len(weights) for w in weights]
    free = total - least * len(weights)
    parts = [least + int(free * share) for share in shares]
    parts[shares.index(max(shares))] += total - sum(parts)
    return parts


def savings(now: Answer[Any], after: Answer[Any]) -> dict[str, Any]:
    """Between the two plans, in the unit of both; None where a plan is missing."""
    found: dict[str, Any] = {"unit": now.unit, "saves": None, "saves_at_least": None}
    found["saves_at_most"] = None
    if now.objective is not None and after.objective is not None:
        found["saves"] = now.objective - after.objective
        found["saves_at_least"] = now.lower_bound - after.objective
        found["saves_at_most"] = now.objective - after.lower_bound
    return found


def as_csv(sizes: Sequence[Size]) -> str:
    """A line for each service, with a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(size) for size in sizes)
    return out.getvalue()


def as_text(
    sizes: Sequence[Size], answers: Sequence[Answer[Any]], saved: Mapping[str, Any],
    scenario: Scenario,
) -> str:  # fmt: skip
    """The sizes, both plans in short, and what is saved."""
    width = max(len("service"), *(len(size.service) for size in sizes))
    lines = [
        f"{'service':{width}} {'tasks':>6} {'CPU now':>8} {'CPU':>8} {'MiB now':>8} {'MiB':>8}"
    ]
    lines += [
        f"{s.service:{width}} {s.tasks:>6} {s.cpu_now:>8} {s.cpu:>8} "
        f"{s.memory_now:>8} {s.memory:>8}"
        for s in sizes
    ]
    for name, found in zip(("as they are", "resized"), answers, strict=True):
        lines += ["", f"{name}: {summary(found, scenario)}"]
    if saved["saves"] is not None:
        unit = saved["unit"]
        lines += [
            "",
            f"saves {saved['saves']:,} {unit}; proven: at least {saved['saves_at_least']:,}, "
            f"at most {saved['saves_at_most']:,}",
        ]
    return "\n".join(lines)
