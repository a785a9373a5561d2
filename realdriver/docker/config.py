"""The engines file, and which engine plays which instance of a scenario. Pure.

Capacity is what is said here or in the scenario, never what an engine says of itself: an engine in
a container or under a limit still reports the whole machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Annotated, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from stowplan.placement.agent.settings import PullBehavior
from stowplan.placement.model import AVAILABILITY_ZONE, CPU, ENI, INSTANCE_TYPE, MEMORY
from stowplan.placement.scenario.plain import Count, Duration, InstanceSpec, Positive, Table
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES

ENGINES = "engines"  # in a journal's header: the EnginesTable of its run
DEFAULT_URL = "unix:///var/run/docker.sock"
SCHEMES = ("unix://", "tcp://", "ssh://")
# Instances that share an engine share its ports, unless each has an address of its own; on Linux
# all of 127/8 is the machine's own.
# Task networks cost next to nothing on an engine; only EC2's interfaces are scarce.
_NETWORKS = 1000
_FIRST_OWN_ADDRESS = IPv4Address("127.0.1.1")


class TlsTable(Table):
    """PEM files of a client, relative to the file that names them."""

    ca: str
    cert: str
    key: str


class EngineTable(Table):
    """A Docker engine: `unix://`, `tcp://` (with `tls`) or `ssh://`.

    With `cpu` and `memory` it is an instance, or `count` equal ones, in place of the scenario's
    fleet. Without, the fleet is dealt over the engines in turn. `attributes` come on top in both
    cases. `addresses`: where ports are published, one for each of its instances in turn.
    `cgroup_parent`: the daemon's own option of that name, if it is run with one. `shared`: others
    use it, too, so tasks get no rights on the machine that `--allow` does not name.
    """

    url: str
    name: str | None = None
    tls: TlsTable | None = None
    cpu: Positive | None = None
    memory: Positive | None = None
    count: Positive = 1
    zone: str | None = None
    instance_type: str | None = None
    attributes: dict[str, str] = Field(default_factory=dict)
    resources: dict[str, Count] = Field(default_factory=dict)
    price_microusd_hour: Count = 0
    addresses: tuple[str, ...] = ()
    cgroup_parent: str = "/docker"
    shared: bool = False

    @field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if not url.startswith(SCHEMES):
            raise ValueError(f"expected one of {', '.join(SCHEMES)}")
        return url

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cpu is None) != (self.memory is None):
            raise ValueError("cpu and memory are given together, or neither")
        if self.tls and not self.url.startswith("tcp://"):
            raise ValueError("tls is for tcp://")
        return self


class RegistryTable(Table):
    """Credentials of a registry; the password is in this environment variable."""

    username: str
    password_env: str


class EnginesTable(Table):
    """The file of `--engines`.

    Args:
        pull: ECS_IMAGE_PULL_BEHAVIOR; unlike ECS's agent, but as `docker run`, an engine asks a
            registry only for what it lacks unless this says otherwise.
        stop_timeout: for containers without a stopTimeout of their own; whole seconds.
        silence: after so long without a word an engine is asked whether it is there. Without an
            answer in as long again, it gets no new tasks.
        lost_after: after so long without an answer, its tasks are given up and started elsewhere.
        call_timeout: for one call to an engine, pulls apart.
        cleanup_wait: how long the containers of stopped tasks stay for `stowplan logs`.
        registry: by host, as images name it. Other registries: what `docker login` stored.
        secrets: what `secrets` in task definitions name -> the environment variable with the value.
    """

    engine: Annotated[tuple[EngineTable, ...], Field(min_length=1)]
    pull: PullBehavior = "prefer-cached"
    pull_timeout: Duration = 600_000
    stop_timeout: Duration = 30_000
    silence: Duration = 3_000
    lost_after: Duration = 60_000
    call_timeout: Duration = 60_000
    cleanup_wait: Duration = 300_000
    registry: dict[str, RegistryTable] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)

    @field_serializer(
        *("pull_timeout", "stop_timeout", "silence", "lost_after", "call_timeout", "cleanup_wait")
    )
    def _in_ms(self, duration_ms: int) -> str:
        return f"{duration_ms}ms"  # as it is read: a bare number would be seconds

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len({engine.cpu is None for engine in self.engine}) > 1:
            raise ValueError("either every engine says cpu and memory, or none does")
        urls = [engine.url for engine in self.engine]
        found = [*urls, *(engine.name for engine in self.engine if engine.name)]
        if twice := sorted({name for name in found if found.count(name) > 1}):
            raise ValueError(f"engines named twice: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance and the engine (by its place in the file) that plays it."""

    spec: InstanceSpec
    engine: int
    address: str


def machines(engines: EnginesTable, fleet: Sequence[InstanceSpec]) -> list[Machine]:
    """The instances of a run: those that the engines are, or else the scenario's fleet, dealt."""
    own = [(spec, i) for i, engine in enumerate(engines.engine) for spec in _instances(i, engine)]
    dealt = own or [
        (_with_attributes(spec, engines.engine[n % len(engines.engine)]), n % len(engines.engine))
        for n, spec in enumerate(fleet)
    ]
    shares = [0] * len(engines.engine)
    for _, engine in dealt:
        shares[engine] += 1
    taken = [0] * len(engines.engine)
    found = []
    for spec, engine in dealt:
        address = _address(engines.engine[engine], taken[engine], shares[engine])
        found.append(Machine(spec, engine, address))
        taken[engine] += 1
    return found


def _instances(index: int, engine: EngineTable) -> list[InstanceSpec]:
    if engine.cpu is None or engine.memory is None:
        return []
    name = engine.name or f"engine-{index}"
    attributes = {"ecs.os-type": "linux", **AGENT_CAPABILITIES}
    if engine.zone:
        attributes[AVAILABILITY_ZONE] = engine.zone
    if engine.instance_type:
        attributes[INSTANCE_TYPE] = engine.instance_type
    resources = {CPU: engine.cpu, MEMORY: engine.memory, ENI: _NETWORKS, **engine.resources}
    return [
        InstanceSpec(
            name if engine.count == 1 else f"{name}-{number}",
            0,
            resources,
            {**attributes, **engine.attributes},
            engine.price_microusd_hour,
            None,
        )
        for number in range(engine.count)
    ]


def _with_attributes(spec: InstanceSpec, engine: EngineTable) -> InstanceSpec:
    attributes = {**spec.attributes, **engine.attributes}
    if engine.zone:
        attributes[AVAILABILITY_ZONE] = engine.zone
    return InstanceSpec(
        spec.name,
        spec.at_ms,
        {**spec.resources, **engine.resources},
        attributes,
        spec.price_microusd_hour,
        spec.capacity_provider,
    )


def _address(engine: EngineTable, place: int, share: int) -> str:
    """Where an instance publishes ports; "" is every address of the machine."""
    if engine.addresses:
        return engine.addresses[place % len(engine.addresses)]
    return "" if share == 1 else str(_FIRST_OWN_ADDRESS + place)
