"""What commands ask of `stowplan serve`, beside ECS's API."""

from __future__ import annotations

import argparse
import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any

from stowplan.placement.describe import State
from stowplan.placement.describe.state import of_snapshot
from stowplan.placement.errors import PlacementError

PATIENCE_S = 60.0
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

    Raises:
        PlacementError: it refuses, or does not answer.
    """
    base = arguments.endpoint_url or os.environ.get("AWS_ENDPOINT_URL", DEFAULT)
    if not base.startswith(("http://", "https://")):
        raise PlacementError(f"--endpoint-url {base}: not the address of an endpoint")
    request = urllib.request.Request(
        f"{base.rstrip('/')}/_stowplan/{path}",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        try:
            said = json.load(error)["message"]
        except (ValueError, KeyError):
            said = f"HTTP {error.code}: no `stowplan serve` answers there"
        raise PlacementError(said) from None
    except OSError as error:
        raise PlacementError(f"{base}: no answer ({error}); is `stowplan serve` running?") from None
