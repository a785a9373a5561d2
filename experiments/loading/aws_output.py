"""Reads saved output of `aws ... describe-*`: each object is known by its content, not its file.

A file may hold one output, a list of them, or several one after the other, as a shell loop writes
them; with or without the envelope, so that what `--query services` prints is read as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stowplan.experiments.files.text import read_text
from stowplan.experiments.loading.aws_item import Item, Notes, Problems
from stowplan.placement.errors import SpecError

# Member of the envelope -> (what its objects are, the member that names one).
_ENVELOPES = {
    "clusters": ("cluster", "clusterArn"),
    "services": ("service", "serviceArn"),
    "containerInstances": ("container instance", "containerInstanceArn"),
    "tasks": ("task", "taskArn"),
    "capacityProviders": ("capacity provider", "name"),
    "AutoScalingGroups": ("group", "AutoScalingGroupName"),
    "TargetGroups": ("target group", "TargetGroupArn"),
    "Reservations": ("reservation", "ReservationId"),
    "Instances": ("instance", "InstanceId"),
}
# Without an envelope: what has all of these members is one. The first that fits counts: a task
# names its container instance too, and a service its cluster.
_BARE = (
    ("service", ("serviceArn", "serviceName")),
    ("task", ("taskArn", "containers")),
    ("container instance", ("containerInstanceArn", "registeredResources")),
    ("capacity provider", ("capacityProviderArn", "name")),
    ("group", ("AutoScalingGroupName", "MaxSize")),
    ("instance", ("InstanceId", "InstanceType")),
    ("target group", ("TargetGroupArn", "TargetGroupName")),
    ("cluster", ("clusterArn", "clusterName")),
    ("definition", ("taskDefinitionArn", "containerDefinitions")),
)
_KEYS = dict(_ENVELOPES.values()) | {"definition": "taskDefinitionArn"}
# Of `aws ... list-*`: names alone.
_NAMES_ALONE = ("Arns", "nextToken", "NextToken")


@dataclass
class AwsOutput:
    """Everything that was found, by kind and then by ARN or name, in the order of the files."""

    notes: Notes = field(default_factory=Notes)
    problems: Problems = field(default_factory=list)
    found: dict[str, dict[str, Item]] = field(default_factory=dict)

    def all(self, kind: str) -> list[Item]:
        """The objects of a kind: "service", "task", "instance", "group" and so on."""
        return list(self.found.get(kind, {}).values())


def read_output(paths: Iterable[Path]) -> AwsOutput:
    """What is in these files, and in the JSON files of these folders.

    What cannot be read, or is of another type than AWS gives it, is in `problems`.
    """
    output = AwsOutput()
    for path in paths:
        files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        if not files:
            output.problems.append((str(path), "holds no JSON files"))
        for file in files:
            for place, content in _documents(file, output.problems):
                if _take(content, place, output):
                    continue
                if file == path:
                    output.problems.append((place, _no_output(content)))
                else:
                    output.notes.add("passed over, as they are no output of describe", file.name)
    return output


def _documents(file: Path, problems: Problems) -> Iterator[tuple[str, Any]]:
    """(place, content) of each JSON document in a file."""
    try:
        text = read_text(file)
    except OSError as error:
        problems.append((str(file), error.strerror or str(error)))
        return
    except UnicodeError as error:
        problems.append((str(file), f"not a text file: {error}"))
        return
    decoder, at, number = json.JSONDecoder(), 0, 0
    if not text.strip():
        problems.append((str(file), "is empty"))
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            content, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            what = f"not valid JSON: {error}; `aws ... --output json` writes it"
            problems.append((str(file), what))
            return
        number += 1
        yield str(file) if number == 1 else f"{file} (document {number})", content


def _take(content: Any, place: str, output: AwsOutput) -> bool:
    """Keep what is in a document; whether there was anything that describe prints."""
    if isinstance(content, list):
        each = [_take(one, f"{place}: [{i}]", output) for i, one in enumerate(content)]
        return bool(each) and all(each)
    if not isinstance(content, Mapping):
        return False
    if _take_bare(content, place, output):
        return True
    whole = Item(content, f"{place}:", output.problems)
    known = False
    for envelope, (kind, key) in _ENVELOPES.items():
        if not isinstance(content.get(envelope), list):
            continue
        known = True
        for item in _within(whole, envelope):
            _keep(item, kind, key, output)
    if isinstance(content.get("taskDefinition"), Mapping):
        known = True
        _keep(_within_one(whole, "taskDefinition"), "definition", "taskDefinitionArn", output)
    for failure in whole.items("failures") if known else ():
        what = f"{failure.text('reason', 'failed')}: AWS could not describe"
        output.notes.add(what, failure.text("arn", "?").rpartition("/")[2])
    return known or _names_alone(content, place, output)


def _within(whole: Item, envelope: str) -> Iterator[Item]:
    for item in whole.items(envelope):
        yield Item(item.body, item.place.replace(":.", ": "), item.problems)


def _within_one(whole: Item, key: str) -> Item:
    item = whole.inner(key)
    return Item(item.body, item.place.replace(":.", ": "), item.problems)


def _take_bare(content: Mapping[str, Any], place: str, output: AwsOutput) -> bool:
    for kind, members in _BARE:
        if all(member in content for member in members):
            _keep(Item(content, place, output.problems), kind, _KEYS[kind], output)
            return True
    return False


def _names_alone(content: Mapping[str, Any], place: str, output: AwsOutput) -> bool:
    listed = bool(content) and all(key.endswith(_NAMES_ALONE) for key in content)
    if listed:
        name = Path(place.partition(": [")[0]).name
        output.notes.add("hold names alone, as list calls print them; describe says more", name)
    return listed


def _keep(item: Item, kind: str, key: str, output: AwsOutput) -> None:
    if kind == "reservation":
        for each in item.items("Instances"):
            _keep(each, "instance", "InstanceId", output)
        return
    name = item.text(key)
    if not name:
        if item.body.get(key) in (None, ""):
            item.wrong(key, f"is missing; every {kind} has one")
        return
    there = output.found.setdefault(kind, {})
    if name in there and there[name].body != item.body:
        what = f"a {kind} is there twice and not the same; the later file counts"
        output.notes.add(what, name.rpartition("/")[2])
    there[name] = item


def _no_output(content: Any) -> str:
    """Why a document is none of those that are read."""
    expected = "ecs describe-clusters, -services, -container-instances, -tasks, -task-definition, "
    expected += "-capacity-providers, autoscaling describe-auto-scaling-groups, ec2 "
    expected += "describe-instances or elbv2 describe-target-groups"
    if isinstance(content, Mapping):
        return f"is no output of aws {expected}; it has {', '.join(list(content)[:5]) or 'nothing'}"
    return f"is no output of aws {expected}; it is a {type(content).__name__}"


def chosen_cluster(output: AwsOutput, wanted: str) -> str:
    """The cluster that is meant; what belongs to others is taken out.

    Args:
        wanted: its name, "" for the only one.
    Raises:
        SpecError: there are several and none was named, or there is none of that name.
    """
    kinds = ("cluster", "service", "container instance", "task")
    names = {cluster_of(item) for kind in kinds for item in output.all(kind)} - {""}
    if wanted and wanted not in names:
        known = ", ".join(sorted(names)) or "none"
        raise SpecError([("--cluster", f"no cluster {wanted!r} in the files; there are: {known}")])
    if not wanted and len(names) > 1:
        what = f"the files are of several clusters: {', '.join(sorted(names))}; name one"
        raise SpecError([("--cluster", what)])
    for kind in kinds:
        there = output.found.get(kind, {})
        for name, item in list(there.items()):
            if wanted and cluster_of(item) not in (wanted, ""):
                del there[name]
    return wanted or next(iter(names), "")


def cluster_of(item: Item) -> str:
    """The name of the cluster that an object belongs to; "" where it does not say."""
    if "clusterArn" in item.body:
        return item.text("clusterArn").rpartition("/")[2]
    # arn:aws:ecs:REGION:ACCOUNT:container-instance/CLUSTER/ID; before 2019 without the cluster.
    parts = item.text("containerInstanceArn").split("/")
    return parts[1] if len(parts) == 3 else ""
