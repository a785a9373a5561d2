"""AWS for tests: moto's server for EC2 and the rest, `stowplan serve` with agents for ECS.

A launch boots played agents as user data tells them; a termination kills them. All of it lives in
the test's own process, on free ports of the loopback; programs under test call it by real HTTP.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

import boto3
from moto.server import ThreadedMotoServer

from stowplan.experiments.loading.catalogue import instance_types
from stowplan.placement.agentwire.driver import AgentsSettings
from stowplan.placement.taskdef.capabilities import AGENT_CAPABILITIES
from stowplan.realdriver.agents.member import Identity, resources_of
from stowplan.realdriver.agents.played import Behaviour, PlayedBody
from stowplan.realdriver.ec2.user_data import read_settings
from tests.realdriver.agents.rig import AGENT, Crew, Plane
from tests.realdriver.ec2.front import Front, user_data_of

REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDADMIN", "AWS_SECRET_ACCESS_KEY": "admin-secret"}
RESERVED = (22, 2375, 2376, 51678, 51679)
PATIENT = AgentsSettings(beat_ms=5_000, patience_ms=60_000, resend_ms=5_000)  # machines are busy
BEHAVIOUR = Behaviour(start_s=0.02, stop_s=0.02)


@dataclass
class Booted:
    """A machine that a launch made: its agent, and the script that it was given."""

    id: str
    script: str
    settings: dict[str, str]
    member: object = None
    body: PlayedBody | None = None
    kill: Callable | None = None


@dataclass(eq=False)
class World:
    """See the module. `boots`: whether agents come up."""

    boots: bool = True
    boot_with: Callable | None = None  # (machine, zone) -> what kills it; else agents are played
    behaviour: Behaviour = field(default_factory=lambda: BEHAVIOUR)

    def __post_init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.moto.start()
        _, port = self.moto.get_host_and_port()
        self.moto_url = f"http://127.0.0.1:{port}"
        self.plane = Plane(settings=PATIENT)
        self.front = Front(self.moto_url, self._hook)
        self.ecs = Front(self.plane.url)
        self.crew = Crew(self.plane.url)
        self.machines: dict[str, Booted] = {}
        self._lock = threading.Lock()
        self._token = itertools.count()
        self.reset()

    def reset(self):
        """An account as it is on its first day, but for a profile for instances."""
        for each in list(self.machines.values()):
            self._kill(each)
        self.machines.clear()
        ask = urllib.request.Request(f"{self.moto_url}/moto-api/reset", b"", method="POST")
        urllib.request.urlopen(ask, timeout=30).read()
        for each in (self.front, self.ecs):
            each.faults = lambda action, form: None
            each.calls.clear()
        self.front.launches.clear()
        self.front.prices.clear()
        self.boots, self.boot_with, self.behaviour = True, None, BEHAVIOUR
        iam = self.client("iam")
        role = "{}"
        iam.create_role(RoleName="ecsInstanceRole", AssumeRolePolicyDocument=role)
        iam.create_instance_profile(InstanceProfileName="ecsInstanceRole")
        iam.add_role_to_instance_profile(
            InstanceProfileName="ecsInstanceRole", RoleName="ecsInstanceRole"
        )

    @property
    def endpoints(self) -> dict[str, str]:
        """As the file of --aws has them."""
        services = ("ssm", "iam", "autoscaling", "sqs", "sts", "events")
        others = dict.fromkeys(services, self.moto_url)
        front = {"ec2": self.front.url, "pricing": self.front.url}
        return {**front, "ecs": self.ecs.url, **others}

    def client(self, service):
        """boto3, with the test's own eyes."""
        return boto3.client(
            service,
            endpoint_url=self.endpoints[service],
            region_name=REGION,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def instances(self, *states) -> list[dict]:
        """EC2's own list."""
        found = self.client("ec2").describe_instances()["Reservations"]
        there = [each for group in found for each in group["Instances"]]
        return [each for each in there if not states or each["State"]["Name"] in states]

    def running(self) -> list[str]:
        """Ids of instances that are paid for."""
        return [each["InstanceId"] for each in self.instances("pending", "running")]

    def tasks(self, cluster, status="RUNNING") -> list[dict]:
        """ECS's own list."""
        ecs = self.client("ecs")
        arns = ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
        if not arns:
            return []
        return ecs.describe_tasks(cluster=cluster, tasks=arns, include=["TAGS"])["tasks"]

    def close(self):
        """The end of it."""
        self.crew.close()
        self.plane.close()
        self.front.close()
        self.ecs.close()
        self.moto.stop()

    # --- machines ---------------------------------------------------------------------------------

    def _hook(self, action, form, ids):
        if action == "RunInstances":
            for identity in ids:
                self._boot(identity, form)
        else:
            for identity in ids:
                with self._lock:
                    there = self.machines.pop(identity, None)
                if there is not None:
                    self._kill(there)

    def _boot(self, identity, form):
        script = user_data_of(form)
        if "ECS_CLUSTER" not in read_settings(script):
            return  # of a test's own
        machine = Booted(identity, script, read_settings(script))
        with self._lock:
            self.machines[identity] = machine
        if not self.boots:
            return
        zone = self._zone(form["SubnetId"])
        if self.boot_with is not None:
            machine.kill = self.boot_with(machine, zone)
            return
        self.play(machine, form["InstanceType"], zone)

    def play(self, machine, kind, zone):
        """An agent is played on a machine, as its settings say."""
        document = {
            "instanceId": machine.id,
            "instanceType": kind,
            "availabilityZone": zone,
            "region": REGION,
        }
        able = {name: "" for name in AGENT_CAPABILITIES if "task-eni" not in name}
        said = {"ecs.os-type": "linux", "ecs.cpu-architecture": "x86_64", **able}
        size = instance_types()[kind]
        resources = resources_of(size.cpu, size.memory, RESERVED)
        who = Identity(
            machine.settings["ECS_CLUSTER"], document, resources, said, f"t-{next(self._token)}"
        )
        machine.body = PlayedBody(lambda message: self.behaviour)
        machine.member = self.crew.join(machine.body, who, silence_s=60.0, telemetry_s=30.0)

    def _zone(self, subnet):
        if not hasattr(self, "_zones"):
            found = self.client("ec2").describe_subnets()["Subnets"]
            self._zones = {each["SubnetId"]: each["AvailabilityZone"] for each in found}
        if subnet not in self._zones:
            del self._zones
            return self._zone(subnet)
        return self._zones[subnet]

    def _kill(self, machine):
        if machine.kill is not None:
            machine.kill()
            machine.kill = None
        if machine.member is not None:
            machine.body.pull_the_plug()
            self.crew.kill(machine.member)
            machine.member = None


def until(holds, seconds=30, story=lambda: ""):
    """Wait until something holds; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not in {seconds} s\n{story()}"
        time.sleep(0.05)
    return found


def numbers(text: str) -> list[float]:
    """The numbers in a line."""
    return [float(each) for each in re.findall(r"\d+(?:\.\d+)?", text)]


__all__ = ["AGENT", "KEYS", "REGION", "World", "numbers", "until"]
