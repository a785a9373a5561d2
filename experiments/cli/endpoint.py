"""What commands ask of `stowplan serve`, beside ECS's API."""

from __future__ import annotations

import argparse
import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from stowplan.placement.describe import State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.errors import PlacementError

PATIENCE_S = 60.0
DEFAULT_REGION = "us-east-1"
DEFAULT = "http://127.0.0.1:8014"


def endpoint_argument(parser: argparse.ArgumentParser) -> None:
    """`--endpoint-url` of a command that is about an endpoint."""
    parser.add_argument(
        "--endpoint-url", help="of `stowplan serve`; default: AWS_ENDPOINT_URL, else port 8014 here"
    )


def state_argument(parser: argparse.ArgumentParser) -> None:
    """`--endpoint-url` of a command that may be about an endpoint."""
    parser.add_argument(
        "--endpoint-url", metavar="URL", help="the state of a cluster of this `stowplan serve`"
    )


def described_there(arguments: argparse.Namespace) -> State | None:
    """The state of `--cluster`, or `default`, at `--endpoint-url`; None: that is not given.

    Raises:
        PlacementError: no endpoint of ours of this version answers, or it has no such cluster.
    """
    if arguments.endpoint_url is None:
        return None
    answer = post(arguments, "state", {"cluster": arguments.cluster or "default"})
    state = of_snapshot(base64.b64decode(answer["state"]))
    if state is None:
        raise PlacementError(f"{arguments.endpoint_url}: another version of stowplan serves there")
    return state


def post(arguments: argparse.Namespace, path: str, asked: dict[str, Any]) -> Any:
    """What an endpoint answers under `/_stowplan/`.

    Where it wants to know who asks, the request is signed with the keys that the AWS CLI would use.

    Raises:
        PlacementError: it refuses, or does not answer, or there are no keys.
    """
    base = arguments.endpoint_url or os.environ.get("AWS_ENDPOINT_URL", DEFAULT)
    if not base.startswith(("http://", "https://")):
        raise PlacementError(f"--endpoint-url {base}: not the address of an endpoint")
    url, body = f"{base.rstrip('/')}/_stowplan/{path}", json.dumps(asked).encode()
    headers = {"Content-Type": "application/json"}
    status, answer = _asked(url, body, headers)
    if answer.get("__type") == "MissingAuthenticationTokenException":
        status, answer = _asked(url, body, _signed(url, body, headers))
    if status >= HTTPStatus.BAD_REQUEST:
        raise PlacementError(answer["message"])
    return answer


def _asked(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and document of an answer."""
    try:
        # Certificates are trusted as AWS's own tools do.
        trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
        request = urllib.request.Request(url, body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S, context=trust) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        try:
            said = json.load(error)
            return error.code, {"message": said["message"], **said}
        except (ValueError, KeyError, TypeError):
            what = f"HTTP {error.code}: no `stowplan serve` answers there"
            raise PlacementError(what) from None
    except OSError as error:
        base = url.partition("/_stowplan/")[0]
        raise PlacementError(f"{base}: no answer ({error}); is `stowplan serve` running?") from None


def _signed(url: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    """The headers of a request that is signed by Signature Version 4."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    session = Session()
    keys = session.get_credentials()
    if keys is None:
        what = "asks for a signature: give keys as to the AWS CLI (AWS_ACCESS_KEY_ID, AWS_PROFILE)"
        raise PlacementError(f"{url.partition('/_stowplan/')[0]} {what}")
    request = AWSRequest("POST", url, headers=headers, data=body)
    region = session.get_config_variable("region") or DEFAULT_REGION
    SigV4Auth(keys.get_frozen_credentials(), "ecs", region).add_auth(request)
    return dict(request.headers.items())
