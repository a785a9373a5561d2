"""boto3's clients, made here alone: where they call, how often they try again, with which keys.

Credentials come from boto3's own chain and go nowhere else. `STOWPLAN_AWS_HOSTS` names the only
hosts that clients may call; the tests set it to this machine's, so that none reaches an account.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from stowplan.placement.driver import DriverError, Throttled
from stowplan.realdriver.aws.errors import NoCredentials, translated

HOSTS = "STOWPLAN_AWS_HOSTS"
_TRIES, _CONNECT_S, _READ_S = 6, 10, 60
_AGAIN_S, _AGAIN_MOST_S = 1.0, 20.0
_ASK_AGAIN_S = 5.0  # for credentials
_REGIONS = {"pricing": "us-east-1"}  # services that are not in every region
# The names of the token that asks for the next page, and of the one that an answer gives.
_TOKENS = (("nextToken", "nextToken"), ("NextToken", "NextToken"), ("Marker", "Marker"))


@dataclass(frozen=True)
class Access:
    """Whose account, and where.

    Args:
        region: None: what boto3's own chain says.
        profile: of the shared credentials; None: the default.
        endpoints: URL by service, as boto3 names it ("ecs", "ec2"), where it is not AWS's own. The
            variables AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> hold where it says nothing.
        throttled_s: how long a call that AWS throttles is tried again after the SDK gave up.
        credentials_s: how long new credentials are waited for once AWS refuses the old ones.
    """

    region: str | None = None
    profile: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    throttled_s: float = 120.0
    credentials_s: float = 900.0


class Account:
    """Calls to AWS, from any thread; they raise what `errors.translated` says.

    Args:
        say: takes a line where a call waits for people: credentials have expired.
    """

    def __init__(self, access: Access, say: Callable[[str], None] = lambda text: None) -> None:
        self._access, self._say = access, say
        self._clients: dict[tuple[str, bool], Any] = {}
        self._making = threading.Lock()
        self._closed = threading.Event()
        self._refused_s: float | None = None  # since when credentials are refused
        self._session = self._open()
        self.region: str = access.region or self._session.region_name or ""
        if not self.region:
            raise DriverError("no AWS region: give one, or set AWS_REGION")

    def _open(self) -> Any:
        try:
            region = self._access.region or os.environ.get("AWS_REGION")
            return boto3.session.Session(profile_name=self._access.profile, region_name=region)
        except BotoCoreError as error:
            raise NoCredentials(f"{error}; `aws configure list-profiles` names them") from error

    def client(self, service: str, *, once: bool = False) -> Any:
        """The client of a service. `once`: it never tries again, as what it calls is not
        idempotent."""
        with self._making:
            key = (service, once)
            if key not in self._clients:
                self._clients[key] = self._make(service, once)
            return self._clients[key]

    def _make(self, service: str, once: bool) -> Any:
        retries = {"total_max_attempts": 1 if once else _TRIES, "mode": "adaptive"}
        config = Config(
            retries=retries,
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            max_pool_connections=32,
            user_agent_extra="stowplan",
        )
        with translated(service, "", self.region):
            made = self._session.client(
                service,
                region_name=_REGIONS.get(service, self.region),
                endpoint_url=self._access.endpoints.get(service),
                config=config,
            )
        check_pinned(service, made.meta.endpoint_url)
        return made

    def call(self, service: str, action: str, *, once: bool = False, **given: Any) -> Any:
        """One call, by AWS's own name: `call("ec2", "RunInstances", MinCount=1, ...)`.

        Throttling and expired credentials are waited out, each for so long as `Access` says.

        Args:
            once: an answer that was lost is never asked for again: the caller finds out first.
        """
        throttled_until, wait_s = time.monotonic() + self._access.throttled_s, _AGAIN_S
        while True:
            try:
                with translated(service, action, self.region):
                    answer = getattr(self.client(service, once=once), xform_name(action))(**given)
                self._refused_s = None
                return answer
            except Throttled:
                if time.monotonic() + wait_s > throttled_until or self._closed.wait(wait_s):
                    raise
                wait_s = min(wait_s * 2, _AGAIN_MOST_S)
            except NoCredentials as error:
                self._await_credentials(error)

    def _await_credentials(self, error: NoCredentials) -> None:
        """Wait a while before the call is made again, with what the chain finds then."""
        now_s = time.monotonic()
        if self._refused_s is None:
            self._refused_s = now_s
            if self._access.credentials_s > 0:
                self._say(f"{error}; waiting for new ones")
        if now_s - self._refused_s >= self._access.credentials_s or self._closed.wait(
            min(_ASK_AGAIN_S, self._access.credentials_s)
        ):
            raise error
        with self._making:
            self._clients.clear()
            self._session = self._open()

    def pages(self, service: str, action: str, key: str, **given: Any) -> Iterator[Any]:
        """What a call lists under `key`, from all of its pages."""
        into, out = self._tokens(service, action)
        while True:
            answer = self.call(service, action, **given)
            yield from answer.get(key) or ()
            token = answer.get(out) if out else None
            if not token:
                return
            given = {**given, into: token}

    def _tokens(self, service: str, action: str) -> tuple[str, str]:
        """The names of the token that asks for the next page, and of the one that is given."""
        model = self.client(service).meta.service_model.operation_model(action)
        asked = model.input_shape.members if model.input_shape else {}
        given = model.output_shape.members if model.output_shape else {}
        for into, out in _TOKENS:
            if into in asked and out in given:
                return into, out
        return "", ""

    def close(self) -> None:
        """End every wait: calls that wait raise now."""
        self._closed.set()


def check_pinned(service: str, url: str) -> None:
    """See that a client calls no other host than `STOWPLAN_AWS_HOSTS` names, if it is set.

    Raises:
        DriverError: it would.
    """
    hosts = os.environ.get(HOSTS)
    if hosts is None:
        return
    host = urlsplit(url).hostname or ""
    if host not in hosts.split(","):
        raise DriverError(f"{service}: {HOSTS} is set and does not name {host}: nothing is called")
