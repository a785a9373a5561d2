"""The real backends by the name that `--driver` takes, and which one a journal is of.

Each is named by a string and imported when it is asked for: who looks at one needs no other.
"""

from __future__ import annotations

import importlib

from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.realdriver.backend import Backend

DRIVER = "driver"  # in a journal's header; one that lacks it is of Docker
BACKENDS = {
    "docker": ("stowplan.realdriver.docker.backend", "DockerBackend"),
    "ec2": ("stowplan.realdriver.ec2.backend", "Ec2Backend"),
}


def backend_of(header: Header) -> Backend:
    """The backend of the run that a journal holds, with its settings.

    Raises:
        SpecError: this program knows none of that name.
    """
    name = header.run.get(DRIVER, "docker")
    if name not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise SpecError([("journal", f"it is of driver {name!r}; this stowplan has {known}")])
    module, owner = BACKENDS[name]
    found: Backend = getattr(importlib.import_module(module), owner).of(header)
    return found
