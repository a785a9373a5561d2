"""ECS's own sentences where a task definition breaks one of its rules.

ECS names one problem; where it has a sentence for the first one that we find, that is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.placement.wire.errors import WireError

_CONTAINER = r"containerDefinitions\[(\d+)\]"
# Of a place and a problem, as `placement.taskdef` says them, the sentence; {} is the container.
_SENTENCES = (
    (rf"{_CONTAINER}\.name", "missing", "Container.name should not be null or empty."),
    (rf"{_CONTAINER}\.image", "missing", "Container.image should not be null or empty."),
    (
        rf"{_CONTAINER}\.memory",
        "missing",
        "Invalid setting for container '{}'. At least one of 'memory' or 'memoryReservation' must "
        "be specified.",
    ),
    (
        "pidMode",
        "must be task for FARGATE",
        "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value "
        "for pidMode is 'task'.",
    ),
    ("networkMode", "must be awsvpc for FARGATE", "Fargate only supports network mode 'awsvpc'."),
)


def check_definition(document: Mapping[str, Any]) -> None:
    """Raises WireError, in ECS's sentence, where it has one for what is wrong first."""
    try:
        parse_task_definition(document)
    except SpecError as error:
        place, what = error.problems[0]
        for where, begins, sentence in _SENTENCES:
            found = re.fullmatch(where, place)
            if found is None or not what.startswith(begins):
                continue
            name = ""
            if found.groups():
                name = document["containerDefinitions"][int(found[1])].get("name", "")
            raise WireError("ClientException", sentence.format(name)) from None
