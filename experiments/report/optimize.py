"""What `stowplan optimize` shows: a live line while it works, the answer, and a folder of files."""

from __future__ import annotations

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from functools import singledispatch
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stowplan.experiments.record.output import output_folder
from stowplan.experiments.report.progress_lines import EVERY_S
from stowplan.placement.optimal.answer import Answer, Trial
from stowplan.placement.optimal.plan import Plan, zone_counts
from stowplan.placement.packing.over_time.plan import OverTimePlan
from stowplan.placement.packing.over_time.problem import MS_PER_HOUR
from stowplan.placement.packing.over_time.problem import UNIT as OVER_TIME
from stowplan.placement.packing.problem import Progress
from stowplan.placement.scenario.scenario import Scenario

_ROWS_MAX = 20
_OWNERS_MAX = 5  # services and workloads that a line names


class LiveProgress:
    """A line on the terminal with bound, best plan and gap; call it with each improvement.

    Where stderr is no terminal it gets the line at an improvement, at most every ten seconds.
    """

    def __init__(self, goal: str, console: Console | None = None) -> None:
        self._due_s = time.monotonic() + EVERY_S
        self._goal, self._last = goal, Progress(0.0, 0, None)
        self._console = console or Console(stderr=True)
        self._live = Live(
            get_renderable=self._line,
            console=self._console,
            transient=True,
            refresh_per_second=4,
        )

    def __enter__(self) -> LiveProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, entry: Progress) -> None:
        """Take in an improvement."""
        self._last = entry
        if not self._console.is_terminal and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + EVERY_S
            print(self._line().plain, file=self._console.file, flush=True)

    def _line(self) -> Text:
        bound, best = self._last.lower_bound, self._last.incumbent
        if best is None:
            return Text(f"{self._goal}: at least {bound:,}, no plan yet")
        gap = (best - bound) / max(abs(best), 1)
        since = f"{self._last.seconds:.1f} s"
        return Text(
            f"{self._goal}: best {best:,}, at least {bound:,}, gap {gap:.3%}, since {since}"
        )


def print_answer(answer: Answer[Any], scenario: Scenario, *, as_json: bool = False) -> None:
    """The answer on stdout, as text with a table of the plan or as JSON."""
    if as_json:
        print(json.dumps(answer_json(answer)))
        return
    print(summary(answer, scenario))
    if answer.plan is not None:
        console = Console() if sys.stdout.isatty() else Console(width=100)
        console.print(plan_table(answer.plan, _ROWS_MAX))


def summary(answer: Answer[Any], scenario: Scenario | None = None) -> str:
    """A few lines: status, objective, bound and gap; for an infeasible one, why.

    Without a scenario the plan is not one of instances to have.
    """
    if answer.status == "infeasible":
        return "\n".join([f"{answer.goal}: infeasible", *(f"  {why}" for why in answer.reasons)])
    if answer.objective is None:
        least = _amount(answer.lower_bound, answer.unit)
        return f"{answer.goal}: no plan found in time; at least {least}"
    best, bound = (_amount(n, answer.unit) for n in (answer.objective, answer.lower_bound))
    proven = "proven least" if answer.status == "optimal" else f"gap {answer.gap:.3%}"
    stopped = ", interrupted" if answer.interrupted else ""
    lines = [f"{answer.goal}: {best}, at least {bound} ({proven}), {answer.seconds:.1f} s{stopped}"]
    plan = answer.plan
    if isinstance(plan, Plan) and scenario is not None:
        hours = scenario.optimize.hours
        price = plan.price_microusd_hour
        cost = f"{_amount(plan.count, 'instances')}, ${price / 1e6:,.4f} an hour"
        cost += f", ${price * hours / 1e6:,.2f} for {hours:,} hours" if hours > 1 else ""
        lines.append(cost)
        lines += [
            f"left out: {n:,} of {plan.tasks[i].count:,} tasks of {plan.tasks[i].owner}"
            for i, n in plan.left_out.items()
        ]
        lines += daemon_lines(plan)
    if isinstance(plan, OverTimePlan) and plan.daemons:
        lines.append(f"beside a task of each daemon ({', '.join(plan.daemons)}) on every instance")
    lines += answer.notes
    if answer.trial is not None:
        lines += trial_lines(answer.trial, answer.unit)
    return "\n".join(lines)


def daemon_lines(plan: Plan) -> list[str]:
    """A line for each daemon: on how many instances of the plan, and where it has no room."""
    lines = []
    for index, daemon in enumerate(plan.daemons):
        there = sum(line.copies for line in plan.instances if index in line.daemons)
        short = plan.without(index)
        lacks = f"; on {_amount(short, 'instances')} it has no room" if short else ""
        lines.append(f"daemon {daemon.owner}: a task on {_amount(there, 'instances')}{lacks}")
    return lines


def trial_lines(trial: Trial, unit: str) -> list[str]:
    """Whether ECS, left alone, would reach the plan, and what came of its own places."""
    if trial.drained:
        return [_drained_line(trial)]
    short = _tasks_of(trial.left)
    found = f"{short} find no place" if trial.left else "every task finds a place"
    where = "on these instances, by their own strategies"
    if trial.cost is None or trial.plan_cost is None:
        used = f"on {_amount(trial.used, 'instances')} (plan: {trial.plan_used:,})"
    else:
        used = f"for {_amount(trial.cost, unit)} (plan: {_amount(trial.plan_cost, unit)})"
    verdict = "would reach this" if trial.reached else "would NOT reach this"
    verdict = "would do better than this" if trial.better else verdict
    lines = [f"ECS, left alone, {verdict}: {where}, {found}, {used}"]
    refused = _tasks_of(trial.refused)
    own = f"the engine refuses {refused}" if trial.refused else "the engine takes every task"
    return [*lines, f"by the plan's own places: {own}"]


def _drained_line(trial: Trial) -> str:
    if not trial.left:
        return "ECS, left alone, would reach this: drained, these instances empty themselves"
    left = _tasks_of(trial.left)
    return f"ECS, left alone, would NOT reach this: it finds no other place for {left}"


def _tasks_of(counts: Mapping[str, int]) -> str:
    """`4 tasks of a, 1 task of b`."""
    parts = [f"{_amount(n, 'tasks')} of {owner}" for owner, n in counts.items()]
    more = len(parts) - _OWNERS_MAX
    return ", ".join([*parts[:_OWNERS_MAX], *([f"{more} more"] if more > 0 else [])])


def answer_json(answer: Answer[Any]) -> dict[str, Any]:
    """The answer as JSON; `plan` by its type, see `plan_json`."""
    return {
        "goal": answer.goal,
        "status": answer.status,
        "unit": answer.unit,
        "objective": answer.objective,
        "lower_bound": answer.lower_bound,
        "gap": answer.gap,
        "seconds": round(answer.seconds, 3),
        "interrupted": answer.interrupted,
        "reasons": list(answer.reasons),
        "plan": None if answer.plan is None else plan_json(answer.plan),
        "notes": list(answer.notes),
        "trial": None if answer.trial is None else trial_json(answer.trial),
        "log": [[round(e.seconds, 3), e.lower_bound, e.incumbent] for e in answer.log],
    }


def trial_json(trial: Trial) -> dict[str, Any]:
    """A trial as JSON: tasks by owner that found no place, and whether ECS reaches the plan."""
    return {
        "ecs_reaches_it": trial.reached,
        "left_by_strategy": dict(trial.left),
        "left_by_plan": dict(trial.planned),
        "refused_by_places": dict(trial.refused),
        "instances_by_strategy": trial.used,
        "cost_by_strategy": trial.cost,
    }


@singledispatch
def plan_json(plan: Any) -> Any:
    """A plan as JSON. A goal with a plan of its own registers a function for its type here."""
    raise TypeError(f"no JSON for a {type(plan).__name__}")


@plan_json.register
def _(plan: Plan) -> Any:
    owners = list(dict.fromkeys(each.owner for each in plan.tasks))
    return {
        "instances": plan.count,
        "price_microusd_hour": plan.price_microusd_hour,
        "lines": [
            {
                "copies": line.copies,
                "instance_type": line.instance_type,
                "zone": line.zone,
                "purchase": line.purchase,
                "price_microusd_hour": line.spec.price_microusd_hour,
                "tasks": _content(plan, line.tasks),
                "daemons": [plan.daemons[index].owner for index in line.daemons],
                **({"names": list(line.names)} if line.names else {}),
            }
            for line in plan.instances
        ],
        "tasks_by_zone": zone_counts(plan, owners),
        "left_out": _content(plan, plan.left_out.items()),
    }


@singledispatch
def plan_table(plan: Any, most: int | None = None) -> Table:
    """A plan as a table of at most `most` rows; registered by type as `plan_json` is."""
    raise TypeError(f"no table for a {type(plan).__name__}")


@plan_table.register
def _(plan: Plan, most: int | None = None) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for name in ("copies", "type", "zone", "purchase", "$/h each", "tasks on each"):
        table.add_column(name, justify="right" if name in ("copies", "$/h each") else "left")
    lines = sorted(plan.instances, key=lambda line: (-line.copies, line.instance_type))
    for line in lines[:most]:
        held = [f"{n} {name}" for name, n in _content(plan, line.tasks).items()]
        content = ", ".join([*held, *(f"1 {plan.daemons[i].owner} (daemon)" for i in line.daemons)])
        price = f"{line.spec.price_microusd_hour / 1e6:.4f}"
        table.add_row(
            str(line.copies), line.instance_type, line.zone, line.purchase, price, content
        )
    if most is not None and len(lines) > most:
        rest = sum(line.copies for line in lines[most:])
        table.add_row(str(rest), f"in {len(lines) - most} further rows", "", "", "", "")
    return table


@plan_json.register
def _(plan: OverTimePlan) -> Any:
    starts, ends = plan.times_ms or ((), ())
    return {
        "tasks": {
            "group": list(plan.groups),
            "start_ms": [int(at) for at in starts],
            "end_ms": [int(at) for at in ends],
            "instance": plan.instance.tolist(),
        },
        "daemons": list(plan.daemons),
        "instance_types": [plan.type_name(n) for n in range(len(plan.types))],
    }


@plan_table.register
def _(plan: OverTimePlan, most: int | None = None) -> Table:
    """The instances with most tasks first; they are numbered from 0 and are not the fleet's own."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for name in ("instance number", "type", "tasks over time"):
        table.add_column(name, justify="right")
    tasks = Counter(plan.instance[plan.instance >= 0].tolist())
    for instance, count in tasks.most_common(most):
        table.add_row(str(instance), plan.type_name(instance), f"{count:,}")
    if most is not None and len(tasks) > most:
        table.add_row("", f"{len(tasks) - most} further instances", "")
    return table


def _content(plan: Plan, tasks: Any) -> dict[str, int]:
    """Tasks by owner."""
    counts: Counter[str] = Counter()
    for index, n in tasks:
        counts[plan.tasks[index].owner] += n
    return dict(counts)


def write_answer(answer: Answer[Any], scenario: Scenario, target: Path) -> None:
    """A folder with `answer.json`, `plan.txt` (readable) and `progress.svg`.

    Raises:
        SpecError: as `output_folder`.
    """
    text = io.StringIO()
    print(summary(answer, scenario), file=text)
    if answer.plan is not None:
        Console(file=text, width=160).print(plan_table(answer.plan))
    write_files(target, answer_json(answer), text.getvalue(), answer)


def write_files(target: Path, as_json: Any, text: str, answer: Answer[Any]) -> None:
    """The same folder, of any JSON and text, with the progress of `answer`."""
    with output_folder(target) as folder:
        (folder / "answer.json").write_text(json.dumps(as_json, indent=1) + "\n")
        (folder / "plan.txt").write_text(text)
        progress_plot(answer, folder / "progress.svg")


def progress_plot(answer: Answer[Any], target: Path) -> None:
    """Bound and best plan over time, as steps."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": answer.goal}):
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        end = answer.seconds
        for label, values in (
            ("best plan", [(e.seconds, e.incumbent) for e in answer.log]),
            ("lower bound", [(e.seconds, e.lower_bound) for e in answer.log]),
        ):
            known = [(at, value) for at, value in values if value]
            if known:
                times, heights = zip(*known, (end, known[-1][1]), strict=True)
                axes.step(times, heights, where="post", label=label)
        axes.set(xlabel="seconds", ylabel=answer.unit, title=f"goal {answer.goal}")
        if axes.lines:
            axes.legend()
        figure.savefig(target, metadata={"Date": None})
        pyplot.close(figure)


def _amount(number: int, unit: str = "") -> str:
    if unit == OVER_TIME:
        return f"${number / 1e6 / MS_PER_HOUR:,.4f}"
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}".strip()
