"""`stowplan down`: removes all that a cluster has on its engines, also without its journal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stowplan.experiments.cli.docker import cluster_arguments
from stowplan.experiments.loading.engines_file import load_engines
from stowplan.placement.describe import State
from stowplan.placement.driver import DriverError
from stowplan.placement.errors import PlacementError, SpecError
from stowplan.placement.journal import Header
from stowplan.realdriver.backend import Backend, Leftovers
from stowplan.realdriver.backends import backend_of
from stowplan.realdriver.clusters import ClusterFolder, find_cluster, state_folder


def add_down_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `stowplan down`."""
    parser.add_argument("--engines", type=Path, help="where to look, if no journal says so")
    parser.add_argument("--yes", action="store_true", help="do it; without, only say what it is")
    cluster_arguments(parser)
    parser.set_defaults(command=down)


def down(arguments: argparse.Namespace) -> int:
    """`stowplan down`: removes what a cluster has on its engines, or lists it."""
    cluster = _meant(arguments)
    looked = _looked(cluster)
    backend = _backend(arguments, looked)
    if not cluster.journal.exists():
        _check_known(arguments, cluster, backend)
    lock = cluster.lock()
    try:
        found = backend.leftovers(cluster.name, None, reachable_only=True)
        for thing in found.things:
            print(thing)
        if arguments.yes:
            found.remove()
        print(f"removed {found.summary}" if arguments.yes else f"would remove {found.summary}")
        return _settled(cluster, looked, found, remove=arguments.yes)
    finally:
        lock.close()


def _meant(arguments: argparse.Namespace) -> ClusterFolder:
    """The cluster; one that is named need not have a journal."""
    state = state_folder(arguments.state)
    if arguments.cluster is not None:
        return ClusterFolder(state / arguments.cluster)
    return find_cluster(state, None)


def _looked(cluster: ClusterFolder) -> tuple[Header, State] | None:
    """What its journal says; None: there is none, or it cannot be read, which is said."""
    try:
        return cluster.look()
    except PlacementError as error:
        print(f"its journal is of no use: {error}", file=sys.stderr)
        return None


def _backend(arguments: argparse.Namespace, looked: tuple[Header, State] | None) -> Backend:
    from stowplan.realdriver.docker.backend import DockerBackend

    if looked is not None and arguments.engines is None:
        return backend_of(looked[0])
    return DockerBackend(load_engines(arguments.engines))


def _check_known(arguments: argparse.Namespace, cluster: ClusterFolder, backend: Backend) -> None:
    """Without a journal, the label of containers is all that there is of a cluster.

    Raises:
        SpecError: no engine that was asked has any.
    """
    state = state_folder(arguments.state)
    where = "the engines of that file" if arguments.engines else "the local engine"
    print(f"no journal of {cluster.name} in {state}: looking on {where}", file=sys.stderr)
    found = backend.leftovers(cluster.name, None, reachable_only=True)
    if found.count:
        return
    known = sorted(path.parent.name for path in state.glob("*/journal.sqlite"))
    there = f"; clusters with a journal are {', '.join(known)}" if known else ""
    more = "" if arguments.engines else "; --engines FILE looks on others"
    silent = "".join(f"; does not answer: {why}" for why in found.silent)
    what = f"no container of it on {where}{silent}{more}{there}"
    raise SpecError([(f"--cluster {cluster.name}", what)])


def _settled(
    cluster: ClusterFolder,
    looked: tuple[Header, State] | None,
    found: Leftovers,
    *,
    remove: bool,
) -> int:
    """Put the journal aside once nothing can be left on any engine; else say what may be left."""
    for why in found.silent:
        print(f"does not answer; its containers stay: {why}", file=sys.stderr)
    # A run that never had a round asked nothing of an engine.
    begun = looked is None or looked[1].rounds > 0
    if found.silent and begun:
        given_up = f"`--cluster {cluster.name} --engines FILE`, with a file that lacks the engine"
        print(
            f"the same command removes the rest later; to leave it there: {given_up}",
            file=sys.stderr,
        )
        return 1
    if not remove:
        print("--yes does it")
    elif cluster.journal.exists():
        try:
            print(f"journal: {cluster.retire()}")
        except DriverError:  # it was of no use before
            print(f"journal: {cluster.discard()}")
    return 0
