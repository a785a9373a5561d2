"""ECS's events from a queue: they bring news at once, and late or doubled do no harm."""

from __future__ import annotations

import json
import random
import threading
import time

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from tests.realdriver.ec2.rig import Rig, table
from tests.realdriver.rig import registration, run_task, service

APP = {"name": "c", "image": "i", "cpu": 64, "memory": 64}


class Teller:
    """Sends what ECS shows of a cluster as its events would be: some twice, some late."""

    def __init__(self, world, cluster, url):
        self.world, self.cluster, self.url = world, cluster, url
        self.sqs, self.ecs = world.client("sqs"), world.client("ecs")
        self.sent: list[dict] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.tell, daemon=True)
        self.thread.start()

    def send(self, task):
        event = {"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": task}
        self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(event, default=str))

    def tell(self):
        rng, told = random.Random(1), {}
        while not self.over.wait(0.1):
            new = []
            for status in ("RUNNING", "STOPPED"):
                for task in self.world.tasks(self.cluster, status):
                    if told.get(task["taskArn"]) != task["version"]:
                        told[task["taskArn"]] = task["version"]
                        new.append(task)
            again = rng.sample(self.sent, min(len(self.sent), 3))
            both = [*new, *new, *again]
            rng.shuffle(both)
            for task in both:
                self.send(task)
            self.sent += new

    def close(self):
        self.over.set()
        self.thread.join(10)


def test_events_bring_news_and_do_no_harm(world):
    url = world.client("sqs").create_queue(QueueName="ecs")["QueueUrl"]
    settings = table(world, queue=url, look_every="20s", lease="120s")
    arrivals = [registration("app", APP), service("app", 4), run_task("app", 2, 1, 800)]
    rig = Rig(world, arrivals, settings=settings)
    cluster = f"stowplan-{rig.cluster}"
    rig.until(lambda: world.tasks(cluster))
    teller = Teller(world, cluster, url)
    world.client("sqs").send_message(QueueUrl=url, MessageBody="no JSON")
    began = time.monotonic()
    try:
        rig.until(rig.runs(6), 15)
        rig.until(lambda: len(told(rig, TaskStatus.STOPPED)) == 2, 15)
        assert time.monotonic() - began < 18, "only looks brought news"
        rig.go_on(1.5)
    finally:
        teller.close()
    starts, stops = told(rig, TaskStatus.RUNNING), told(rig, TaskStatus.STOPPED)
    assert len(starts) == len(set(starts)) == 6
    assert len(stops) == len(set(stops)) == 2
    assert len(teller.sent) >= 8
    rig.check()
    rig.down()


def told(rig, status):
    """Tasks that were told to be so."""
    return [task for e in rig.events(m.TasksChanged) if e.status is status for task in e.tasks]
