"""What is taken for granted where a task definition was written for something else than EC2."""

from __future__ import annotations

from stowplan.placement.model import TaskDefinition


def assumptions(definition: TaskDefinition) -> tuple[str, ...]:
    """Sentences on what placing it on EC2 instances takes for granted; none for one of EC2."""
    document = definition.document
    required = document.get("requiresCompatibilities") or ("EC2",)
    if "EC2" in required:
        return ()
    size = f"{definition.cpu} CPU units, {definition.memory} MiB"
    found = [
        f"was validated for Fargate; on EC2 it reserves its task-level size ({size}) and an ENI, "
        "as ECS would if the service moved to a capacity provider of instances"
    ]
    if "cpuArchitecture" not in document.get("runtimePlatform", {}):
        found.append(
            "names no cpuArchitecture: Fargate ran it on X86_64, on EC2 ECS places it on any"
        )
    if storage := document.get("ephemeralStorage"):
        found.append(
            f"its {storage['sizeInGiB']} GiB of ephemeral storage are the instance's disk on EC2, "
            "which is not modelled"
        )
    return tuple(found)
