"""Random task definitions, what an agent made of each, and whether two agents agree."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from datetime import datetime

from tests.realdriver.agents.rig import until
from tests.realdriver.engines import IMAGE

_LABELS = (("stowplan.container",), ("com.amazonaws.ecs.container-name",))
TIMES, SLACK_S = 0.10, 0.5  # share of its length, and seconds, by which a time may differ


@dataclass
class Case:
    """A task definition, and whether its task is stopped once it runs."""

    number: int
    containers: list[dict]
    stop: bool

    def by_name(self):
        return {each["name"]: each for each in self.containers}


@dataclass
class Outcome:
    """What became of a task; times in seconds from its creation."""

    stop_code: str
    reason: str
    exit_codes: dict[str, int | None]
    order: list[str]  # of starts
    times: dict[str, float] = field(default_factory=dict)


def cases(count: int, seed: int = 0) -> list[Case]:
    rng = random.Random(seed)
    return [_case(number, rng) for number in range(count)]


def _container(name, command, **fields):
    shell = {"command": ["sh", "-c", command]}
    return {"name": name, "image": IMAGE, "cpu": 32, "memory": 16, **shell, **fields}


def _case(number: int, rng: random.Random) -> Case:
    stop = rng.random() < 0.3
    code = rng.choice([0, 0, 1, 7, 42])
    main = "trap 'exit 3' TERM; sleep 1000 & wait" if stop and rng.random() < 0.5 else None
    main = main or ("sleep 1000" if stop else f"sleep {rng.choice([0, 0.2, 0.5, 1])}; exit {code}")
    found = [_container("main", main, stopTimeout=2)]
    waits = []
    for position in range(rng.randrange(3)):
        name = f"c{position}"
        condition = rng.choice(["START", "COMPLETE", "SUCCESS"])
        if condition == "START":
            found.append(_container(name, "sleep 1000", essential=False, stopTimeout=2))
        else:
            fails = condition == "SUCCESS" and rng.random() < 0.15
            ends = f"sleep {rng.choice([0, 0.2])}; exit {5 if fails else 0}"
            found.append(_container(name, ends, essential=False))
        waits.append({"containerName": name, "condition": condition})
    if waits:
        found[0]["dependsOn"] = waits
    rng.shuffle(found)
    if rng.random() < 0.04:
        found[0]["image"] = "nowhere.invalid/none:1"
    return Case(number, found, stop)


def play(ecs, engine, case: Case, family: str) -> Outcome:
    """Run a case to its end."""
    ecs.register_task_definition(family=family, containerDefinitions=case.containers)
    answer = ecs.run_task(taskDefinition=family)
    assert not answer["failures"], answer
    arn = answer["tasks"][0]["taskArn"]

    def status(wanted):
        (task,) = ecs.describe_tasks(tasks=[arn])["tasks"]
        return task if task["lastStatus"] in wanted else None

    task = until(lambda: status(("RUNNING", "STOPPED")), 180)
    if case.stop and task["lastStatus"] == "RUNNING":
        time.sleep(0.3)
        ecs.stop_task(task=arn, reason="the suite says so")
    task = until(lambda: status(("STOPPED",)), 180)
    created = task["createdAt"]
    times = {
        name: (task[name] - created).total_seconds()
        for name in ("startedAt", "stoppedAt")
        if name in task
    }
    codes = {each["name"]: each.get("exitCode") for each in task["containers"]}
    order = _order(engine, arn)
    return Outcome(task.get("stopCode", ""), task.get("stoppedReason", ""), codes, order, times)


def _order(engine, arn: str) -> list[str]:
    starts = {}
    with engine.client() as client:
        for each in client.api.containers(all=True):
            labels = each["Labels"]
            own = labels.get("stowplan.task-definition", "").partition(":")[0]
            if arn.rpartition("/")[2] == own or labels.get("com.amazonaws.ecs.task-arn") == arn:
                name = next(labels[n] for (n,) in _LABELS if n in labels)
                at = client.api.inspect_container(each["Id"])["State"]["StartedAt"]
                if not at.startswith("0001"):
                    starts[name] = at
    return sorted(starts, key=lambda name: _time(starts[name]))


def _time(text: str) -> float:
    return datetime.fromisoformat(text[:26].rstrip("Z")).timestamp()


def wrong(case: Case, outcome: Outcome) -> list[str]:
    """What of an outcome ECS's rules do not allow."""
    found, known = [], case.by_name()
    place = {name: at for at, name in enumerate(outcome.order)}
    missing = any(each["image"] != IMAGE for each in case.containers)
    words = ("CannotPull",) if known["main"]["image"] != IMAGE else ("CannotPull", "TaskDependency")
    for wait in known["main"].get("dependsOn", ()):
        name = wait["containerName"]
        if "main" in place and (name not in place or place[name] > place["main"]):
            found.append(f"main began before {name}")
        failed = outcome.exit_codes.get(name) not in (0, None)
        if wait["condition"] == "SUCCESS" and failed and "main" in place:
            found.append(f"main began, though {name} failed")
    if missing:
        if outcome.stop_code != "TaskFailedToStart" or not outcome.reason.startswith(words):
            found.append(f"a missing image ends with {outcome.stop_code}: {outcome.reason}")
    elif "main" not in place:
        if outcome.stop_code != "TaskFailedToStart":
            found.append(f"what never began ends with {outcome.stop_code}")
    elif case.stop:
        trapped = "trap" in known["main"]["command"][2]
        if (outcome.stop_code, outcome.reason) != ("UserInitiated", "the suite says so"):
            found.append(f"a stop ends with {outcome.stop_code}: {outcome.reason}")
        if outcome.exit_codes["main"] not in ((3, 137) if trapped else (137,)):
            found.append(f"stopped with {outcome.exit_codes['main']}")
    else:
        code = int(known["main"]["command"][2].rpartition(" ")[2])
        if outcome.exit_codes["main"] != code:
            found.append(f"main ended with {outcome.exit_codes['main']}, not {code}")
        if outcome.stop_code != "EssentialContainerExited":
            found.append(f"an end by itself is {outcome.stop_code}")
    return found


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """In what two agents do not agree about a case."""
    found = []
    for name in ("stop_code", "reason", "exit_codes", "order"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if name == "reason":  # what a runtime says in its own words is not compared
            a, b = a.partition(":")[0], b.partition(":")[0]
        if a != b:
            found.append(f"{name}: {a!r} and {b!r}")
    if ours.times.keys() != theirs.times.keys():
        found.append(f"times of {sorted(ours.times)} and {sorted(theirs.times)}")
    for name in ours.times.keys() & theirs.times.keys():
        a, b = ours.times[name], theirs.times[name]
        if abs(a - b) > SLACK_S + TIMES * max(a, b):
            found.append(f"{name}: {a:.2f} and {b:.2f} s")
    return found
