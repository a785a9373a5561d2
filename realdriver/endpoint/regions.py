"""The accounts behind one address: one, or one for each region that clients name.

ECS has an endpoint in each region. A suite of tests written for emulators has one address for all,
and says the region in the scope of its signature.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from stowplan.realdriver.endpoint.host import LocalHost

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/([a-z0-9-]{1,40})/")
REGIONS_MOST = 50


class Regions:
    """Hosts by region.

    Args:
        make: the host of a region.
        default: the region of who names none, and of all where `every` is False.
    """

    def __init__(
        self, make: Callable[[str], LocalHost], default: str, *, every: bool = False
    ) -> None:
        self._make, self._default, self._every = make, default, every
        self._lock = threading.Lock()
        self._hosts = {default: make(default)}

    def of(self, authorization: str) -> LocalHost:
        """The host that a request with that Authorization header means."""
        found = _SCOPE.search(authorization) if self._every else None
        region = self._default if found is None else found[1]
        with self._lock:
            if region not in self._hosts and len(self._hosts) >= REGIONS_MOST:
                region = self._default
            if region not in self._hosts:
                self._hosts[region] = self._make(region)
            return self._hosts[region]

    def reset(self) -> None:
        """Everything is gone, and all begins anew."""
        with self._lock:
            self._close()
            self._hosts = {self._default: self._make(self._default)}

    def close(self) -> None:
        """End all hosts."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        for host in self._hosts.values():
            host.close()
