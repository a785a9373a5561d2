"""The calls to one engine, each with a deadline, each with our errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from docker.utils import parse_repository_tag

from stowplan.placement.driver import DriverError, NotFound
from stowplan.realdriver.docker import names, pause
from stowplan.realdriver.docker.config import EnginesTable, EngineTable
from stowplan.realdriver.docker.errors import Conflict, Unreachable, translated
from stowplan.realdriver.docker.reach import Client, EngineFacts, Reach, facts_of

# Events that no answer to our calls tells; health probes would be three times as many. One that is
# removed by force dies first. Podman says `died`.
_ACTIONS = ("die", "died", "health_status")
_PODMANS = "/libpod_parent/libpod-"
# What an engine says, by 403 or 409, of a thing that is about to be free or gone.
_PASSING = ("already in progress", "has active endpoints", "in use", "is being used")
_PASSES_S, _AGAIN_S = 10.0, 0.05


@dataclass(frozen=True, slots=True)
class EngineContainer:
    """A container of ours, as its engine describes it.

    `status` is Docker's: created, running, paused, restarting, removing, exited, dead. `started_at`
    differs from start to start and is "" before the first. `ports` are (container port with
    protocol, host address, host port). `health_every_s` from one health check to the next, and
    when the last one began, as the engine says.
    """

    task: int
    name: str
    id: str
    full_name: str
    instance: str
    status: str
    started_at: str
    exit_code: int
    oom_killed: bool
    health: str | None
    error: str
    ports: tuple[tuple[str, str, int], ...] = ()
    health_every_s: float = 0.0
    health_last: str = ""

    @property
    def over(self) -> bool:
        """Whether it ran and has ended. One that is removed by force is `removing` when it dies."""
        return self.status in ("exited", "dead", "stopped") or (
            self.status == "removing" and self.started_at != ""
        )

    @property
    def published(self) -> list[tuple[str, str]]:
        """(container port with protocol, where it is published), for people: an engine that
        publishes on every IPv4 address and every IPv6 address says so once."""
        everywhere = {(port, number) for port, host, number in self.ports if host == "0.0.0.0"}
        return [
            (port, f"[{host}]:{number}" if ":" in host else f"{host}:{number}")
            for port, host, number in self.ports
            if not (host == "::" and (port, number) in everywhere)
        ]


class Connection:
    """Calls to one engine; any thread may make them.

    Nothing is sent before the first call. Raises of every call: see `errors.translated`.
    """

    def __init__(self, table: EngineTable, settings: EnginesTable) -> None:
        self.name = table.name or table.url
        self.facts = EngineFacts()
        self._table, self._settings = table, settings
        self._call_s = max(1.0, settings.call_timeout / 1000)
        self._reach = Reach(table, self.name)
        self._client: Client | None = None
        self._preparing = Lock()

    def connect(self) -> None:
        """See that the engine answers, and learn what it speaks and what it can: it may have come
        back as another release."""
        self._reach.negotiate(self._call_s)
        client = self._reach.open(self._call_s)
        with translated(self.name):
            self.facts = facts_of(client.info())
        before, self._client = self._client, client
        if before is not None:
            before.close()

    @property
    def nests(self) -> str:
        """How the path of a container's cgroup begins, if one of them may hold others."""
        if not self.facts.nests:
            return ""
        return _PODMANS if self.facts.podman else self._table.cgroup_parent.rstrip("/") + "/"

    def check(self, timeout_s: float) -> None:
        """Raise Unreachable unless the engine answers within so many seconds."""
        self._reach.check(timeout_s)

    def close(self) -> None:
        """Let go of the engine."""
        if self._client is not None:
            self._client.close()
        self._reach.close()

    # --- containers -------------------------------------------------------------------------------

    def create(self, name: str, call: Mapping[str, Any]) -> str:
        """Create a container; returns its id. If ours is there already under that name, it is
        taken.

        Raises:
            Conflict: a container that is not ours has that name.
        """
        try:
            with translated(self.name):
                return str(self._api.create_container_from_config(call, name)["Id"])
        except Conflict:
            with translated(self.name):
                there = self._api.inspect_container(name)
            found = there["Config"]["Labels"] or {}
            labels = (names.CLUSTER, names.RUN, names.TASK, names.CONTAINER)
            if any(found.get(label) != call["Labels"][label] for label in labels):
                raise
            return str(there["Id"])

    def start(self, name: str) -> None:
        """Start a container; one that runs is left alone."""
        with translated(self.name):
            self._api.start(name)

    def stop(self, name: str, timeout_s: int | None = None) -> None:
        """SIGTERM (or the image's STOPSIGNAL), and SIGKILL after `timeout_s`.

        None: after the timeout that the container was created with.
        """
        with translated(self.name):
            self._api.stop(name, timeout_s)

    def remove(self, name: str) -> None:
        """Remove a container, running or not, and its anonymous volumes. It is gone then: where
        somebody removes it already, that is awaited."""
        self._until_free(lambda: self._api.remove_container(name, v=True, force=True))

    def inspect(self, name: str) -> EngineContainer:
        """What the engine says of one container."""
        with translated(self.name):
            return _container(self._api.inspect_container(name))

    def check_health(self, identity: str) -> None:
        """Have Podman make a container's health check now."""
        with translated(self.name):
            self._api.podman_check(identity)

    def list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Containers of ours with all of these labels, stopped ones too, as the engine lists
        them."""
        with translated(self.name):
            found = self._api.containers(all=True, filters=_filter(labels))
        # A name with another slash in it is a link's, not its own.
        return [
            each
            for each in found
            if any(names.is_ours(name, each["Labels"]) for name in each["Names"])
        ]

    def usage(self, name: str) -> tuple[int, int]:
        """CPU time that a container has had, in ns, and bytes of memory that it has."""
        with translated(self.name):
            found = self._api.stats(name, stream=False, one_shot=True)
        return found["cpu_stats"]["cpu_usage"]["total_usage"], found["memory_stats"].get("usage", 0)

    def logs(self, name: str, *, follow: bool = False, tail: int | str = "all") -> Iterator[bytes]:
        """What a container wrote, in pieces."""
        with translated(self.name):
            yield from self._api.logs(name, stream=True, follow=follow, tail=tail)

    def events(self, labels: Mapping[str, str], silence_s: float) -> Iterator[tuple[str, Any]]:
        """(id, labels) of containers of ours to which something happens.

        All that happens after this returns is told. It ends after `silence_s` without an event, and
        when the engine goes away. In both cases look at all containers then.
        """
        client = self._reach.open(silence_s)
        filters = {"type": ["container"], "event": list(_ACTIONS), **_filter(labels)}
        try:
            with translated(self.name):
                stream = client.events(decode=True, filters=filters)
        except DriverError:
            client.close()
            raise
        return self._follow(client, stream)

    def _follow(self, client: Client, stream: Any) -> Iterator[tuple[str, Any]]:
        try:
            with suppress(Unreachable), translated(self.name):
                for event in stream:
                    actor = event["Actor"]  # newer engines name the container here alone
                    if names.is_ours(actor["Attributes"].get("name", ""), actor["Attributes"]):
                        yield actor["ID"], actor["Attributes"]
        finally:
            client.close()

    # --- images -----------------------------------------------------------------------------------

    def has_image(self, image: str) -> bool:
        """Whether the engine has this image."""
        with suppress(NotFound), translated(self.name):
            self._api.inspect_image(image)
            return True
        return False

    def pull(self, image: str, credentials: Mapping[str, str] | None) -> None:
        """Pull an image.

        Raises:
            DriverError: what the registry said; the stream of a pull is the only place for it.
        """
        repository, tag = parse_repository_tag(image)
        end = time.monotonic() + self._settings.pull_timeout / 1000
        with translated(self.name):
            lines = self._api.pull(
                repository, tag or "latest", stream=True, decode=True, auth_config=credentials
            )
            for line in lines:
                if "error" in line:
                    raise DriverError(line["error"])
                if time.monotonic() > end:
                    lines.close()
                    seconds = self._settings.pull_timeout // 1000
                    raise DriverError(f"not pulled after {seconds} s: {image}")

    def image_mib(self, image: str) -> float:
        """How large an image is, unpacked."""
        with translated(self.name):
            size: int = self._api.inspect_image(image)["Size"]
            return size / (1 << 20)

    def remove_image(self, image: str) -> None:
        """Remove an image that no container has."""
        with translated(self.name):
            self._api.remove_image(image)

    # --- what a cluster has on every engine -------------------------------------------------------

    def prepare(self, cluster: str, labels: Mapping[str, str]) -> None:
        """Make the cluster's network, where it is missing."""
        network = names.network_name(cluster)
        # Engines take two networks of one name that are made at once, and then start nothing there.
        with self._preparing:
            try:
                with translated(self.name):
                    if not self._api.networks(names=[network], filters=_filter(labels)):
                        self._api.create_network(
                            network, "bridge", labels=dict(labels), check_duplicate=True
                        )
            except Conflict:
                with translated(self.name):  # made meanwhile by another process, or not ours
                    if not self._api.networks(names=[network], filters=_filter(labels)):
                        raise

    def ensure_pause_image(self) -> None:
        """Make the image of pause containers: one program of a few bytes, nothing to pull."""
        if self.has_image(names.PAUSE_IMAGE):
            return
        with translated(self.name):
            machine = self.facts.architecture
            repository, tag = names.PAUSE_IMAGE.split(":")
            changes = ['ENTRYPOINT ["/pause"]', f"LABEL {names.CLUSTER}=~pause"]
            said = self._api.import_image_from_data(pause.image(machine), repository, tag, changes)
        if not self.has_image(names.PAUSE_IMAGE):  # Podman takes the name, and not the tag
            with translated(self.name):
                self._api.tag(json.loads(said)["status"], repository, tag)

    def create_volume(self, call: Mapping[str, Any]) -> None:
        """Make a volume (`translate.volume_calls`); one that is there already is taken for it."""
        with translated(self.name):
            self._api.create_volume(
                call["Name"], call.get("Driver"), call.get("DriverOpts"), call.get("Labels")
            )

    def volumes(self, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(name, run that made it) of volumes with these labels."""
        with translated(self.name):
            found = self._api.volumes(filters=_filter(labels))["Volumes"]
        return ((each["Name"], each["Labels"].get(names.RUN, "")) for each in found or ())

    def networks(self, labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(name, run that made it) of networks with these labels."""
        with translated(self.name):
            found = self._api.networks(filters=_filter(labels))
        return ((each["Name"], each["Labels"].get(names.RUN, "")) for each in found)

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses any more, or is about to."""
        self._until_free(lambda: self._api.remove_volume(name, force=True))

    def drop_volume(self, name: str) -> None:
        """Remove a volume. Raises Conflict while a container uses it."""
        with suppress(NotFound), translated(self.name):
            self._api.remove_volume(name, force=True)

    def remove_network(self, name: str) -> None:
        """Remove a network that no container is in any more; a container that is gone may still
        have its end there for a moment."""
        self._until_free(lambda: self._api.remove_network(name))

    def _until_free(self, call: Callable[[], object]) -> None:
        """Remove a thing, again while it is said to be in use; one that is gone is no error."""
        end = time.monotonic() + min(self._call_s, _PASSES_S)
        while True:
            try:
                with translated(self.name):
                    call()
                return
            except NotFound:
                return
            except Unreachable:
                raise
            except DriverError as error:
                if time.monotonic() > end or not any(words in str(error) for words in _PASSING):
                    raise
            time.sleep(_AGAIN_S)

    @property
    def _api(self) -> Client:
        if self._client is None:
            self.connect()
        assert self._client is not None
        return self._client


def _filter(labels: Mapping[str, str]) -> dict[str, Any]:
    return {"label": [f"{name}={value}" for name, value in labels.items()]}


def _container(found: Mapping[str, Any]) -> EngineContainer:
    state, labels = found["State"], found["Config"]["Labels"]
    published = (found.get("NetworkSettings") or {}).get("Ports") or {}
    return EngineContainer(
        int(labels[names.TASK]),
        labels[names.CONTAINER],
        found["Id"],
        found["Name"].lstrip("/"),
        labels[names.INSTANCE],
        state["Status"],
        "" if state["StartedAt"].startswith("0001-") else state["StartedAt"],
        state["ExitCode"],
        state["OOMKilled"],
        (state.get("Health") or {}).get("Status"),
        state.get("Error", ""),
        tuple(
            (port, binding["HostIp"], int(binding["HostPort"]))
            for port, bindings in published.items()
            for binding in bindings or ()
        ),
        ((found["Config"].get("Healthcheck") or {}).get("Interval") or 0) / 1e9,
        ((state.get("Health") or {}).get("Log") or [{}])[-1].get("Start", ""),
    )
