"""Instance metadata for a machine that is no EC2 instance: IMDSv2, as far as agents ask for it.

A session begins with a token, and each request bears it (EC2 user guide, "Use the Instance Metadata
Service"). Nobody signs documents here, so the signature is a checksum.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stowplan.realdriver.agents.line import Key

_TTL, _TOKEN = "x-aws-ec2-metadata-token-ttl-seconds", "x-aws-ec2-metadata-token"
_TTL_MOST = 21_600
_SESSIONS_MOST = 10_000
ROLE = "ecsInstanceRole"


@dataclass(frozen=True)
class InstanceFacts:
    """What the metadata of an instance says.

    Args:
        key: the credentials of its role; None: it has no role.
    """

    instance_id: str
    instance_type: str = "m5.large"
    zone: str = "us-east-1a"
    region: str = "us-east-1"
    account: str = "000000000000"
    address: str = "127.0.0.1"
    key: Key | None = None

    @property
    def document(self) -> dict[str, object]:
        """The instance identity document."""
        return {
            "accountId": self.account,
            "architecture": "x86_64",
            "availabilityZone": self.zone,
            "imageId": "ami-00000000000000000",
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "pendingTime": "2026-01-01T00:00:00Z",
            "privateIp": self.address,
            "region": self.region,
            "version": "2017-09-30",
        }

    @property
    def mac(self) -> str:
        """A locally administered address, the same for the same instance."""
        digest = hashlib.sha256(self.instance_id.encode()).hexdigest()
        return ":".join(("02", *(digest[at : at + 2] for at in range(0, 10, 2))))


def _pages(facts: InstanceFacts) -> Mapping[str, str]:
    """What is answered under each path below `/latest/`; another is 404."""
    document = msgspec.json.format(msgspec.json.encode(facts.document), indent=2).decode()
    checksum = base64.b64encode(hashlib.sha256(document.encode()).digest()).decode()
    interface = f"meta-data/network/interfaces/macs/{facts.mac}"
    digits = hashlib.sha256(facts.zone.encode()).hexdigest()[:17]
    pages = {
        "meta-data/instance-id": facts.instance_id,
        "meta-data/instance-type": facts.instance_type,
        "meta-data/ami-id": "ami-00000000000000000",
        "meta-data/mac": facts.mac,
        "meta-data/local-ipv4": facts.address,
        "meta-data/local-hostname": facts.instance_id,
        "meta-data/hostname": facts.instance_id,
        "meta-data/placement/availability-zone": facts.zone,
        "meta-data/placement/availability-zone-id": f"use1-az{ord(facts.zone[-1]) - 96}",
        "meta-data/placement/region": facts.region,
        "meta-data/network/interfaces/macs/": f"{facts.mac}/",
        f"{interface}/vpc-id": "vpc-00000000000000000",
        f"{interface}/subnet-id": f"subnet-{digits}",
        "dynamic/instance-identity/document": document,
        "dynamic/instance-identity/signature": checksum,
    }
    if facts.key is not None:
        pages["meta-data/iam/security-credentials/"] = ROLE
    return pages


def _role(key: Key) -> str:
    now = datetime.now(UTC)
    form = "%Y-%m-%dT%H:%M:%SZ"
    document = {
        "Code": "Success",
        "LastUpdated": now.strftime(form),
        "Type": "AWS-HMAC",
        "AccessKeyId": key.access_key,
        "SecretAccessKey": key.secret,
        "Token": "",
        "Expiration": (now + timedelta(hours=6)).strftime(form),
    }
    return msgspec.json.encode(document).decode()


def make_metadata_app(
    facts: InstanceFacts, monotonic: Callable[[], float] = time.monotonic
) -> Starlette:
    """The application that answers for one instance."""
    pages, until = _pages(facts), {}

    async def token(request: Request) -> Response:
        text = request.headers.get(_TTL, "")
        if not text.isdecimal() or not 1 <= int(text) <= _TTL_MOST:
            return Response(status_code=400)
        made = secrets.token_urlsafe(40)
        until[made] = monotonic() + int(text)
        while len(until) > _SESSIONS_MOST:
            del until[next(iter(until))]
        return PlainTextResponse(made, headers={_TTL: text})

    async def page(request: Request) -> Response:
        if until.get(request.headers.get(_TOKEN, ""), 0.0) <= monotonic():
            return Response(status_code=401)
        path = request.path_params["path"]
        if facts.key is not None and path == f"meta-data/iam/security-credentials/{ROLE}":
            return PlainTextResponse(_role(facts.key))
        found = pages.get(path, pages.get(f"{path}/"))
        return Response(status_code=404) if found is None else PlainTextResponse(found)

    return Starlette(
        routes=[
            Route("/latest/api/token", token, methods=["PUT"]),
            Route("/latest/{path:path}", page, methods=["GET"]),
        ]
    )
