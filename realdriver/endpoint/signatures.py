"""Signature Version 4 of requests, checked (AWS General Reference, "Signing AWS API requests").

botocore works out what the signature had to be; here it is compared, and what botocore leaves to
the service is looked at: the date, the scope, and which headers were signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage
from typing import Any, NamedTuple

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from stowplan.placement.wire.errors import WireError

SKEW = timedelta(minutes=5)
_ALGORITHM = "AWS4-HMAC-SHA256"
_HEADER = re.compile(
    rf"{_ALGORITHM}\s+Credential=([^/,\s]+)/(\d{{8}})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;_-]+),\s*Signature=([0-9a-f]{64})\s*"
)
_DATE = "%Y%m%dT%H%M%SZ"


def check_signature(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Mapping[str, str],
    now: datetime,
    services: tuple[str, ...] = ("ecs",),
) -> str:
    """The access key that signed a request.

    Args:
        url: with scheme, host, path and query, as the client asked for it.
        headers: by their names in lower case.
        keys: the secret of each access key that may call.
        now: the time of receipt, with a time zone.
        services: the signing names that are taken.
    Raises:
        WireError: not signed, or not by one of the keys, or dated outside five minutes, or signed
            for another service, or not over the body and all headers that AWS has signed.
    """
    given = _read(headers)
    secret = keys.get(given.access_key)
    if secret is None:
        what = "The security token included in the request is invalid."
        raise WireError("UnrecognizedClientException", what)
    _check_scope(headers, given, services, now)
    _check_body(headers, body)
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    if not hmac.compare_digest(_signature(request, given, secret), given.signature):
        raise _mismatch("The request signature we calculated does not match the one you provided.")
    return given.access_key


class _Given(NamedTuple):
    """What the Authorization header says."""

    access_key: str
    day: str
    region: str
    service: str
    signed: list[str]
    signature: str


def _read(headers: Mapping[str, str]) -> _Given:
    text = headers.get("authorization")
    if text is None:
        raise WireError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    found = _HEADER.fullmatch(text)
    if found is None:
        raise WireError("IncompleteSignatureException", "the Authorization header is not of SigV4")
    access_key, day, region, service, signed, signature = found.groups()
    return _Given(access_key, day, region, service, signed.split(";"), signature)


def _mismatch(what: str) -> WireError:
    return WireError("InvalidSignatureException", what, 403)


def _check_scope(
    headers: Mapping[str, str], given: _Given, services: tuple[str, ...], now: datetime
) -> None:
    stamp, signed = headers.get("x-amz-date", ""), set(given.signed)
    try:
        at = datetime.strptime(stamp, _DATE).replace(tzinfo=UTC)
    except ValueError:
        raise WireError("IncompleteSignatureException", "no X-Amz-Date of SigV4") from None
    if abs(now - at) > SKEW:
        raise _mismatch(f"Signature expired: {stamp} is not within 5 minutes of the server's time")
    if given.day != stamp[:8]:
        raise _mismatch("the credential's date is not that of the request")
    if given.service not in services:
        other = f"{services[0]!r}, not {given.service!r}"
        raise _mismatch(f"Credential should be scoped to service {other}")
    # What would change the meaning of the request must be under its signature.
    needed = {"host"} | {name for name in headers if name.startswith("x-amz-")}
    if not needed <= signed:
        raise _mismatch(f"headers that are not signed: {', '.join(sorted(needed - signed))}")
    if not signed <= set(headers):
        raise _mismatch("a header that is signed is missing")


def _check_body(headers: Mapping[str, str], body: bytes) -> None:
    stated = headers.get("x-amz-content-sha256")
    if stated is not None and stated != hashlib.sha256(body).hexdigest():
        raise _mismatch("the body is not the one that was signed")


class _Check(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer, over the headers that a client signed."""

    def __init__(self, credentials: Credentials, service: str, region: str, signed: list[str]):
        super().__init__(credentials, service, region)
        self._signed = signed

    def headers_to_sign(self, request: Any) -> HTTPMessage:
        """Those that the client names, instead of those that botocore would choose."""
        chosen = HTTPMessage()
        for name in self._signed:
            chosen[name] = request.headers[name]
        return chosen


def _signature(request: AWSRequest, given: _Given, secret: str) -> str:
    request.context["timestamp"] = request.headers["x-amz-date"]
    credentials = Credentials(given.access_key, secret)
    check = _Check(credentials, given.service, given.region, given.signed)
    text = check.string_to_sign(request, check.canonical_request(request))
    return str(check.signature(text, request))
