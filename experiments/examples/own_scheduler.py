"""A scheduler of one's own against ECS's API: python own_scheduler.py FAMILY COUNT

It reads the state by describe calls, packs tasks where the least memory is left, and starts each
there by StartTask. `stowplan serve` and Amazon ECS answer it alike; AWS_ENDPOINT_URL says which.
"""

import sys

import boto3

ecs = boto3.client("ecs")


def room() -> dict[str, dict[str, int]]:
    """What is left on each instance that takes tasks, by ARN."""
    found = {}
    for page in ecs.get_paginator("list_container_instances").paginate(status="ACTIVE"):
        arns = page["containerInstanceArns"]
        known = ecs.describe_container_instances(containerInstances=arns) if arns else {}
        for each in known.get("containerInstances", ()):
            if each["agentConnected"]:
                left = {r["name"]: r["integerValue"] for r in each["remainingResources"]}
                found[each["containerInstanceArn"]] = left
    return found


def place(family: str, count: int) -> list[str]:
    """The ARNs of the tasks that were started, as many as found room."""
    definition = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    containers = definition["containerDefinitions"]
    needs = {n: sum(c.get(n.lower(), 0) for c in containers) for n in ("CPU", "MEMORY")}
    left = room()
    started: list[str] = []
    while len(started) < count:
        fits = [arn for arn, has in left.items() if all(has[n] >= needs[n] for n in needs)]
        if not fits:
            break
        best = min(fits, key=lambda arn: left[arn]["MEMORY"])
        answer = ecs.start_task(taskDefinition=family, containerInstances=[best])
        started += [task["taskArn"] for task in answer["tasks"]]
        if answer["failures"]:  # another scheduler was quicker
            left = room()
        else:
            left[best] = {n: has - needs.get(n, 0) for n, has in left[best].items()}
    return started


if __name__ == "__main__":
    print("\n".join(place(sys.argv[1], int(sys.argv[2]))))
