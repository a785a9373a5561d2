"""Who can reach whom: engines by TLS and ssh, registries with and without a password, tasks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from stowplan.placement import messages as m
from stowplan.placement.model import StopCode
from stowplan.realdriver.docker.config import EnginesTable
from stowplan.realdriver.docker.connection import Connection
from tests.debian import need
from tests.realdriver.engines import IMAGE, kill_inside
from tests.realdriver.rig import Rig, container, ours, registration, run_task, settings
from tests.realdriver.test_lifecycle import ASK, SERVE, inside

FAILED = StopCode.TASK_FAILED_TO_START


@pytest.fixture
def play():
    """Rigs that are let go of after the test, before their engines are."""
    rigs = []

    def make(table, *arrivals, **more):
        rigs.append(Rig(table, arrivals, **more))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_tasks_of_two_clusters_on_one_engine_do_not_reach_each_other(boot, play):
    engine = boot()
    one, two = (
        play(
            settings([engine]),
            registration("web", container(command=SERVE.format("moin", 80))),
            run_task("web", 2),
        )
        for _ in range(2)
    )
    one.until(one.runs(2))
    two.until(two.runs(2))
    networks = ours(engine, one.cluster)["0-c"]["NetworkSettings"]["Networks"]
    assert list(networks) == [f"stowplan-{one.cluster}"]
    address = networks[f"stowplan-{one.cluster}"]["IPAddress"]
    ask = ASK.format("nc", address, 80)
    assert "moin" in inside(engine, one.cluster, "1-c", ask)
    assert "moin" not in inside(engine, two.cluster, "0-c", ask)


def certificates(folder: Path) -> None:
    """A private CA, a server's and a client's certificate."""
    script = """
    openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 9
    for who in server client; do
      openssl req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who
      printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > ext
      openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -out $who.pem -days 9 -extfile ext
    done
    """
    folder.mkdir()
    subprocess.run(["sh", "-ec", script], cwd=folder, check=True, capture_output=True)


def test_an_engine_is_reached_by_tls_whatever_ca_the_environment_names(boot, tmp_path, monkeypatch):
    need(("openssl",), ("openssl",))
    keys = tmp_path / "keys"
    certificates(keys)
    server = [f"--tlscacert={keys}/ca.pem", f"--tlscert={keys}/server.pem"]
    engine = boot("--tlsverify", *server, f"--tlskey={keys}/server.key", "-H=tcp://127.0.0.1:2376")
    # The engine's loopback is another machine's; a port of ours leads there.
    near = Forward(engine, 2376)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    tls = {name: str(keys / f) for name, f in (("ca", "ca.pem"), ("cert", "client.pem"))}
    tls["key"] = str(keys / "client.key")
    table = EnginesTable.model_validate(
        {"engine": [{"url": f"tcp://127.0.0.1:{near.port}", "tls": tls}], "call_timeout": "5s"}
    )
    connection = Connection(table.engine[0], table)
    try:
        connection.check(3)
        assert connection.has_image(IMAGE)
    finally:
        connection.close()
        near.close()


@pytest.fixture
def ssh(boot, tmp_path, monkeypatch):
    """The ssh:// address of an engine whose machine lets us in by key, and the user's ssh."""
    need(("sshd", "ssh"), ("openssh-server", "openssh-client"))
    engine = boot()
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    (tmp_path / "sshd").write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/user.pub\nStrictModes no\n"
        f"Port 2222\nListenAddress 127.0.0.1\nPidFile none\nPermitRootLogin yes\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    command = [shutil.which("sshd"), "-D", "-f", str(tmp_path / "sshd")]
    process = subprocess.Popen(engine.entering(*command), stderr=subprocess.DEVNULL)
    near = Forward(engine, 2222)
    (tmp_path / "config").write_text(
        f"IdentityFile {tmp_path}/user\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n"
    )
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    yield f"ssh://root@127.0.0.1:{near.port}{engine.socket}"
    near.close()
    kill_inside(process)


def test_an_engine_is_reached_by_the_users_own_ssh(ssh):
    table = EnginesTable.model_validate({"engine": [{"url": ssh}], "call_timeout": "5s"})
    connection = Connection(table.engine[0], table)
    try:
        time.sleep(0.5)
        connection.check(5)
        assert connection.has_image(IMAGE)
    finally:
        connection.close()


class Forward:
    """A port here that leads to one on an engine's own loopback, by socat's little brother."""

    def __init__(self, engine, port: int) -> None:

        self._engine, self._far = engine, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            command = self._engine.entering("busybox", "nc", "127.0.0.1", str(self._far))
            subprocess.Popen(command, stdin=connection, stdout=connection)
            connection.close()

    def close(self) -> None:
        """Lead nowhere."""
        self._listener.close()


REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: 127.0.0.1:5000}}
{auth}
"""


@pytest.fixture
def registry(boot, tmp_path):
    """An engine with a registry on its machine that asks for a password, and how to end it."""
    need(("docker-registry", "htpasswd"), ("docker-registry", "apache2-utils"))
    engine = boot()
    users = subprocess.run(["htpasswd", "-Bbn", "-C", "5", "u", "p"], capture_output=True)
    (tmp_path / "users").write_bytes(users.stdout)
    auth = f"auth: {{htpasswd: {{realm: r, path: {tmp_path}/users}}}}"
    config = tmp_path / "registry.yml"
    config.write_text(REGISTRY.format(folder=tmp_path, auth=auth))
    command = engine.entering("docker-registry", "serve", str(config))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    name = "127.0.0.1:5000/team/app:1"
    with engine.client() as client:
        client.api.tag(IMAGE, *name.rsplit(":", 1))
        for _ in range(100):
            lines = list(
                client.api.push(
                    name,
                    stream=True,
                    decode=True,
                    auth_config={"username": "u", "password": "p"},
                )
            )
            if not any("error" in line for line in lines):
                break
            time.sleep(0.05)
        client.api.remove_image(name)
    yield engine, name, process
    kill_inside(process)


def test_a_private_registry_wants_the_password_that_the_engines_file_names(
    registry, play, monkeypatch
):
    engine, name, _ = registry
    monkeypatch.setenv("REGISTRY_PASSWORD", "p")
    job = registration("job", {**container(command="exit 0"), "image": name})
    refused = play(settings([engine]), job, run_task("job"))
    refused.until(refused.stopped(0))
    assert refused.why(0)[0] is FAILED
    assert refused.why(0)[1].startswith("CannotPullContainerError: ")
    assert "no basic auth credentials" in refused.why(0)[1]
    secret = {"127.0.0.1:5000": {"username": "u", "password_env": "REGISTRY_PASSWORD"}}
    allowed = play(settings([engine], registry=secret), job, run_task("job"))
    allowed.until(allowed.stopped(0))
    assert allowed.why(0)[0] is StopCode.ESSENTIAL_CONTAINER_EXITED


def test_a_registry_that_is_down_is_named_and_a_cached_image_will_do(registry, play):
    engine, name, process = registry
    kill_inside(process)
    absent = registration("absent", {**container(command="exit 0"), "image": name})
    there = registration("there", container(command="exit 0"))
    rig = play(
        settings([engine], pull="default"),
        absent,
        there,
        run_task("absent", request=0),
        run_task("there", request=1),
    )
    rig.until(rig.stopped(0)).until(rig.stopped(1), 90)
    assert rig.why(0)[0] is FAILED
    assert "connection refused" in rig.why(0)[1]
    assert rig.why(1)[0] is StopCode.ESSENTIAL_CONTAINER_EXITED


def test_a_container_with_our_name_that_is_not_ours_is_left_alone(boot, play):
    engine = boot()
    rig = play(settings([engine]), registration("job", container()), run_task("job", at_ms=1500))
    rig.until(lambda: rig.events(m.InstanceRegistered))
    with engine.client() as client:
        foreign = client.api.create_container(IMAGE, "true", name=f"stowplan-{rig.cluster}-0-c")
        rig.until(rig.stopped(0))
        assert "already in use" in rig.why(0)[1]
        assert client.api.inspect_container(foreign["Id"])["State"]["Status"] == "created"
