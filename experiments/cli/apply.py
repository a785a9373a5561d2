"""`stowplan apply`: the moves of a plan are carried out on the real cluster that it is of."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stowplan.experiments.cli.snapshot import account_of, add_account_arguments
from stowplan.experiments.loading.moves_file import MovesPlan, read_moves
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.units import parse_duration_ms

if TYPE_CHECKING:
    from stowplan.experiments.runs.applying import Predicted
    from stowplan.realdriver.aws.moves import Mover, Seen, Task

Held = Mapping[str, Mapping[str, int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan apply`."""
    parser.add_argument(
        "plan",
        type=Path,
        help="folder that optimize --goal repack --at 0s --out FOLDER wrote for a snapshot",
    )
    parser.add_argument(
        "--scenario", type=Path, help="the snapshot's; default: where it was for the plan"
    )
    parser.add_argument("--cluster", help="its name, if it is not the scenario's")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="look and simulate, change nothing")
    parser.add_argument(
        "--wait", default="15m", help="how long a task or a drain may take (default: 15m)"
    )
    add_account_arguments(parser)
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the plan out. 0: done; 1: not, since it would not be reached or something differs."""
    from stowplan.experiments.loading.load import load_scenario
    from stowplan.experiments.runs.applying import predicted
    from stowplan.realdriver.aws.moves import Mover

    plan = read_moves(arguments.plan)
    try:
        wait_s = parse_duration_ms(arguments.wait) / 1000
    except ValueError as error:
        raise SpecError([("--wait", str(error))]) from None
    loaded = load_scenario(arguments.scenario or plan.scenario)
    if not plan.emptied and not plan.standalone:
        print("the plan moves nothing")
        return 0
    told = predicted(loaded, plan)
    if told.why_not:
        print("ECS would not reach the plan: " + "; ".join(told.why_not), file=sys.stderr)
        return 1
    cluster = arguments.cluster or plan.cluster
    mover = Mover(account_of(arguments), cluster, plan.mark, _say, wait_s)
    carrying = _Carrying(plan, told, mover)
    try:
        carrying.check()
        print(carrying.said(cluster))
        if arguments.dry_run or not (arguments.yes or _agreed()):
            print("nothing was changed")
            return 0
        carrying.out()
    except SpecError:
        raise
    except PlacementError as error:
        print(f"stopped: {error}", file=sys.stderr)
        print("what was done stands; the same command goes on from there", file=sys.stderr)
        return 1
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise SpecError([("apply", "nobody can be asked here: --yes says so beforehand")])
    return input("carry it out? [y/N] ").strip().lower() in ("y", "yes")


class _Carrying:
    """A plan on its way. What was done before, by this or another process, is read from ECS."""

    def __init__(self, plan: MovesPlan, told: Predicted, mover: Mover) -> None:
        self._plan, self._told, self._mover = plan, told, mover

    def said(self, cluster: str) -> str:
        """What is going to happen."""
        plan, usd = self._plan, self._plan.usd_hour
        own = len(plan.standalone)
        return (
            f"{cluster}: {self._told.moved} tasks move, {own} of no service by StartTask and "
            f"StopTask, {self._told.moved - own} of services by draining; {len(plan.freed)} "
            f"instances get free: ${usd['before']:.4f} an hour in use become ${usd['after']:.4f}"
        )

    def check(self) -> Seen:
        """Hold the cluster against the plan. Raises Surprise."""
        from stowplan.experiments.runs.applying import differences, totals
        from stowplan.realdriver.aws.moves import Surprise

        plan, seen = self._plan, self._mover.look()
        named = {*plan.held, *plan.emptied, *(step.target for step in plan.steps)}
        problems = [f"{name}: not in the cluster" for name in sorted(named - {*seen.status})]
        made = self._made(seen)
        draining = {name for name in plan.emptied if seen.status.get(name) == "DRAINING"}
        there: Held = self._unmoved(seen, made.values())
        planned: Held = plan.held
        if draining:  # services' tasks are on their way; how many there are still counts
            alone = {g for held in planned.values() for g in held if not g.startswith("service:")}
            there = {name: _only(held, alone) for name, held in there.items()}
            planned = {name: _only(held, alone) for name, held in planned.items()}
            now, then = totals(seen.held()), totals(plan.held)
            problems += [
                f"{group}: {now[group]} tasks, planned {then[group]}"
                for group in sorted({*now, *then})
                if group.startswith("service:") and now[group] < then[group]
            ]
        problems += differences(there, planned, {*there, *planned})
        ours = {(step.source, step.group) for _, step in plan.standalone}
        problems += [
            f"{task.group} on {task.instance} has a network interface of its own, whose security "
            "groups ECS does not tell: it cannot be started elsewhere"
            for task in seen.tasks
            if task.interface and (task.instance, task.group) in ours
        ]
        others = [n for n in plan.held if n not in plan.emptied and seen.status.get(n) != "ACTIVE"]
        problems += [f"{name}: {seen.status[name]}" for name in others if name in seen.status]
        if problems:
            more = len(problems) - 5
            text = "; ".join(problems[:5]) + (f"; and {more} more" if more > 0 else "")
            raise Surprise(f"the cluster is not as the plan says: {text}")
        return seen

    def _made(self, seen: Seen) -> dict[int, Task]:
        """Step -> the copy that it started."""
        return {task.made_by[1]: task for task in seen.tasks if task.made_by[0] == self._plan.mark}

    def _unmoved(self, seen: Seen, made: Iterable[Task]) -> dict[str, Counter[str]]:
        """What would run where, had no step been made."""
        held, ids = seen.held(), {task.id for task in seen.tasks}
        for task in made:
            _, step, old = task.made_by
            held[task.instance][task.group] -= 1
            source = self._plan.steps[step].source
            if source is not None and not any(each.startswith(old) for each in ids):
                held.setdefault(source, Counter())[task.group] += 1
        return {name: +tasks for name, tasks in held.items()}

    def out(self) -> None:
        """Make the moves that are left, and see where they led. Raises Surprise."""
        for part in (
            (self._drain, self._move) if self._told.drain_first else (self._move, self._drain)
        ):
            part()
        self._finish()

    def _move(self) -> None:
        seen = self.check()
        made = self._made(seen)
        for number, step in self._plan.standalone:
            new = made.get(number)
            here = [t for t in seen.tasks if t.instance == step.source and t.group == step.group]
            old = next(iter(sorted(here, key=lambda t: t.id)), None)
            if new is not None:
                old = next((t for t in seen.tasks if t.id.startswith(new.made_by[2])), None)
                if old is None:
                    continue
            self._mover.move(number, old, new, seen.arns[step.target])
            _say(f"{step.group}: a task of {step.source} runs on {step.target}")
            seen = self._mover.look()

    def _drain(self) -> None:
        if not self._plan.emptied:
            return
        seen = self.check()
        _say(f"draining {len(self._plan.emptied)} instances")
        self._mover.set_status(seen, self._plan.emptied, "DRAINING")
        self._mover.await_empty(self._services_alone())

    def _services_alone(self) -> list[str]:
        """The instances that are empty once services' tasks have gone."""
        if not self._told.drain_first:
            return list(self._plan.emptied)
        own = {step.source for _, step in self._plan.standalone}
        return [name for name in self._plan.emptied if name not in own]

    def _finish(self) -> None:
        from stowplan.experiments.runs.applying import totals
        from stowplan.realdriver.aws.moves import Surprise

        plan = self._plan
        seen = self._mover.await_empty(plan.emptied)
        spare = [name for name in plan.emptied if name not in plan.freed]
        self._mover.set_status(seen, spare, "ACTIVE")  # they were empty before, too
        now, then = totals(seen.held()), totals(plan.held)
        if lacks := [group for group in then if now[group] < then[group]]:
            raise Surprise(f"fewer tasks run than before: {', '.join(sorted(lacks))}")
        moved = sum(
            max(0, n - seen.held().get(name, Counter())[group])
            for name, groups in plan.held.items()
            for group, n in groups.items()
        )
        _say(
            f"done: {moved} tasks moved; ${plan.usd_hour['after']:.4f} an hour in use; "
            f"{len(plan.freed)} instances are empty and DRAINING, so nothing is placed there: "
            f"{', '.join(plan.freed)}. End them, or let their group shrink"
        )


def _only(held: Mapping[str, int], groups: set[str]) -> dict[str, int]:
    return {group: n for group, n in held.items() if group in groups}
