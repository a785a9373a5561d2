"""The file of `--aws`: whose account, what instances are like, and how long what may take. Pure."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_serializer, model_validator

from stowplan.placement.scenario.plain import Duration, Table
from stowplan.realdriver.aws.clients import Access

AWS = "aws"  # in a journal's header: the AwsTable of its run
LIMITS = "limits"  # likewise: the Limits


class OwnTable(Table):
    """A control plane of one's own: `stowplan serve --driver agents`, for `--control own`.

    Args:
        url: where instances and this program reach it.
        ca: PEM file of the authority that its certificate is of, put on the instances.
        key_env: the environment variables with the key and the secret of agents, as in the file of
            `serve --keys`.
    """

    url: str
    ca: str | None = None
    key_env: tuple[str, str] | None = None


class AwsTable(Table):
    """The file of `--aws`; without one, everything is the default.

    Args:
        region, profile: default: boto3's own chain.
        endpoints: URL by service, where it is not AWS's own.
        ecs_cluster: its name; default: `stowplan-` and the run's cluster, made where it is missing.
        existing: take the instances that the ECS cluster has; launch none.
        zones: the scenario's zones -> those of AWS, where they are called otherwise.
        subnets: default: those of the default VPC.
        security_groups: default: the VPC's own.
        instance_profile: whose role agents have.
        image: an AMI; default: the one that AWS recommends by SSM, of `image_family`.
        market: of all instances.
        alternatives: type -> types to launch where EC2 has none of it, in that order.
        groups: capacity provider of the scenario -> the Auto Scaling group that it wraps.
        agent: more lines of /etc/ecs/ecs.config.
        queue: URL of an SQS queue with ECS's events; without one, everything is looked at.
        look_every: between two looks at everything. settle: how long what was done may take to
            be seen by describe calls.
        register_within: from launch until the agent has registered.
        lease: how long instances of ours live on once nobody drives the run.
        shutdown: the reserve of time, and so of money, that ending a run may take.
    """

    region: str | None = None
    profile: str | None = None
    endpoints: dict[str, str] = Field(default_factory=dict)
    ecs_cluster: str | None = None
    existing: bool = False
    zones: dict[str, str] = Field(default_factory=dict)
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    instance_profile: str = "ecsInstanceRole"
    image: str | None = None
    image_family: str = "amazon-linux-2023"
    key_name: str | None = None
    market: Literal["on-demand", "spot"] = "on-demand"
    alternatives: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    groups: dict[str, str] = Field(default_factory=dict)
    agent: dict[str, str] = Field(default_factory=dict)
    queue: str | None = None
    own: OwnTable | None = None
    look_every: Duration = 5_000
    settle: Duration = 10_000
    register_within: Duration = 600_000
    lease: Duration = 900_000
    shutdown: Duration = 300_000
    throttled_within: Duration = 120_000
    credentials_within: Duration = 900_000

    @field_serializer(
        *("look_every", "settle", "register_within", "lease", "shutdown"),
        *("throttled_within", "credentials_within"),
    )
    def _in_ms(self, duration_ms: int) -> str:
        return f"{duration_ms}ms"  # as it is read: a bare number would be seconds

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.existing and self.ecs_cluster is None:
            raise ValueError("existing = true needs ecs_cluster, the cluster that is meant")
        if self.lease < 3 * self.look_every:
            raise ValueError("lease must be three times look_every at least, or it runs out")
        return self

    @property
    def access(self) -> Access:
        """Whose account, and where; a control plane of one's own stands in for ECS."""
        own = {} if self.own is None else {"ecs": self.own.url}
        return Access(
            self.region,
            self.profile,
            {**self.endpoints, **own},
            self.throttled_within / 1000,
            self.credentials_within / 1000,
        )

    def zone(self, name: str) -> str:
        """AWS's name of a zone of the scenario."""
        return self.zones.get(name, name)
