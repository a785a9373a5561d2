"""`stowplan serve` as its users meet it: by boto3, in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from stowplan.experiments.cli.main import main
from tests.house import ROOT

CONTAINER = {"name": "app", "image": "nginx", "cpu": 256, "memory": 512}
SPREAD = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]


@contextmanager
def served(*arguments, killed=False):
    """The address of an endpoint of its own, which ends by Ctrl-C, or is killed."""
    command = [sys.executable, "-m", "stowplan", "serve", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            said = process.stdout.readline()
            while (address := re.search(r"https?://[\d.]+:\d+", said)) is None:
                said = process.stdout.readline()
            yield address[0]
        finally:
            process.send_signal(signal.SIGKILL if killed else signal.SIGINT)
            process.wait(20)
    assert process.returncode == (-signal.SIGKILL if killed else 0)


def client(url, key="AKID", secret="secret"):
    return boto3.client(
        "ecs",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}),
    )


def wait(ecs, name, **what):
    waiter = ecs.get_waiter(name)
    waiter.config.delay = 0.05
    waiter.wait(**what)


def refused(code, call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def endpoint():
    with served("--clock", "600") as url:
        assert main(["launch", "m5.large", "6", "--endpoint-url", url]) == 0
        yield url


@pytest.fixture(scope="module")
def ecs(endpoint):
    ecs = client(endpoint)
    arns = []
    while len(arns) < 6:
        arns = ecs.list_container_instances()["containerInstanceArns"]
    ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
    return ecs


def test_a_cluster_whose_instances_were_launched(ecs):
    (cluster,) = ecs.describe_clusters()["clusters"]
    assert (cluster["clusterName"], cluster["status"]) == ("default", "ACTIVE")
    assert cluster["registeredContainerInstancesCount"] == 6
    arns = ecs.list_container_instances()["containerInstanceArns"]
    found = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
    amounts = {each["name"]: each for each in found[0]["registeredResources"]}
    assert amounts["CPU"]["integerValue"] == 2048
    assert "22" in amounts["PORTS"]["stringSetValue"]
    zones = [
        {each["name"]: each.get("value") for each in one["attributes"]}["ecs.availability-zone"]
        for one in found
    ]
    assert sorted(zones) == sorted(2 * ["us-east-1a", "us-east-1b", "us-east-1c"])


def test_tasks_from_their_call_to_their_end(ecs):
    answer = ecs.run_task(taskDefinition="web", count=3, placementStrategy=SPREAD, startedBy="me")
    arns = [task["taskArn"] for task in answer["tasks"]]
    assert answer["failures"] == []
    assert {task["lastStatus"] for task in answer["tasks"]} == {"PENDING"}
    wait(ecs, "tasks_running", tasks=arns)
    tasks = ecs.describe_tasks(tasks=arns)["tasks"]
    assert len({task["availabilityZone"] for task in tasks}) == 3
    assert all(task["containers"][0]["lastStatus"] == "RUNNING" for task in tasks)
    assert sorted(ecs.list_tasks(startedBy="me")["taskArns"]) == sorted(arns)
    for arn in arns:
        ecs.stop_task(task=arn, reason="enough")
    wait(ecs, "tasks_stopped", tasks=arns)
    (ended, *_) = ecs.describe_tasks(tasks=arns)["tasks"]
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "enough")
    assert ended["startedAt"] < ended["stoppingAt"] <= ended["stoppedAt"]
    assert ecs.list_tasks(startedBy="me")["taskArns"] == []


def test_a_service_from_its_call_to_its_end(ecs):
    service = ecs.create_service(serviceName="s", taskDefinition="web", desiredCount=4)["service"]
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert service["availabilityZoneRebalancing"] == "ENABLED"
    wait(ecs, "services_stable", services=["s"])
    ecs.register_task_definition(
        family="web", containerDefinitions=[CONTAINER | {"image": "nginx:2"}]
    )
    ecs.update_service(service="s", taskDefinition="web", desiredCount=5)
    wait(ecs, "services_stable", services=["s"])
    (service,) = ecs.describe_services(services=["s"])["services"]
    assert (service["runningCount"], service["taskDefinition"].rpartition("/")[2]) == (5, "web:2")
    assert "has reached a steady state" in service["events"][0]["message"]
    assert len(ecs.list_tasks(serviceName="s")["taskArns"]) == 5
    assert refused("InvalidParameterException", ecs.delete_service, service="s")
    ecs.delete_service(service="s", force=True)
    wait(ecs, "services_inactive", services=["s"])


def test_a_scheduler_of_ones_own_places_and_is_told_why_not(ecs):
    arns = ecs.list_container_instances()["containerInstanceArns"]
    answer = ecs.start_task(taskDefinition="web", containerInstances=[arns[0], "0" * 32])
    assert answer["tasks"][0]["containerInstanceArn"] == arns[0]
    assert answer["failures"] == [{"arn": "0" * 32, "reason": "MISSING"}]
    big = ecs.register_task_definition(
        family="big", containerDefinitions=[CONTAINER | {"cpu": 2000, "memory": 1000}]
    )["taskDefinition"]["taskDefinitionArn"]
    answer = ecs.start_task(taskDefinition=big, containerInstances=[arns[0]])
    assert (answer["tasks"], answer["failures"][0]["reason"]) == ([], "RESOURCE:CPU")
    ecs.stop_task(task=ecs.list_tasks(containerInstance=arns[0])["taskArns"][0])


def test_the_example_of_a_scheduler_packs(endpoint, ecs):
    quarter = CONTAINER | {"cpu": 512, "memory": 1500}
    ecs.register_task_definition(family="quarter", containerDefinitions=[quarter])
    before = set(ecs.list_tasks()["taskArns"])
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    where = {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    said = subprocess.run(
        [sys.executable, ROOT / "experiments/examples/own_scheduler.py", "quarter", "30"],
        env=os.environ | keys | where,
        capture_output=True,
        text=True,
        check=True,
    )
    arns = said.stdout.split()
    assert set(arns) == set(ecs.list_tasks()["taskArns"]) - before
    tasks = ecs.describe_tasks(tasks=arns)["tasks"]
    on = [task["containerInstanceArn"] for task in tasks]
    # Four of 512 CPU units fill an instance of 2048; the fullest is filled before the next.
    assert 22 <= len(arns) <= 24
    assert all(on[at : at + 4] == [on[at]] * 4 for at in range(0, 20, 4) if on.count(on[at]) == 4)
    for arn in arns:
        ecs.stop_task(task=arn)


def test_pages(ecs):
    for number in range(7):
        ecs.register_task_definition(family=f"p{number}", containerDefinitions=[CONTAINER])
    pages = ecs.get_paginator("list_task_definitions").paginate(PaginationConfig={"PageSize": 3})
    shown = [arn for each in pages for arn in each["taskDefinitionArns"]]
    assert sorted(arn.rpartition("/")[2] for arn in shown if "/p" in arn) == [
        f"p{number}:1" for number in range(7)
    ]
    assert len(shown) == len(set(shown))
    pages = ecs.get_paginator("list_container_instances").paginate(PaginationConfig={"PageSize": 4})
    assert [len(each["containerInstanceArns"]) for each in pages] == [4, 2]


def test_what_is_wrong_is_said_in_the_words_of_ecs(ecs):
    refused("ClusterNotFoundException", ecs.list_tasks, cluster="nowhere")
    assert (
        refused("ClientException", ecs.run_task, taskDefinition="nothing")
        == "Unable to describe task definition."
    )
    refused("InvalidParameterException", ecs.run_task, taskDefinition="web", count=11)
    refused("InvalidParameterException", ecs.stop_task, task="0" * 32)
    refused("ServiceNotFoundException", ecs.update_service, service="none", desiredCount=1)
    refused("ClusterContainsContainerInstancesException", ecs.delete_cluster, cluster="default")
    refused("UnsupportedFeatureException", ecs.run_task, taskDefinition="web", launchType="FARGATE")


def test_clusters_share_task_definitions_and_nothing_else(ecs):
    ecs.create_cluster(clusterName="second", tags=[{"key": "team", "value": "a"}])
    answer = ecs.run_task(cluster="second", taskDefinition="web")
    assert answer["tasks"] == []
    assert answer["failures"][0]["reason"] == "NO ACTIVE INSTANCES"
    tags = ecs.list_tags_for_resource(
        resourceArn=ecs.describe_clusters(clusters=["second"])["clusters"][0]["clusterArn"]
    )
    assert tags["tags"] == [{"key": "team", "value": "a"}]
    ecs.delete_cluster(cluster="second")
    refused("ClusterNotFoundException", ecs.list_services, cluster="second")
    assert len(ecs.list_clusters()["clusterArns"]) == 1


def test_attributes_and_draining(ecs):
    arn = ecs.list_container_instances()["containerInstanceArns"][-1]
    ecs.put_attributes(attributes=[{"name": "rack", "value": "7", "targetId": arn}])
    (found,) = ecs.list_attributes(targetType="container-instance", attributeName="rack")[
        "attributes"
    ]
    assert found == {
        "name": "rack",
        "value": "7",
        "targetId": arn,
        "targetType": "container-instance",
    }
    where = [{"type": "memberOf", "expression": "attribute:rack == 7"}]
    (task,) = ecs.run_task(taskDefinition="web", placementConstraints=where)["tasks"]
    assert task["containerInstanceArn"] == arn
    ecs.update_container_instances_state(containerInstances=[arn], status="DRAINING")
    answer = ecs.run_task(taskDefinition="web", placementConstraints=where)
    assert answer["tasks"] == []
    ecs.update_container_instances_state(containerInstances=[arn], status="ACTIVE")
    ecs.stop_task(task=task["taskArn"])


def test_a_machine_registers_itself_and_is_there_after_a_kill(tmp_path):
    document = {"instanceId": "i-9", "instanceType": "t2.micro", "availabilityZone": "us-east-1d"}
    state = ("--clock", "600", "--state", str(tmp_path / "state"))
    with served(*state, killed=True) as url:
        ecs = client(url)
        arn = ecs.register_container_instance(instanceIdentityDocument=json.dumps(document))[
            "containerInstance"
        ]["containerInstanceArn"]
        logs = CONTAINER | {"logConfiguration": {"logDriver": "json-file"}}
        ecs.register_task_definition(family="logs", containerDefinitions=[logs])
        asked = {"taskDefinition": "logs", "clientToken": "once"}
        (task,) = ecs.run_task(**asked)["tasks"]
        wait(ecs, "tasks_running", tasks=[task["taskArn"]])
    with served(*state) as url:
        ecs = client(url)
        assert ecs.list_container_instances()["containerInstanceArns"] == [arn]
        assert ecs.run_task(**asked)["tasks"][0]["taskArn"] == task["taskArn"]
        with pytest.raises(botocore.exceptions.ClientError) as error:
            ecs.run_task(**asked, count=2)
        assert error.value.response["Error"]["Code"] == "ConflictException"
        assert error.value.response["resourceIds"] == [task["taskArn"]]
        assert len(ecs.list_tasks()["taskArns"]) == 1


def test_what_is_not_for_ecs_goes_to_the_others():
    with moto() as others, served("--testing", "--others", others) as url:
        s3 = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(s3={"addressing_style": "path"}),
        )
        s3.create_bucket(Bucket="ours")
        s3.put_object(Bucket="ours", Key="a/b", Body=b"content")
        assert s3.get_object(Bucket="ours", Key="a/b")["Body"].read() == b"content"
        ecs = client(url)
        assert ecs.list_clusters()["clusterArns"] == []
        ecs.create_cluster(clusterName="c")
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", b""))
        assert ecs.list_clusters()["clusterArns"] == []
        assert s3.list_buckets()["Buckets"] == []


@contextmanager
def moto():
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def test_a_clock_that_stands_still_until_it_is_told_to_go_on(capsys):
    with served("--clock", "step") as url:
        ecs = client(url)
        ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
        assert main(["launch", "m5.large", "--endpoint-url", url]) == 0
        assert ecs.list_container_instances()["containerInstanceArns"] == []
        assert main(["clock", "advance", "10m", "--endpoint-url", url]) == 0
        while not ecs.list_container_instances()["containerInstanceArns"]:
            pass
        (task,) = ecs.run_task(taskDefinition="web")["tasks"]
        assert ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]["lastStatus"] == "PENDING"
        capsys.readouterr()
        assert main(["clock", "advance", "1m", "--endpoint-url", url]) == 0
        wait(ecs, "tasks_running", tasks=[task["taskArn"]])
        assert main(["clock", "advance", "1 month", "--endpoint-url", url]) == 2
        assert "expected a duration" in capsys.readouterr().err


def test_killed_and_started_again_it_is_the_same_cluster(tmp_path):
    state = ("--clock", "600", "--state", str(tmp_path / "state"))
    with served(*state, killed=True) as url:
        assert main(["launch", "m5.large", "4", "--endpoint-url", url]) == 0
        ecs = client(url)
        ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
        while len(ecs.list_container_instances()["containerInstanceArns"]) < 4:
            pass
        ecs.create_service(serviceName="s", taskDefinition="web", desiredCount=3)
        wait(ecs, "services_stable", services=["s"])
        ecs.create_cluster(clusterName="other")
        main(["launch", "c5.large", "2", "--cluster", "other", "--endpoint-url", url])
        before = described(ecs)
    with served(*state) as url:
        ecs = client(url)
        assert described(ecs) == before
        assert len(ecs.list_clusters()["clusterArns"]) == 2
        assert main(["serve", "--state", state[-1]]) == 2
        ecs.update_service(service="s", desiredCount=5)
        wait(ecs, "services_stable", services=["s"])
        while len(ecs.list_container_instances(cluster="other")["containerInstanceArns"]) < 2:
            pass


def described(ecs):
    """What a client sees of `default`."""
    tasks = ecs.list_tasks()["taskArns"]
    instances = ecs.list_container_instances()["containerInstanceArns"]
    services = ecs.describe_services(services=["s"])["services"]
    assert len(tasks) == 3
    found = ecs.describe_tasks(tasks=tasks)["tasks"]
    return found, instances, services, ecs.list_task_definitions()["taskDefinitionArns"]


def test_only_known_keys_may_call_where_keys_are_given(tmp_path):
    (tmp_path / "keys").write_text("# ours\nAKID secret\n")
    with served("--keys", str(tmp_path / "keys")) as url:
        assert client(url).list_clusters()["clusterArns"]
        with pytest.raises(botocore.exceptions.ClientError, match="security token"):
            client(url, "OTHER").list_clusters()
        with pytest.raises(botocore.exceptions.ClientError, match="does not match"):
            client(url, secret="guess").list_clusters()


def test_another_name_for_the_loopback_is_not_answered(endpoint):
    headers = {"Host": "evil.example", "X-Amz-Target": "x"}
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(urllib.request.Request(endpoint, b"{}", headers))
    assert error.value.code == 403


def test_answers_do_not_wait_for_acknowledgements(endpoint):
    # With Nagle's algorithm on, each answer on a connection that is kept takes 40 ms and more.
    host, _, port = endpoint.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    target = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters"}
    took = []
    for _ in range(30):
        begun = time.perf_counter()
        connection.request("POST", "/", b"{}", target)
        connection.getresponse().read()
        took.append(time.perf_counter() - begun)
    assert min(took) < 0.035


def test_a_port_that_is_taken_is_an_error(endpoint, capsys):
    port = endpoint.rpartition(":")[2]
    assert main(["serve", "--port", port]) == 2
    assert f"--port {port}: [Errno 98] Address already in use" in capsys.readouterr().err


def test_other_addresses_need_keys(capsys):
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "--keys" in capsys.readouterr().err


def test_events_go_to_a_file_an_address_and_whoever_listens(tmp_path):
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200 if len(got) > 1 else 503)  # the first comes again
            self.end_headers()

        def log_message(self, *args):
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    file, address = tmp_path / "events.jsonl", f"http://127.0.0.1:{receiver.server_port}/"
    try:
        arguments = ("--clock", "600", "--events", str(file), "--events", address)
        with served(*arguments) as url, urllib.request.urlopen(f"{url}/_stowplan/events") as stream:
            assert stream.readline() == b": listening\n"
            assert main(["launch", "m5.large", "--endpoint-url", url]) == 0
            ecs = client(url)
            ecs.register_task_definition(family="web", containerDefinitions=[CONTAINER])
            while not ecs.list_container_instances()["containerInstanceArns"]:
                pass
            (task,) = ecs.run_task(taskDefinition="web")["tasks"]
            streamed = []
            while "RUNNING" not in [each["detail"].get("lastStatus") for each in streamed]:
                line = stream.readline()
                if line.startswith(b"data: "):
                    streamed.append(json.loads(line[6:]))
    finally:
        receiver.shutdown()
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert streamed[-1]["resources"] == [task["taskArn"]]
    assert written[: len(streamed)] == streamed
    assert got[0] == got[1]
    assert got[1:] == written


def test_over_tls_by_a_certificate_that_it_makes(tmp_path):
    state = tmp_path / "state"
    for _ in range(2):  # the second time it is the same certificate
        with served("--tls", "new", "--state", str(state)) as url:
            assert url.startswith("https://")
            ecs = boto3.client(
                "ecs",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
                verify=str(state / "tls.crt"),
            )
            assert len(ecs.list_clusters()["clusterArns"]) == 1
    assert (state / "tls.key").stat().st_mode & 0o077 == 0


def test_a_certificate_that_is_none_is_refused(tmp_path, capsys):
    file = tmp_path / "x.pem"
    file.write_text("nothing")
    assert main(["serve", "--port", "0", "--tls", str(file), "--tls-key", str(file)]) == 2
    assert main(["serve", "--port", "0", "--tls", str(file)]) == 2
    assert "expected with --tls-key KEY, or new" in capsys.readouterr().err


def test_explain_try_and_status_of_an_endpoint(endpoint, ecs, tmp_path, capsys):
    there = ("--endpoint-url", endpoint)
    vast = CONTAINER | {"cpu": 4000}
    ecs.register_task_definition(family="vast", containerDefinitions=[vast])
    ecs.create_service(serviceName="none-fits", taskDefinition="vast", desiredCount=2)
    capsys.readouterr()
    assert main(["explain", "none-fits", *there]) == 0
    assert "CPU" in capsys.readouterr().out
    assert main(["explain", "nothing", *there]) == 2
    assert main(["explain", "none-fits", "--cluster", "nowhere", *there]) == 2
    file = tmp_path / "d.json"
    file.write_text(json.dumps({"family": "new", "containerDefinitions": [CONTAINER]}))
    before = len(ecs.list_tasks()["taskArns"])
    capsys.readouterr()
    assert main(["try", str(file), "--count", "2", *there, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["placed"]) == 2
    assert len(ecs.list_tasks()["taskArns"]) == before
    assert main(["status", *there]) == 0
    said = capsys.readouterr().out
    assert "none-fits" in said
    assert said.count("ACTIVE") >= 6
    ecs.delete_service(service="none-fits", force=True)


def test_malformed_http_is_refused_and_changes_nothing(endpoint, ecs):
    body = b'{"clusterName": "sneaked"}'
    whole = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.CreateCluster\r\n"
        b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
    )
    rng = random.Random(7)
    where = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    for _ in range(300):
        broken = bytearray(whole[: whole.index(b"sneaked")])  # what would be taken is never whole
        for _ in range(rng.randrange(4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        with socket.create_connection(where, timeout=10) as sock:
            sock.sendall(broken)
            sock.shutdown(socket.SHUT_WR)
            said = b""
            with contextlib.suppress(ConnectionError):
                while part := sock.recv(4096):
                    said += part
        assert said == b"" or re.match(rb"HTTP/1.1 4\d\d", said), said
    assert len(ecs.list_clusters()["clusterArns"]) == 1
