"""`stowplan clock` and `stowplan launch`: what an endpoint of ours offers beside ECS's API."""

from __future__ import annotations

import argparse
from typing import Any

from stowplan.experiments.cli.endpoint import endpoint_argument, post
from stowplan.placement.errors import PlacementError


def add_clock_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan clock`."""
    parser.add_argument("what", choices=("advance", "factor", "show"), help="what to do with it")
    parser.add_argument("value", nargs="?", help="10m to advance; 60, fast or step as a factor")
    endpoint_argument(parser)
    parser.set_defaults(command=clock)


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan launch`."""
    parser.add_argument("instance_type", help="m5.large")
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many (1)")
    parser.add_argument("--zones", help="comma-separated; default: us-east-1a, b and c in turn")
    parser.add_argument("--cluster", default="default", help="its name (default)")
    endpoint_argument(parser)
    parser.set_defaults(command=launch)


def clock(arguments: argparse.Namespace) -> int:
    """`stowplan clock`: let the time of simulated clusters pass."""
    if (arguments.value is None) != (arguments.what == "show"):
        raise PlacementError(f"clock {arguments.what}: give a value to advance or factor alone")
    asked: dict[str, Any] = {}
    if arguments.what == "advance":
        asked["advance"] = arguments.value
    elif arguments.what == "factor":
        named = arguments.value in ("fast", "step")
        asked["factor"] = arguments.value if named else _number(arguments.value)
    answer = post(arguments, "clock", asked)
    factor = "fast" if answer["factor"] is None else f"factor {answer['factor']:g}"
    for name, seconds in answer["clusters"].items():
        print(f"{name}: {seconds:,.3f} s ({factor})")
    return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PlacementError(f"factor {text!r}: neither a number, nor fast, nor step") from None


def launch(arguments: argparse.Namespace) -> int:
    """`stowplan launch`: launch simulated instances for a cluster of an endpoint."""
    asked = {
        "instance_type": arguments.instance_type,
        "count": arguments.count,
        "cluster": arguments.cluster,
    }
    if arguments.zones:
        asked["zones"] = arguments.zones.split(",")
    print("\n".join(post(arguments, "instances", asked)["ec2InstanceIds"]))
    return 0
