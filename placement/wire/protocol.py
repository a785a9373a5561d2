"""AWS JSON 1.1: what a POST says, and what it is answered with (ecs 8.1).

Requests are checked against the API model of ECS that botocore ships. As AWS's services do, members
that the model does not know are passed over, and null is not given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from stowplan.placement.taskdef.api_model import WRONG_TYPE, conform, operations
from stowplan.placement.wire.errors import WireError, broken

CONTENT_TYPE = "application/x-amz-json-1.1"
TARGET = "AmazonEC2ContainerServiceV20141113"
BODY_MOST = 1 << 20  # bytes; AWS's own limit is not published, a RegisterTaskDefinition has 64 KiB

# What agents send beside the public model of the API.
_OF_AGENTS = {"RegisterContainerInstance": ("clientToken",)}


@dataclass(frozen=True, slots=True)
class Request:
    """A call of ECS's API that is as the model says."""

    operation: str
    params: dict[str, Any]


def read_request(target: str, body: bytes) -> Request:
    """The call in a POST.

    Args:
        target: the header X-Amz-Target.
        body: JSON; empty means no parameters.
    Raises:
        WireError: an unknown operation; no JSON; a request that breaks the API model.
    """
    service, _, operation = target.partition(".")
    if service != TARGET or operation not in operations():
        raise WireError("UnknownOperationException", f"no operation of ECS: {target[:100]!r}")
    if len(body) > BODY_MOST:
        raise WireError("RequestEntityTooLargeException", f"more than {BODY_MOST} bytes", 413)
    try:
        document = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("SerializationException", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise WireError("SerializationException", "the body is not a JSON object")
    params, problems = conform(document, operations()[operation], unknown_ignored=True)
    if problems:
        raise broken(problems, any(what.startswith(WRONG_TYPE) for _, what in problems))
    for name in _OF_AGENTS.get(operation, ()):
        if isinstance(document.get(name), str):
            params[name] = document[name]
    return Request(operation, params)


def write_response(document: Mapping[str, Any]) -> bytes:
    """The body of a response; members that are None are left out by whoever made it."""
    return msgspec.json.encode(document)
