"""The credentials of tasks' roles: sent with a task, and again before they expire (ecs 9.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stowplan.placement.agentwire.frames import Document

LASTS_MS = 6 * 3_600_000  # as ECS's do
RENEWED_MS = 3_600_000  # how often they are sent anew
ROLES = {
    "taskRoleArn": ("roleCredentials", "TaskApplication"),
    "executionRoleArn": ("executionRoleCredentials", "TaskExecution"),
}


class Keys(NamedTuple):
    """An access key, its secret, and the token of its session."""

    access_key_id: str
    secret_access_key: str
    session_token: str


KeysOf = Callable[[str], Keys]  # of a role, by its ARN


def roles_of(definition: Mapping[str, Any]) -> dict[str, str]:
    """The roles of a task by their member in its definition, as names or ARNs."""
    return {member: definition[member] for member in ROLES if definition.get(member)}


def credentials_document(identity: str, role: str, keys: Keys, expires: str) -> Document:
    """`IAMRoleCredentials`.

    Args:
        identity: by which the task's containers ask their agent for them.
        expires: in the form of ISO 8601.
    """
    return {
        "credentialsId": identity,
        "roleArn": role,
        "accessKeyId": keys.access_key_id,
        "secretAccessKey": keys.secret_access_key,
        "sessionToken": keys.session_token,
        "expiration": expires,
    }
