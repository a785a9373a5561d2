"""What becomes of a plan of moves, by simulation: would ECS, asked to, get to where the plan is?

Tasks of no service are moved one by one, by StartTask and StopTask. Tasks of services move as
instances are drained: ECS starts others in their place, wherever the services' own strategies and
settings send them. So where they go is simulated, with all that the plan leaves empty DRAINING.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stowplan.experiments.loading.load import Loaded
from stowplan.experiments.loading.moves_file import SERVICE, MovesPlan, StepTable
from stowplan.experiments.runs.simulate import uncollected, world
from stowplan.placement.cluster.arrays import names
from stowplan.placement.loop import run_loop
from stowplan.placement.messages import Round
from stowplan.placement.outlook import Running
from stowplan.placement.scenario.faults import Fault
from stowplan.placement.scenario.running import RunningTable
from stowplan.placement.scenario.scenario import Scenario
from stowplan.placement.scheduler.scheduler import Scheduler

Held = dict[str, Counter[str]]


@dataclass(frozen=True)
class Predicted:
    """Where a plan leads.

    Args:
        why_not: what is in the way of it, a sentence each; empty: ECS gets there.
        drain_first: services' tasks move before those of no service.
        moved: tasks that stop where they are and start elsewhere.
        held: instance -> group -> tasks, in the end; daemons apart.
    """

    why_not: tuple[str, ...]
    drain_first: bool = False
    moved: int = 0
    held: Held | None = None


def predicted(loaded: Loaded, plan: MovesPlan) -> Predicted:
    """Simulate a plan from the state that the scenario begins with, to the scenario's end."""
    begin = _ran(loaded, 0, ())
    if wrong := _differs(held_of(begin), plan.held):
        return Predicted((f"the plan is of another state than {loaded.path} begins with: {wrong}",))
    steps = [step for _, step in plan.standalone]
    moved = Counter(step.group for step in steps)
    moved += Counter(
        group
        for name in plan.emptied
        for group, count in plan.held.get(name, {}).items()
        for _ in range(count)
        if group.startswith(SERVICE)
    )
    until_ms = loaded.scenario.duration
    found: list[Predicted] = []
    for drain_first in (False, True):
        if drain_first and not steps:
            break
        try:
            after = loaded if drain_first else _moved(loaded, steps)
        except ValueError as error:
            return Predicted((str(error),))
        end = _ran(after, until_ms, plan.emptied)
        stuck = _stuck(end if drain_first else begin, steps)
        held = held_of(end)
        if drain_first and not stuck:
            _move(held, steps)
        why_not = [*stuck, *_short(held, plan)]
        found.append(Predicted(tuple(why_not), drain_first, moved.total(), held))
        if not why_not:
            return found[-1]
    return found[0]


def held_of(scheduler: Scheduler) -> Held:
    """Instance -> group -> tasks; daemons apart."""
    cluster = scheduler.cluster
    ids = names(cluster.column("ec2InstanceId"), range(cluster.size))
    found: Held = {}
    for task in scheduler.outlook().running():
        if not task.daemon:
            found.setdefault(ids[task.row], Counter())[task.kind.group] += 1
    return found


def _ran(loaded: Loaded, until_ms: int, drained: Sequence[str]) -> Scheduler:
    """The scheduler at a time of the scenario's first run, with these drained from 0 s on."""
    scenario = loaded.scenario
    run = next(iter(scenario.runs()))
    faults: list[Fault] = []
    if drained:
        query = f"ec2InstanceId in [{', '.join(drained)}]"
        faults = [Fault(kind="drain", at=1000, instances=query)]
    scenario = scenario.model_copy(update={"faults": {run.faults: faults}})
    rounds: list[Round] = []
    with uncollected():
        scheduler, driver = world(replace(loaded, scenario=scenario), run, until_ms)
        run_loop(scheduler, driver, rounds.append)
    return scheduler


def _moved(loaded: Loaded, steps: Iterable[StepTable]) -> Loaded:
    """The scenario as it begins once tasks of no service have been moved."""
    scenario = loaded.scenario
    tables = {table.instance: Counter(table.standalone) for table in scenario.running}
    for step in steps:
        assert step.source is not None
        family = step.group.removeprefix("family:")
        there = [n for n in tables.get(step.source, ()) if _family(scenario, n) == family]
        if len(there) != 1:
            what = "holds none" if not there else "holds them by several task definitions"
            raise ValueError(f"{step.source} {what} of {step.group}: which to move nothing says")
        tables[step.source] -= Counter(there)
        tables.setdefault(step.target, Counter())[there[0]] += 1
    services = {table.instance: table.services for table in scenario.running}
    running = [
        RunningTable(instance=name, services=services.get(name, {}), standalone=dict(+counts))
        for name, counts in tables.items()
    ]
    running = [table for table in running if table.services or table.standalone]
    return replace(loaded, scenario=scenario.model_copy(update={"running": running}))


def _family(scenario: Scenario, name: str) -> str:
    return str(scenario.task_definitions[name]["family"])


def _stuck(scheduler: Scheduler, steps: Iterable[StepTable]) -> list[str]:
    """The first task of no service that has no room where it goes, start before stop."""
    engine = scheduler.engine.on(scheduler.cluster.copy())
    cluster = engine.cluster
    ids = names(cluster.column("ec2InstanceId"), range(cluster.size))
    rows = {name: row for row, name in enumerate(ids)}
    there: dict[tuple[str, int], list[Running]] = {}
    for task in scheduler.outlook().running():
        there.setdefault((task.kind.group, task.row), []).append(task)
    for step in steps:
        assert step.source is not None
        here = there.get((step.group, rows.get(step.source, -1)), [])
        if not here or step.target not in rows:
            return [f"{step.group} does not run on {step.source}, or {step.target} is not there"]
        task = here.pop()
        filled = engine.place_on(task.kind, rows[step.target])
        if filled.failure is not None:
            return [f"{step.group} has no room on {step.target}: {filled.failure.reason}"]
        cluster.release(task.kind, task.row, task.devices)
        there.setdefault((step.group, rows[step.target]), []).append(
            replace(task, row=rows[step.target], devices=filled.devices[0])
        )
    return []


def _move(held: Held, steps: Iterable[StepTable]) -> None:
    for step in steps:
        assert step.source is not None
        held.setdefault(step.source, Counter())[step.group] -= 1
        held.setdefault(step.target, Counter())[step.group] += 1


def _short(held: Held, plan: MovesPlan) -> list[str]:
    """In what the end falls short of the plan's: instances that are not empty, tasks that lack."""
    found = []
    full = [name for name in plan.emptied if held.get(name, Counter()).total() > 0]
    if full:
        groups = sorted({group for name in full for group, n in held[name].items() if n > 0})
        found.append(f"{', '.join(full)} would not be empty: {', '.join(groups)} stay there")
    before, after = totals(plan.held), totals(held)
    for group in sorted(before):
        if after[group] < before[group]:
            what = f"of {before[group]} tasks of {group} {before[group] - after[group]} would find"
            found.append(f"{what} no place")
    return found


def totals(held: Mapping[str, Mapping[str, int]]) -> Counter[str]:
    """Tasks of each group."""
    found: Counter[str] = Counter()
    for groups in held.values():
        found.update(groups)
    return found


def _differs(
    there: Mapping[str, Mapping[str, int]], planned: Mapping[str, Mapping[str, int]]
) -> str:
    return "; ".join(differences(there, planned, {*there, *planned})[:3])


def differences(
    there: Mapping[str, Mapping[str, int]],
    planned: Mapping[str, Mapping[str, int]],
    instances: Iterable[str],
) -> list[str]:
    """`i-1: service:web 2, planned 3`, for each of these instances and group that differs."""
    found = []
    for name in sorted(instances):
        now, then = there.get(name, {}), planned.get(name, {})
        for group in sorted({*now, *then}):
            if now.get(group, 0) != then.get(group, 0):
                found.append(f"{name}: {group} {now.get(group, 0)}, planned {then.get(group, 0)}")
    return found
