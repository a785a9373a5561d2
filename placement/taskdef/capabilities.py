"""What a current ECS agent on a current ECS-optimised Linux AMI says it can do (ecs-semantics 1.5).

Attributes without a value, sent at each registration; a simulated or Docker-backed instance carries
them so that task definitions that require one can be placed there. GPU drivers and plugins are not
among them: they depend on the instance.
"""

from __future__ import annotations

from collections.abc import Mapping

_OLD_STYLE = (
    "privileged-container",
    "logging-driver.awsfirelens",
    "logging-driver.awslogs",
    "logging-driver.fluentd",
    "logging-driver.journald",
    "logging-driver.json-file",
    "logging-driver.local",
    "logging-driver.none",
    "logging-driver.syslog",
    "ecr-auth",
    "task-iam-role",
    "task-iam-role-network-host",
)
_NEW_STYLE = (
    "aws-appmesh",
    "docker-plugin.local",
    "firelens.fluentbit",
    "firelens.fluentd",
    "firelens.options.config.file",
    "firelens.options.config.s3",
    "task-eia",
    "task-eni",
    "container-health-check",
    "execution-role-ecr-pull",
    "execution-role-awslogs",
    "secrets.ssm.environment-variables",
    "secrets.asm.environment-variables",
    "pid-ipc-namespace-sharing",
    "container-ordering",
    "task-cpu-mem-limit",
    "increased-task-cpu-limit",
    "env-files.s3",
    "efs",
    "efsAuth",
    "execute-command",
    "network.container-port-range",
    "container-restart-policy",
    "fault-injection",
    "storage.ebs-task-volume-attach",
)

AGENT_CAPABILITIES: Mapping[str, str] = {
    **{f"com.amazonaws.ecs.capability.{name}": "" for name in _OLD_STYLE},
    **{f"ecs.capability.{name}": "" for name in _NEW_STYLE},
}
