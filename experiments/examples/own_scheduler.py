"""A scheduler against ECS's API: AWS_ENDPOINT_URL=... python own_scheduler.py FAMILY COUNT"""

import sys

import boto3

ecs = boto3.client("ecs")


def room() -> dict[str, dict[str, int]]:
    """What is left on each instance that takes tasks, by ARN."""
    found: dict[str, dict[str, int]] = {}
    for page in ecs.get_paginator("list_container_instances").paginate(status="ACTIVE"):
        arns = page["containerInstanceArns"]
        known = ecs.describe_container_instances(containerInstances=arns) if arns else {}
        for each in known.get("containerInstances", ()):
            left = {r["name"]: r["integerValue"] for r in each["remainingResources"]}
            found |= {each["containerInstanceArn"]: left} if each["agentConnected"] else {}
    return found


def place(family: str, count: int) -> list[str]:
    """Start tasks where the least memory is left; the ARNs of as many as found room."""
    definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    sizes = definition["containerDefinitions"]
    needs = {n: sum(c.get(n.lower(), 0) for c in sizes) for n in ("CPU", "MEMORY")}
    left, started = room(), list[str]()
    while len(started) < count:
        fits = [arn for arn, has in left.items() if all(has[n] >= needs[n] for n in needs)]
        if not fits:
            break
        best = min(fits, key=lambda arn: left[arn]["MEMORY"])
        answer = ecs.start_task(taskDefinition=family, containerInstances=[best])
        started += [task["taskArn"] for task in answer["tasks"]]
        left[best] = {n: has - needs.get(n, 0) for n, has in left[best].items()}
        left = room() if answer["failures"] else left  # another scheduler was quicker
    return started


if __name__ == "__main__":
    print("\n".join(place(sys.argv[1], int(sys.argv[2]))))
