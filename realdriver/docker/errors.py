"""The one place where errors of the SDK and of the transport become ours.

The kind tells the cause. `Unreachable` says nothing of the task (the call may even have been
carried out). All others are the engine's answer to the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from docker import errors as docker_errors
from urllib3 import exceptions as transport

from stowplan.placement.driver import DriverError, InsufficientCapacity, NotFound

_NO_ROOM = ("no space left on device", "cannot allocate memory", "address pool")

_NAME_TAKEN = ("container name", "already in use")  # Podman says it by 500

_CAUSES = (
    *("Permission denied", "No such file or directory", "Connection refused"),
    *("Name or service not known", "Temporary failure in name resolution"),
    *("No route to host", "Network is unreachable"),
)


class Unreachable(DriverError):
    """The engine did not answer, or not in time: the fate of the call is unknown."""


class Conflict(DriverError):
    """There is something of that name already, or it is in use."""


@contextmanager
def translated(engine: str) -> Iterator[None]:
    """Raise our errors in place of the SDK's.

    Raises:
        Unreachable, NotFound, Conflict, InsufficientCapacity, DriverError.
    """
    try:
        yield
    except docker_errors.APIError as error:
        raise _answered(error) from error
    except (
        requests.RequestException,
        transport.HTTPError,
        docker_errors.DockerException,
        OSError,
        ValueError,  # a half of an answer does not parse
    ) as error:
        raise Unreachable(f"{engine}: {_plain(error)}") from error


def _answered(error: docker_errors.APIError) -> DriverError:
    text = str(error.explanation or error.response.reason if error.response is not None else error)
    if error.status_code == 404:
        return NotFound(text)
    if error.status_code == 409 or all(words in text for words in _NAME_TAKEN):
        return Conflict(text)
    if any(words in text.lower() for words in _NO_ROOM):
        return InsufficientCapacity(text)
    return DriverError(text)


def _plain(error: BaseException) -> str:
    """The innermost cause, which is what a user can act on."""
    text = str(error)
    for words in _CAUSES:
        if words in text:
            return words.lower()
    if "timed out" in text.lower() or "timeout" in type(error).__name__.lower():
        return "no answer in time"
    return text or type(error).__name__
