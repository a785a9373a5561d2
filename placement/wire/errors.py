"""The errors that ECS's API answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stowplan.placement.errors import PlacementError

CONFLICT = "ConflictException"


SERVER_EXCEPTION = "ServerException"  # who answers with it, and not the caller, is to blame


class WireError(PlacementError):
    """A request is refused; nothing was changed.

    Args:
        code: ECS's exception (`ClusterNotFoundException`), or one common to AWS's services.
        message: the sentence that its SDKs show.
        status: of HTTP; 400 says that the client is to blame.
        more: further members of the exception (`resourceIds` of a ConflictException).
    """

    def __init__(
        self, code: str, message: str, status: int = 400, more: Mapping[str, Any] | None = None
    ) -> None:
        self.code, self.message, self.status = code, message, status
        self.more = dict(more or {})
        super().__init__(f"{code}: {message}")

    def __reduce__(self) -> tuple[type[WireError], tuple[object, ...]]:
        return type(self), (self.code, self.message, self.status, self.more)

    def document(self) -> dict[str, Any]:
        """The body of the response."""
        return {"__type": self.code, "message": self.message, **self.more}


def invalid(message: str) -> WireError:
    """A parameter has a value that the call cannot take."""
    return WireError("InvalidParameterException", message)


def cluster_not_found() -> WireError:
    """In ECS's words."""
    return WireError("ClusterNotFoundException", "Cluster not found.")


def broken(problems: Sequence[tuple[str, str]], wrong_type: bool) -> WireError:
    """A request that is not as the API model says: every problem, by its place in the request."""
    message = "; ".join(f"{place}: {what}" for place, what in problems)
    return WireError(
        "SerializationException" if wrong_type else "InvalidParameterException", message
    )
