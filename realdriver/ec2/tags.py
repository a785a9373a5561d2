"""How things of ours are known: by tags that say whose they are, and names made of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

CLUSTER, RUN = "stowplan:cluster", "stowplan:run"
BATCH = "stowplan:batch"  # of an instance: the launch that it came of
UNTIL = "stowplan:until"  # seconds since 1970 after which it powers itself off
DEFINITION = "stowplan:definition"  # of a task definition: its name in the run
TASK = "stowplan:task:"  # of a task, with what ends an instance's ARN: its number there
MADE = "stowplan:made"  # of an ECS cluster that a run made, so that `down` removes it
_RUN_CHARS, _STARTED_BY = 12, "sp"


def ec2_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As EC2's and Auto Scaling's calls take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def ecs_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As ECS's calls take them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def read_tags(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """From either form."""
    return {
        each.get("Key", each.get("key", "")): each.get("Value", each.get("value", ""))
        for each in tags or ()
    }


def started_by(run: str, first: int) -> str:
    """`startedBy` of the tasks of one StartTask call: at most 36 characters."""
    return f"{_STARTED_BY}-{run[:_RUN_CHARS]}-{first}"


def is_ours(text: str) -> bool:
    """Whether a `startedBy` is of a run of this program, whichever."""
    return text.startswith(f"{_STARTED_BY}-")


def run_of(text: str, runs: Iterable[str]) -> str:
    """Of which of these runs a `startedBy` is; "": of none."""
    return next((run for run in runs if first_of(text, run) is not None), "")


def first_of(text: str, run: str) -> int | None:
    """The number that `started_by` made it of; None: the task is not of this run."""
    head = f"{_STARTED_BY}-{run[:_RUN_CHARS]}-"
    number = text.removeprefix(head)
    return int(number) if text.startswith(head) and number.isdecimal() else None


def task_tag(instance_arn: str) -> str:
    """The key of the tag with the number of the task of a call that is on this instance."""
    return TASK + instance_arn.rsplit("/", 1)[-1]


def number_of(task: Mapping[str, Any]) -> int | None:
    """The number of a task as it is described with its tags; None: it has none of ours."""
    marks = read_tags(task.get("tags"))
    number = marks.get(task_tag(str(task.get("containerInstanceArn", ""))), "")
    return int(number) if number.isdecimal() else None


def family(cluster: str, name: str) -> str:
    """The family in ECS of a scenario's family: families are the whole account's."""
    return f"stowplan-{cluster}-{name}"[:255]


def ecs_cluster(cluster: str) -> str:
    """The ECS cluster that a run makes for itself."""
    return f"stowplan-{cluster}"
