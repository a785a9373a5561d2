"""Which registry an image comes from, and who we are there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

HUB = "docker.io"
# What Docker Hub is called: by images, by `docker login`, and by its API.
_HUBS = (HUB, "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "")

T = TypeVar("T")


def registry_of(image: str) -> str:
    """The host of an image's registry; of `org/image` and `image` that is Docker Hub.

    The first part is a host if it has a dot or a port, or is localhost (as Docker reads it).
    """
    first, slash, _ = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return HUB if not is_host or first in _HUBS else first


def of_registry(credentials: Mapping[str, T], image: str) -> T | None:
    """What is said of an image's registry, however Docker Hub is called there."""
    registry = registry_of(image)
    names = _HUBS if registry == HUB else (registry,)
    return next((credentials[name] for name in names if name in credentials), None)
