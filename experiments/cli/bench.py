"""`stowplan bench`: figures against named bounds, measured in one run."""

from __future__ import annotations

import argparse

from stowplan.experiments.bench import docker as bench_docker
from stowplan.experiments.bench import gym as bench_gym
from stowplan.experiments.bench import optimal as bench_optimal
from stowplan.experiments.bench import placement as bench_placement
from stowplan.experiments.bench import serve as bench_serve
from stowplan.experiments.bench import sim as bench_sim


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan bench`."""
    suites = parser.add_subparsers(required=True, metavar="SUITE")
    placement = suites.add_parser("placement", help="decisions per second of the engine")
    bench_placement.add_arguments(placement)
    placement.set_defaults(command=bench_placement.command)
    optimal = suites.add_parser("optimal", help="what the optimizer proves, and how fast")
    bench_optimal.add_arguments(optimal)
    optimal.set_defaults(command=bench_optimal.command)
    real = suites.add_parser("docker", help="containers per second on real engines")
    bench_docker.add_arguments(real)
    real.set_defaults(command=bench_docker.command)
    serve = suites.add_parser("serve", help="requests per second at `stowplan serve`")
    bench_serve.add_arguments(serve)
    serve.set_defaults(command=bench_serve.command)
    sim = suites.add_parser("sim", help="how fast and how large simulations are")
    bench_sim.add_arguments(sim)
    sim.set_defaults(command=bench_sim.command)
    gym = suites.add_parser("gym", help="steps per second of `sp.gym`")
    bench_gym.add_arguments(gym)
    gym.set_defaults(command=bench_gym.command)
