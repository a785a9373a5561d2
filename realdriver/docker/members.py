"""What becomes of each member of RegisterTaskDefinition on a Docker engine.

`docs/task-definitions-on-docker.md` is made of this table, and a test holds it to AWS's own API
model: a member that AWS adds is not passed over in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stowplan.placement.model import TaskDefinition

Kind = Literal["carried out", "harmless", "refused"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a member. `fine`: values of a refused one that ask for nothing."""

    kind: Kind
    how: str
    fine: tuple[Any, ...] = ()


def _rows(kind: Kind, how: str, paths: str, fine: tuple[Any, ...] = ()) -> dict[str, Fate]:
    return {path: Fate(kind, how, fine) for path in paths.split()}


def _of(container: str, paths: str) -> str:
    return " ".join(f"containerDefinitions[].{container}{path}" for path in paths.split())


_AWS_DISK = "the volume is AWS's, and not on the engine"
_ENGINE, _AGENT = "by the engine", "by the agent"
_LINUX = "linuxParameters."

MEMBERS: dict[str, Fate] = {
    **_rows("carried out", "as the name and labels of its containers", "family"),
    **_rows("carried out", "by the scheduler", "placementConstraints[].type "
            "placementConstraints[].expression"),
    **_rows("carried out", "of all containers together, where the engine can; of each elsewhere",
            "cpu memory"),
    **_rows("carried out", "a bridge network of the cluster, the engine's own, none, or for awsvpc "
            "that of a container which holds the task", "networkMode"),
    **_rows("carried out", "host, or that of a container which holds the task", "pidMode ipcMode"),
    **_rows("harmless", "no AWS credentials are given to containers", "taskRoleArn"),
    **_rows("harmless", "nothing is asked of AWS: passwords of registries and values of secrets "
            "are in the engines file", "executionRoleArn " + _of("repositoryCredentials.",
                                                         "credentialsParameter")),
    **_rows("harmless", "says what it is meant for, or is a note", "requiresCompatibilities[] "
            "tags[].key tags[].value"),
    **_rows("harmless", "of Fargate's disk alone", "ephemeralStorage.sizeInGiB"),
    **_rows("refused", "only Linux containers run", "runtimePlatform.operatingSystemFamily",
            ("LINUX",)),
    **_rows("carried out", "refused on an engine of another architecture",
            "runtimePlatform.cpuArchitecture"),
    **_rows("refused", "App Mesh's proxy is not set up", "proxyConfiguration.type "
            "proxyConfiguration.containerName proxyConfiguration.properties[].name "
            "proxyConfiguration.properties[].value"),
    **_rows("refused", "no accelerators but GPUs", "inferenceAccelerators[].deviceName "
            "inferenceAccelerators[].deviceType"),
    **_rows("refused", "there is no endpoint for faults", "enableFaultInjection", (False,)),
    **_rows("refused", "containers are isolated as Docker isolates them",
            "trustedExecutionConfiguration.isolationMode", ("SHARED",)),
    **_rows("refused", "nothing attests", "trustedExecutionConfiguration.attestationPolicy"),
    # --- containers ---------------------------------------------------------------------------
    **_rows("carried out", _ENGINE, _of("", (
        "name image cpu memory memoryReservation entryPoint[] command[] environment[].name "
        "environment[].value hostname user workingDirectory disableNetworking privileged "
        "readonlyRootFilesystem dnsServers[] dnsSearchDomains[] extraHosts[].hostname "
        "extraHosts[].ipAddress dockerSecurityOptions[] interactive pseudoTerminal dockerLabels "
        "ulimits[].name ulimits[].softLimit ulimits[].hardLimit healthCheck.command[] "
        "healthCheck.interval healthCheck.timeout healthCheck.retries healthCheck.startPeriod "
        "mountPoints[].sourceVolume mountPoints[].containerPath mountPoints[].readOnly "
        "links[] resourceRequirements[].value"))),
    **_rows("carried out", "GPU; others are refused", _of("", "resourceRequirements[].type")),
    **_rows("refused", "a GPU is a task's alone", _of("resourceRequirements[].sharingStrategy.",
            "nvidiaMps.memory nvidiaMps.maxComputePercent")),
    **_rows("carried out", "by the engine; what shares a namespace, by the container that holds "
            "the task", _of("systemControls[].", "namespace value")),
    **_rows("carried out", "published where the instance is; for awsvpc at the engine's choice",
            _of("portMappings[].", "containerPort hostPort protocol")),
    **_rows("carried out", "on as many host ports in a row, from 61000 on",
            _of("portMappings[].", "containerPortRange")),
    **_rows("harmless", "words for Service Connect", _of("portMappings[].", "name appProtocol")),
    **_rows("carried out", _AGENT, _of("", (
        "essential restartPolicy.enabled restartPolicy.ignoredExitCodes[] startTimeout "
        "restartPolicy.restartAttemptPeriod dependsOn[].containerName dependsOn[].condition "
        "stopTimeout"))),
    **_rows("carried out", "the source is made first", _of("volumesFrom[].",
                                                           "sourceContainer readOnly")),
    **_rows("carried out", "by `[secrets]` of the engines file; refused where it lacks one",
            _of("", "secrets[].name secrets[].valueFrom logConfiguration.secretOptions[].name "
                    "logConfiguration.secretOptions[].valueFrom")),
    **_rows("refused", "files in S3 cannot be read", _of("environmentFiles[].", "value type")),
    **_rows("carried out", _ENGINE, _of(_LINUX, (
        "capabilities.add[] capabilities.drop[] devices[].hostPath devices[].containerPath "
        "devices[].permissions[] initProcessEnabled sharedMemorySize tmpfs[].containerPath "
        "tmpfs[].size tmpfs[].mountOptions[] maxSwap"))),
    **_rows("carried out", "by the engine, with maxSwap; without, AWS ignores it, too",
            _of(_LINUX, "swappiness")),
    **_rows("harmless", "an image is taken as its tag has it now", _of("", "versionConsistency")),
    **_rows("carried out", "drivers that an engine has; logs for AWS stay with the engine, where "
            "`stowplan logs` finds them", _of("logConfiguration.", "logDriver options")),
    **_rows("harmless", "logs stay with the engine, and the router gets none",
            _of("firelensConfiguration.", "type options")),
    **_rows("refused", "no Active Directory is joined", _of("", "credentialSpecs[]")),
    # --- volumes ------------------------------------------------------------------------------
    **_rows("carried out", _ENGINE, "volumes[].name volumes[].host.sourcePath "
            "volumes[].dockerVolumeConfiguration.scope volumes[].dockerVolumeConfiguration.driver "
            "volumes[].dockerVolumeConfiguration.autoprovision "
            "volumes[].dockerVolumeConfiguration.driverOpts "
            "volumes[].dockerVolumeConfiguration.labels"),
    **_rows("refused", _AWS_DISK, " ".join(f"volumes[].efsVolumeConfiguration.{name}" for name in (
        "fileSystemId", "rootDirectory", "transitEncryption", "transitEncryptionPort",
        "authorizationConfig.accessPointId", "authorizationConfig.iam"))),
    **_rows("refused", _AWS_DISK, " ".join(f"volumes[].s3filesVolumeConfiguration.{name}" for name
            in ("fileSystemArn", "rootDirectory", "transitEncryptionPort", "accessPointArn"))),
    **_rows("refused", _AWS_DISK, " ".join(
        f"volumes[].fsxWindowsFileServerVolumeConfiguration.{name}" for name in (
            "fileSystemId", "rootDirectory", "authorizationConfig.credentialsParameter",
            "authorizationConfig.domain"))),
    **_rows("refused", _AWS_DISK, "volumes[].configuredAtLaunch", (False,)),
}  # fmt: skip


def refused(definition: TaskDefinition) -> list[str]:
    """What a task definition asks for that no engine does, each member once, with why.

    A volume counts where a container mounts it.
    """
    document = dict(definition.document)
    mounted = {
        mount.get("sourceVolume")
        for container in document["containerDefinitions"]
        for mount in container.get("mountPoints", ())
    }
    document["volumes"] = [v for v in document.get("volumes", ()) if v.get("name") in mounted]
    found = {}
    for path, value in _leaves(document, ""):
        fate = MEMBERS.get(path)
        if fate is not None and fate.kind == "refused" and value not in fate.fine:
            found[path] = f"{path}: {fate.how}"
    return list(found.values())


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(path as `MEMBERS` has it, value) of all that is given; a map of strings is one leaf."""
    if path in MEMBERS or value is None:
        if value is not None:
            yield path, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, f"{path}[]")
