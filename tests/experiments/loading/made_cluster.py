"""Makes `experiments/data/describe_40`: 40 services, as `aws ... describe-*` prints a cluster.

Nothing of it is anybody's: names, sizes and numbers are drawn from a seed. Run as a module it
writes the files: `python -m tests.experiments.loading.made_cluster FOLDER`.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

SEED = 40
ACCOUNT, REGION, CLUSTER = "123456789012", "us-east-1", "shop"
ZONES = [f"{REGION}{letter}" for letter in "abc"]
ECS = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
# What instances of a type register: CPU units, MiB.
SIZES = {
    "m5.xlarge": (4096, 15576),
    "m5.large": (2048, 7680),
    "m5a.large": (2048, 7652),
    "c5.xlarge": (4096, 7624),
    "c5.2xlarge": (8192, 15463),
    "r5.large": (2048, 15546),
}
# Provider ("": instances of no provider), types in turn, instances, market.
GROUPS = (
    ("general", ("m5.xlarge",), 20, "on-demand"),
    ("cheap", ("m5.large", "m5a.large"), 18, "spot"),
    ("compute", ("c5.xlarge", "c5.2xlarge"), 9, "on-demand"),
    ("", ("r5.large",), 6, "on-demand"),
)
FIRST = ("cart", "search", "price", "stock", "order", "mail", "image", "user", "review", "tax")
SECOND = ("api", "worker", "web", "sync")
PASSWORD = "made-up-password"


def arn(kind: str, name: str) -> str:
    return f"{ECS}:{kind}/{name}"


def subnet(zone: str) -> str:
    return f"subnet-0000000000000000{zone[-1]}"


# --- instances ------------------------------------------------------------------------------------


def instances(rng: random.Random) -> list[dict]:
    found = []
    for provider, types, count, market in GROUPS:
        for number in range(count):
            kind, zone = types[number % len(types)], ZONES[number % 3]
            cpu, memory = SIZES[kind]
            found.append(
                {
                    "id": f"i-{rng.getrandbits(68):017x}",
                    "arn": arn("container-instance", f"{CLUSTER}/{rng.getrandbits(128):032x}"),
                    "provider": provider,
                    "type": kind,
                    "zone": zone,
                    "market": market,
                    "cpu": cpu,
                    "memory": memory,
                    "free": [cpu, memory, 2 if "large" in kind else 3],
                    "ports": set(),
                    "tasks": 0,
                }
            )
    return found


def container_instance(each: dict) -> dict:
    values = {
        "ecs.availability-zone": each["zone"],
        "ecs.instance-type": each["type"],
        "ecs.os-type": "linux",
        "ecs.cpu-architecture": "x86_64",
        "ecs.ami-id": "ami-00000000000000000",
        "ecs.subnet-id": subnet(each["zone"]),
        "ecs.capability.task-eni": None,
        "com.amazonaws.ecs.capability.docker-remote-api.1.44": None,
    }
    values |= {"pool": "data"} if each["type"] == "r5.large" else {}
    attributes = [{"name": k} | ({"value": v} if v else {}) for k, v in values.items()]

    def amounts(cpu: int, memory: int) -> list[dict]:
        ports = {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "2375", "51678"]}
        return [
            {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
            ports,
        ]

    named = {"capacityProviderName": each["provider"]} if each["provider"] else {}
    return {
        "containerInstanceArn": each["arn"],
        "ec2InstanceId": each["id"],
        **named,
        "registeredResources": amounts(each["cpu"], each["memory"]),
        "remainingResources": amounts(*each["free"][:2]),
        "status": "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": each["tasks"],
        "pendingTasksCount": 0,
        "attributes": attributes,
    }


def ec2_instance(each: dict) -> dict:
    spot = {"InstanceLifecycle": "spot"} if each["market"] == "spot" else {}
    return {
        "InstanceId": each["id"],
        "InstanceType": each["type"],
        "Placement": {"AvailabilityZone": each["zone"]},
        "SubnetId": subnet(each["zone"]),
        "State": {"Code": 16, "Name": "running"},
        **spot,
    }


# --- groups ---------------------------------------------------------------------------------------


def group(provider: str, there: list[dict]) -> dict:
    mixed = {
        "cheap": ([("m5.large", None), ("m5a.large", None)], (0, 0), "price-capacity-optimized"),
        "compute": ([("c5.xlarge", 1), ("c5.2xlarge", 2)], (2, 100), "lowest-price"),
    }.get(provider)
    weights = dict(mixed[0]) if mixed else {}
    units = sum(weights.get(each["type"]) or 1 for each in there)
    found = {
        "AutoScalingGroupName": f"{CLUSTER}-{provider}",
        "MinSize": 2,
        "MaxSize": 3 * units,
        "DesiredCapacity": units,
        "AvailabilityZones": ZONES,
        "Instances": [
            {
                "InstanceId": each["id"],
                "InstanceType": each["type"],
                "AvailabilityZone": each["zone"],
                "LifecycleState": "InService",
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": True,
            }
            | ({"WeightedCapacity": str(weights[each["type"]])} if weights.get("c5.xlarge") else {})
            for each in there
        ],
    }
    if mixed:
        types, (base, share), strategy = mixed
        found["MixedInstancesPolicy"] = {
            "LaunchTemplate": {
                "Overrides": [
                    {"InstanceType": name} | ({"WeightedCapacity": str(w)} if w else {})
                    for name, w in types
                ]
            },
            "InstancesDistribution": {
                "OnDemandAllocationStrategy": "lowest-price",
                "OnDemandBaseCapacity": base,
                "OnDemandPercentageAboveBaseCapacity": share,
                "SpotAllocationStrategy": strategy,
            },
        }
    return found


def provider(name: str) -> dict:
    return {
        "capacityProviderArn": arn("capacity-provider", name),
        "name": name,
        "status": "ACTIVE",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:"
            f"00000000-0000-4000-8000-000000000000:autoScalingGroupName/{CLUSTER}-{name}",
            "managedScaling": {
                "status": "ENABLED",
                "targetCapacity": 90 if name == "general" else 100,
                "minimumScalingStepSize": 1,
                "maximumScalingStepSize": 10,
                "instanceWarmupPeriod": 180,
            },
            "managedTerminationProtection": "ENABLED",
            "managedDraining": "ENABLED",
        },
    }


# --- task definitions and services ----------------------------------------------------------------


def definition(rng: random.Random, name: str, number: int) -> dict:
    kind = name.partition("-")[2]
    cpu = rng.choice((128, 256, 256, 512, 1024))
    memory = rng.choice((256, 512, 512, 1024, 2048))
    port = {"containerPort": 8080, "hostPort": 0, "protocol": "tcp"}
    if kind == "web":
        port["hostPort"] = 8080
    elif number % 20 == 3:
        port["hostPort"] = 9000 + number
    container = {
        "name": "main",
        "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{name}:1.{number}",
        "cpu": cpu,
        "memory": memory,
        "memoryReservation": memory * 3 // 4,
        "essential": True,
        "portMappings": [] if kind in ("worker", "sync") else [port],
        "environment": [{"name": "DB_PASSWORD", "value": f"{PASSWORD}-{number}"}],
        "secrets": [
            {
                "name": "KEY",
                "valueFrom": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf",
            }
        ],
        "mountPoints": [],
        "volumesFrom": [],
    }
    revision = rng.randint(1, 90)
    return {
        "taskDefinitionArn": arn("task-definition", f"{name}:{revision}"),
        "family": name,
        "revision": revision,
        "status": "ACTIVE",
        "containerDefinitions": [container],
        "networkMode": "awsvpc" if kind == "web" else "bridge",
        "executionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}-execution",
        "volumes": [],
        "placementConstraints": [],
        "requiresAttributes": [{"name": "ecs.capability.secrets.asm.environment-variables"}],
        "compatibilities": ["EXTERNAL", "EC2"],
        "requiresCompatibilities": ["EC2"],
    }


def service(rng: random.Random, task: dict, number: int) -> dict:
    name = task["family"]
    chain = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
    if name.endswith("worker"):
        chain = [{"type": "binpack", "field": "MEMORY"}]
    elif number % 4 == 2:
        chain.append({"type": "spread", "field": "instanceId"})
    daemon = name == "tax-sync"
    found = {
        "serviceArn": arn("service", f"{CLUSTER}/{name}"),
        "serviceName": name,
        "clusterArn": arn("cluster", CLUSTER),
        "status": "ACTIVE",
        "desiredCount": rng.randint(1, 6),
        "taskDefinition": task["taskDefinitionArn"],
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": {"enable": number % 3 == 0, "rollback": number % 6 == 0},
            "maximumPercent": 200 if number % 5 else 150,
            "minimumHealthyPercent": 100 if number % 5 else 50,
            "strategy": "ROLLING",
        },
        "deploymentController": {"type": "ECS"},
        "schedulingStrategy": "DAEMON" if daemon else "REPLICA",
        "placementConstraints": [],
        "placementStrategy": [] if daemon else chain,
        "loadBalancers": [],
        "serviceRegistries": [],
    }
    if name.startswith("stock"):
        pool = {"type": "memberOf", "expression": "attribute:pool == data"}
        found["placementConstraints"] = [pool]
        found["launchType"] = "EC2"
        found["desiredCount"] = min(found["desiredCount"], 2)
    elif daemon:
        found["launchType"] = "EC2"
    else:
        shares = {"worker": ["cheap"], "sync": ["compute"]}.get(name.partition("-")[2], ["general"])
        items = [{"capacityProvider": each, "weight": 1, "base": 0} for each in shares]
        found["capacityProviderStrategy"] = items
    if name.endswith("web"):
        network = {"subnets": [subnet(zone) for zone in ZONES], "assignPublicIp": "DISABLED"}
        found["networkConfiguration"] = {"awsvpcConfiguration": network}
        balancer = {"containerName": "main", "containerPort": 8080}
        found["loadBalancers"] = [balancer | {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}]
        found["healthCheckGracePeriodSeconds"] = 60
    return found


# --- tasks ----------------------------------------------------------------------------------------


def placed(rng: random.Random, owner: dict, task: dict, there: list[dict], group: str) -> dict:
    """A running task on the instance that has most memory free; raises where none has room."""
    (container,) = task["containerDefinitions"]
    needs = container["cpu"], container["memoryReservation"], int(task["networkMode"] == "awsvpc")
    ports = set()
    if task["networkMode"] == "bridge":
        ports = {each["hostPort"] for each in container["portMappings"]} - {0}
    names = {each["capacityProvider"] for each in owner.get("capacityProviderStrategy", ())}
    pool = "r5.large" if owner.get("placementConstraints") else ""
    fits = [
        each
        for each in there
        if (not names or each["provider"] in names)
        and (not pool or each["type"] == pool)
        and all(free >= need for free, need in zip(each["free"], needs, strict=True))
        and not ports & each["ports"]
    ]
    chosen = max(fits, key=lambda each: (each["free"][1], each["id"]))
    chosen["free"] = [free - need for free, need in zip(chosen["free"], needs, strict=True)]
    chosen["ports"] |= ports
    chosen["tasks"] += 1
    named = {"capacityProviderName": chosen["provider"]} if names else {"launchType": "EC2"}
    eni = [{"id": "0", "type": "ElasticNetworkInterface", "status": "ATTACHED"}] * needs[2]
    return {
        "taskArn": arn("task", f"{CLUSTER}/{rng.getrandbits(128):032x}"),
        "clusterArn": arn("cluster", CLUSTER),
        "containerInstanceArn": chosen["arn"],
        "taskDefinitionArn": task["taskDefinitionArn"],
        "group": group,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        **named,
        "attachments": eni,
        "containers": [{"name": "main", "lastStatus": "RUNNING"}],
    }


def populated(rng: random.Random, there: list[dict]) -> tuple[list[dict], list[dict], list[dict]]:
    """Task definitions, services and tasks, these on the instances."""
    names = [f"{first}-{second}" for first in FIRST for second in SECOND]
    tasks, definitions, services = [], [], []
    for number, name in enumerate(names):
        definitions.append(definition(rng, name, number))
        services.append(service(rng, definitions[-1], number))
    for task, owner in zip(definitions, services, strict=True):
        if owner["schedulingStrategy"] == "DAEMON":
            task["containerDefinitions"][0] |= {"cpu": 64, "memory": 128, "memoryReservation": 96}
            owner["desiredCount"] = len(there)
            for each in there:
                tasks.append(placed(rng, owner, task, [each], f"service:{owner['serviceName']}"))
            continue
        for _ in range(owner["desiredCount"]):
            tasks.append(placed(rng, owner, task, there, f"service:{owner['serviceName']}"))
    for owner in services:
        owner |= {"runningCount": owner["desiredCount"], "pendingCount": 0}
    report = definition(rng, "report", 41)
    definitions.append(report)
    tasks += [placed(rng, {}, report, there, "family:report") for _ in range(4)]
    return definitions, services, tasks


def made() -> dict[str, object]:
    """File name -> what it holds."""
    rng = random.Random(SEED)
    there = instances(rng)
    definitions, services, tasks = populated(rng, there)
    providers = [name for name, *_ in GROUPS if name]
    return {
        "clusters.json": {
            "clusters": [
                {
                    "clusterArn": arn("cluster", CLUSTER),
                    "clusterName": CLUSTER,
                    "status": "ACTIVE",
                    "capacityProviders": providers,
                    "defaultCapacityProviderStrategy": [
                        {"capacityProvider": "general", "weight": 1, "base": 0}
                    ],
                }
            ],
            "failures": [],
        },
        # DescribeServices takes ten at a time, so people have a list of four outputs.
        "services.json": [
            {"services": services[at : at + 10], "failures": []} for at in range(0, 40, 10)
        ],
        "container-instances.json": {
            "containerInstances": [container_instance(each) for each in there],
            "failures": [],
        },
        "tasks-1.json": {"tasks": tasks[:100], "failures": []},
        "tasks-2.json": {"tasks": tasks[100:], "failures": []},
        "capacity-providers.json": {"capacityProviders": [provider(name) for name in providers]},
        "auto-scaling-groups.json": {
            "AutoScalingGroups": [
                group(name, [each for each in there if each["provider"] == name])
                for name in providers
            ]
        },
        "instances.json": {
            "Reservations": [{"Instances": [ec2_instance(each)]} for each in there],
        },
        "task-definitions.json": [{"taskDefinition": each} for each in definitions],
    }


def text_of(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, content in made().items():
        (folder / name).write_text(text_of(content))
