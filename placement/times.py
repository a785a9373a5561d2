"""How long things take where nobody says: every default time, with what it is known from.

The scenario, the scheduler and the simulator read their defaults here. `docs/default-times.md` is
made of this table, and the report names the kind of each. A time is *documented* (AWS says so),
*measured* (by whom, on what) or *assumed* (nobody says; why this one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["measured", "documented", "assumed"]


@dataclass(frozen=True, slots=True)
class DefaultTime:
    """A default: what it is the time of, its value in `unit`, and where the value is from.

    `key` is the key of a scenario that says it otherwise; "": none does.
    """

    what: str
    value: float
    unit: Literal["ms", "ms per MiB", "of the logarithm", "checks"]
    kind: Kind
    source: str
    key: str = ""

    @property
    def whole(self) -> int:
        """The value of a default that is a whole number of ms or of checks."""
        assert self.value == int(self.value), self
        return int(self.value)


_AGENT = "our own runs of amazon-ecs-agent 1.105.1 on Docker 20.10, 2026-11-30"
_DOCKER = "our own runs on Docker 20.10, Debian 12, 2 cores"
_ELB = "Elastic Load Balancing, CreateTargetGroup"
_GUIDE = "ECS developer guide"
_HEALTH_PAGE = f"{_GUIDE}, Optimize load balancer health check parameters"

DEFAULT_TIMES: dict[str, DefaultTime] = {
    # --- instances ----------------------------------------------------------------------------
    "launch": DefaultTime(
        *("from RunInstances to a login", 25_800, "ms", "measured"),
        "brevdev/ec2-coldboot-research, mean of 3 launches; 22.6 s to 23.3 s over six types there; "
        "29.3 s in the example of ec2-boot-bench (Percival 2021)",
        "models.boot",
    ),
    "user data": DefaultTime(
        *("from a login to the start of the agent", 13_950, "ms", "assumed"),
        "nobody has published it. With it, booting takes the 40 s that Depot (2024) measured from "
        "RunInstances to a daemon of its own",
        "models.boot",
    ),
    "agent": DefaultTime(
        *("from the start of the agent to its registration", 250, "ms", "measured"),
        _AGENT,
        "models.boot",
    ),
    # --- tasks ----------------------------------------------------------------------------------
    "start": DefaultTime(
        *("from placement to RUNNING, pulls apart: the median", 660, "ms", "measured"),
        f"{_AGENT}: one task with a dynamic port",
        "models.start",
    ),
    "start spread": DefaultTime(
        *("from placement to RUNNING: sigma", 0.141, "of the logarithm", "measured"),
        f"{_DOCKER}: 200 starts on a bridge network",
        "models.start",
    ),
    "stop": DefaultTime(
        *("from the order to STOPPED, beside what the containers take", 300, "ms", "measured"),
        f"{_AGENT}: 2.3 s with a stop timeout of 2 s",
        "models.stop",
    ),
    "stop timeout": DefaultTime(
        *("from SIGTERM to SIGKILL", 30_000, "ms", "documented"),
        f"{_GUIDE}, ECS_CONTAINER_STOP_TIMEOUT; stopTimeout of a container",
    ),
    "pull latency": DefaultTime(
        *("of an image pull, whatever its size", 210, "ms", "measured"),
        f"{_DOCKER}: median of pulls from a registry on the same machine",
        "pulls.latency",
    ),
    "pull by size": DefaultTime(
        *("of an image pull, by size", 12.2, "ms per MiB", "measured"),
        f"{_DOCKER}: median of pulls from a registry on the same machine",
        "pulls.ms_per_mib",
    ),
    "agent poll": DefaultTime(
        *("from one look to the next at containers that wait for others", 5000, "ms", "measured"),
        f"{_AGENT}: a container that depends on another's SUCCESS",
        "agent",
    ),
    "pull retries": DefaultTime(
        *("for which a pull that fails is tried again", 28_000, "ms", "measured"),
        f"{_AGENT}: an image that is missing",
        "agent",
    ),
    # --- health ---------------------------------------------------------------------------------
    "healthy after": DefaultTime(
        *("RUNNING for so long is healthy, without any check", 40_000, "ms", "documented"),
        f"{_GUIDE}, Deploy services by replacing tasks; DeploymentConfiguration",
    ),
    "container check": DefaultTime(
        *("between health checks of a container", 30_000, "ms", "documented"),
        "RegisterTaskDefinition, HealthCheck.interval",
        "healthCheck.interval of the task definition",
    ),
    "registration": DefaultTime(
        *("from RUNNING to a registered target", 5_000, "ms", "assumed"),
        "nobody has published it; ours",
        "service.load_balancer.registration",
    ),
    "target check": DefaultTime(
        *("between checks of a target; the first comes one after it registered", 30_000, "ms"),
        *("documented", f"{_ELB}, HealthCheckIntervalSeconds; that the first comes then is ours"),
        "service.load_balancer.health_check_interval",
    ),
    "new target": DefaultTime(
        *("checks that a new target must pass", 1, "checks", "documented"),
        f"{_HEALTH_PAGE}: one, whatever the threshold",
        "service.load_balancer.initial_threshold_count",
    ),
    "healthy threshold": DefaultTime(
        *("checks that an unhealthy target must pass", 5, "checks", "documented"),
        f"{_ELB}, HealthyThresholdCount",
        "service.load_balancer.healthy_threshold_count",
    ),
    "unhealthy threshold": DefaultTime(
        *("checks that a target must fail to be unhealthy", 2, "checks", "documented"),
        f"{_ELB}, UnhealthyThresholdCount",
        "service.load_balancer.unhealthy_threshold_count",
    ),
    "grace period": DefaultTime(
        *("for which verdicts on a new task are ignored", 0, "ms", "documented"),
        "CreateService, healthCheckGracePeriodSeconds",
        "service.health_check_grace_period",
    ),
    "deregistration delay": DefaultTime(
        *("from the deregistration of a target to SIGTERM", 300_000, "ms", "documented"),
        "Elastic Load Balancing, deregistration_delay.timeout_seconds",
        "service.load_balancer.deregistration_delay",
    ),
    # --- what goes wrong ------------------------------------------------------------------------
    "detection": DefaultTime(
        *("from a loss or a cut to ECS's knowing of it", 60_000, "ms", "assumed"),
        "an agent that is silent for 1 to 2 minutes is closed, in our own runs of it; ours",
        "faults.detect",
    ),
    "spot notice": DefaultTime(
        *("from a spot reclaim's notice to its end", 120_000, "ms", "documented"),
        "EC2 user guide, Spot Instance interruption notices",
        "faults.notice",
    ),
}


def default_ms(name: str) -> int:
    """A default time in ms, or a count of checks, by its name in the table."""
    return DEFAULT_TIMES[name].whole


BOOT_MS = sum(default_ms(part) for part in ("launch", "user data", "agent"))
