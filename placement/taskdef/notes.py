"""What is taken for granted where a task definition was written for something else than EC2."""

from __future__ import annotations

from stowplan.placement.model import TaskDefinition


def assumptions(definition: TaskDefinition) -> tuple[str, ...]:
    """Sentences on what placing it on EC2 instances takes for granted; none for one of EC2.

    They hold no figures, so that those of many definitions can be said as one.
    """
    document = definition.document
    required = document.get("requiresCompatibilities") or ("EC2",)
    if "EC2" in required:
        return ()
    found = [
        "was validated for Fargate; on EC2 it reserves its task-level cpu and memory and an ENI, "
        "as ECS would if the service moved to a capacity provider of instances"
    ]
    if "cpuArchitecture" not in document.get("runtimePlatform", {}):
        found.append(
            "names no cpuArchitecture: Fargate ran it on X86_64, on EC2 ECS places it on any"
        )
    if document.get("ephemeralStorage"):
        found.append("its ephemeral storage is the instance's disk on EC2, which is not modelled")
    return tuple(found)
