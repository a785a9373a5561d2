"""A cluster of our own endpoint for the tests that read and change real ones."""

from __future__ import annotations

import json
from collections import Counter

import boto3

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}

DEFINITIONS = """
[task_definitions.web]
family = "web"
executionRoleArn = "arn:aws:iam::123456789012:role/pull"
containerDefinitions = [{ name = "app", image = "web", cpu = 512, memory = 1024, environment = [
  { name = "PASSWORD", value = "hunter2" }], secrets = [
  { name = "KEY", valueFrom = "/prod/key" }] }]

[task_definitions.job]
family = "job"
containerDefinitions = [{ name = "app", image = "job", cpu = 256, memory = 512 }]
"""


def scenario_of(count: int, *, per_instance: int = 1, jobs: int = 0, more: str = "") -> str:
    """So many m5.large in three zones; `web` has `per_instance` tasks on each, and `jobs` of them
    hold a task of no service."""
    ids = [f"i-{number:017x}" for number in range(1, count + 1)]
    lines = ['name = "default"', "seed = 1", 'duration = "1h"', DEFINITIONS]
    for at, zone in enumerate(("us-east-1a", "us-east-1b", "us-east-1c")):
        mine = json.dumps(ids[at::3])
        lines += ["[[fleet]]", f'name = "{zone}"', 'instance_type = "m5.large"']
        lines += [f"count = {len(ids[at::3])}", f'zones = ["{zone}"]']
        lines += [f"ec2_instance_ids = {mine}"]
    lines += ["[[service]]", 'name = "web"', 'task_definition = "web"']
    lines += [f"desired_count = {count * per_instance}", "minimum_healthy_percent = 50"]
    lines += ['constraints = ["memberOf: attribute:ecs.instance-type == m5.large"]']
    lines += ["availability_zone_rebalancing = false", more]
    for number, each in enumerate(ids):
        lines += ["[[running]]", f'instance = "{each}"', f"services = {{ web = {per_instance} }}"]
        if number < jobs:
            lines += ["standalone = { job = 1 }"]
    return "\n".join(lines) + "\n"


def client(url: str, service: str = "ecs"):
    """A client of an endpoint."""
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", **keys)


def placed(url: str, cluster: str = "default") -> Counter[tuple[str, str]]:
    """(EC2 id, group) -> how many tasks are there."""
    ecs = client(url)
    every = ecs.get_paginator("list_container_instances").paginate(cluster=cluster)
    names = {}
    for page in every:
        arns = page["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)
        names |= {
            i["containerInstanceArn"]: i["ec2InstanceId"] for i in found["containerInstances"]
        }
    counts: Counter[tuple[str, str]] = Counter()
    for page in ecs.get_paginator("list_tasks").paginate(cluster=cluster):
        if page["taskArns"]:
            for task in ecs.describe_tasks(cluster=cluster, tasks=page["taskArns"])["tasks"]:
                counts[names[task["containerInstanceArn"]], task["group"]] += 1
    return counts
