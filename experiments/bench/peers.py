"""What the placement benchmark is held against: a scan in numpy, a loop over objects, moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from stowplan.placement.cluster.cluster import Cluster
from stowplan.placement.engine.batch import TaskBatch
from stowplan.placement.model import CPU, MEMORY


def demands(batch: TaskBatch) -> list[tuple[int, int]]:
    """(CPU, memory) of every task."""
    of_kind = [(dict(kind.resources)[CPU], dict(kind.resources)[MEMORY]) for kind in batch.kinds]
    return [of_kind[kind] for kind in batch.index.tolist()]


def numpy_scan(cluster: Cluster, batch: TaskBatch) -> list[int]:
    """binpack(memory) by one vectorised scan per decision: mask, where, argmin. Rows, or -1."""
    cpu, memory = (cluster.remaining[:, cluster.resources.index(r)].copy() for r in (CPU, MEMORY))
    chosen = []
    for need_cpu, need_memory in demands(batch):
        rows = np.where((cpu >= need_cpu) & (memory >= need_memory))[0]
        row = int(rows[np.argmin(memory[rows])]) if len(rows) else -1
        if row >= 0:
            cpu[row] -= need_cpu
            memory[row] -= need_memory
        chosen.append(row)
    return chosen


@dataclass(slots=True)
class PeerInstance:
    """An instance as an object, as simulators written in Python have it."""

    cpu: int
    memory: int
    tasks: list[int] = field(default_factory=list)


def object_loop(cluster: Cluster, batch: TaskBatch) -> list[int]:
    """binpack(memory) by a loop over objects: filter, then the one with the least. Rows, or -1."""
    columns = [cluster.resources.index(resource) for resource in (CPU, MEMORY)]
    instances = [
        PeerInstance(cpu, memory) for cpu, memory in cluster.remaining[:, columns].tolist()
    ]
    chosen = []
    for task, (cpu, memory) in enumerate(demands(batch)):
        best, best_row = None, -1
        for row, instance in enumerate(instances):
            if instance.cpu < cpu or instance.memory < memory:
                continue
            if best is None or instance.memory < best.memory:
                best, best_row = instance, row
        if best is not None:
            best.cpu -= cpu
            best.memory -= memory
            best.tasks.append(task)
        chosen.append(best_row)
    return chosen


def moto_rate(instances: int, tasks: int, now: Callable[[], float]) -> float | None:
    """Tasks a second of moto's RunTask, in process; None where moto is not installed."""
    try:
        import boto3
        from botocore.config import Config
        from moto import mock_aws
        from moto.ec2.utils import generate_instance_identity_document
    except ImportError:
        return None
    with mock_aws():
        where = {
            "region_name": "us-east-1",
            "aws_access_key_id": "testing",
            "aws_secret_access_key": "testing",
            "config": Config(ignore_configured_endpoint_urls=True),  # moto stands before AWS's own
        }
        ec2, ecs = boto3.resource("ec2", **where), boto3.client("ecs", **where)
        ecs.create_cluster(clusterName="bench")
        image = next(iter(ec2.images.all())).id
        for instance in ec2.create_instances(ImageId=image, MinCount=instances, MaxCount=instances):
            identity = json.dumps(generate_instance_identity_document(instance))
            ecs.register_container_instance(cluster="bench", instanceIdentityDocument=identity)
        container = {"name": "app", "image": "app", "cpu": 1, "memory": 1}
        ecs.register_task_definition(family="app", containerDefinitions=[container])
        started = now()
        for _ in range(tasks):
            answer = ecs.run_task(cluster="bench", taskDefinition="app", launchType="EC2")
            assert len(answer["tasks"]) == 1, answer["failures"]
        return tasks / (now() - started)
