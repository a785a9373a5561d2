"""An agent that a test plays by hand, frame by frame."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.realdriver.agents.rig import AGENT, identity


class Raw:
    """It registers, and says what it is told to say."""

    def __init__(self, plane, number=1, arn=""):
        self.plane, self.ecs = plane, plane.client(AGENT)
        self.who = identity(number)
        more = {"containerInstanceArn": arn} if arn else {}
        answer = self.ecs.register_container_instance(
            cluster="default",
            instanceIdentityDocument=json.dumps(self.who.document),
            totalResources=list(self.who.resources),
            attributes=[{"name": n, "value": v} for n, v in self.who.attributes.items() if v]
            + [{"name": n} for n, v in self.who.attributes.items() if not v],
            **more,
        )
        self.arn = answer["containerInstance"]["containerInstanceArn"]
        self.acs = self.tcs = None

    def open(self, telemetry=False):
        names = ("containerInstance", "cluster") if telemetry else (
            "containerInstanceArn", "clusterArn")  # fmt: skip
        query = {names[0]: self.arn, names[1]: "default", "dockerVersion": "DockerVersion: 20+x"}
        ends = self.ecs.discover_poll_endpoint(containerInstance=self.arn)
        url = f"{ends['telemetryEndpoint' if telemetry else 'endpoint']}/ws?{urlencode(query)}"
        request = AWSRequest("GET", url.replace("+", "%20"), headers={}, data=b"")
        SigV4Auth(Credentials(*AGENT), "ecs", "us-east-1").add_auth(request)
        headers = dict(request.headers.items())
        where = url.replace("http", "ws", 1)
        socket = connect(
            where, additional_headers=headers, compression=None, proxy=None
        ).__enter__()
        if telemetry:
            self.tcs = socket
        else:
            self.acs = socket
        return self

    def say(self, type, socket=None, **message):
        (socket or self.acs).send(json.dumps({"type": type, "message": message}))

    def hear(self, type, seconds=10, beats=True):
        """The next frame of a type; heartbeats are acknowledged, others passed over."""
        end = time.monotonic() + seconds
        while True:
            frame = json.loads(self.acs.recv(timeout=max(0.0, end - time.monotonic())))
            if frame["type"] == "HeartbeatMessage" and beats:
                self.say("HeartbeatAckRequest", messageId=frame["message"]["messageId"])
            if frame["type"] == type:
                return frame["message"]

    def closed(self, seconds=10):
        """Whether the control plane closes the websocket."""
        try:
            while True:
                self.acs.recv(timeout=seconds)
        except ConnectionClosed:
            return True

    def ack(self, message):
        self.say("AckRequest", messageId=message["messageId"], containerInstance=self.arn)

    def report(self, task, status, **more):
        self.ecs.submit_task_state_change(task=task, status=status, **more)
