"""What tasks ask of the machine, whose passwords are there, and who may read what is written."""

from __future__ import annotations

import json
import stat

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.runs.permits import (
    check_permits,
    check_variables,
    parse_allowed,
    published_everywhere,
)
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.journal import Header
from stowplan.placement.messages import Round
from stowplan.placement.scheduler.config import SchedulerConfig
from stowplan.realdriver.book import Book
from stowplan.realdriver.clusters import ClusterFolder
from stowplan.realdriver.docker.backend import to_call
from stowplan.realdriver.docker.config import EnginesTable, machines
from stowplan.realdriver.docker.registries import of_registry, registry_of
from stowplan.realdriver.docker.rights import RIGHTS, rights_of
from stowplan.realdriver.journal import DurableJournal
from tests.driving import gone, instance, stopped


def definition(family="app", **fields):
    """A task definition; fields of its container go by `container`."""
    container = {"name": "c", "image": "i", "memory": 64, **fields.pop("container", {})}
    return {"family": family, "containerDefinitions": [container], **fields}


def folder(path):
    return {"volumes": [{"name": "v", "host": {"sourcePath": path}}]}


BOUND = {"driver": "local", "driverOpts": {"type": "none", "o": "ro,bind", "device": "/srv"}}
ASKS = {
    "privileged": {"container": {"privileged": True}},
    "host-network": {"networkMode": "host"},
    "host-pid": {"pidMode": "host"},
    "host-ipc": {"ipcMode": "host"},
    "host-path": folder("/etc"),
    "docker-socket": folder("/var/run/docker.sock"),
    "capabilities": {"container": {"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}},
    "devices": {"container": {"linuxParameters": {"devices": [{"hostPath": "/dev/kvm"}]}}},
}


@pytest.mark.parametrize("right", RIGHTS)
def test_each_right_is_named_with_its_task(right):
    (asked,) = rights_of(definition(**ASKS[right]))
    assert asked.right == right
    assert str(asked).startswith("task definition app ")


def test_what_is_a_container_of_its_own_asks_for_nothing():
    volume = {"volumes": [{"name": "v"}, {"name": "w", "dockerVolumeConfiguration": {}}]}
    dropped = {"linuxParameters": {"capabilities": {"drop": ["ALL"]}}}
    assert list(rights_of(definition(pidMode="task", container=dropped, **volume))) == []
    bound = definition(volumes=[{"name": "v", "dockerVolumeConfiguration": BOUND}])
    assert [each.right for each in rights_of(bound)] == ["host-path"]
    assert [each.right for each in rights_of(definition(**folder("/")))] == ["docker-socket"]


def engines(**fields):
    more = {name: fields.pop(name) for name in ("registry", "secrets") if name in fields}
    return EnginesTable.model_validate({"engine": [{"url": "unix:///x", **fields}], **more})


def test_a_shared_engine_takes_only_what_is_allowed():
    documents = [definition(**ASKS["privileged"]), definition("b", **ASKS["host-pid"])]
    assert len(check_permits(documents, engines(), ())) == 2
    assert check_permits(documents, engines(shared=True), ("privileged", "host-pid")) == []
    with pytest.raises(SpecError) as refused:
        check_permits(documents, engines(shared=True), ("privileged",))
    assert "task definition b sees the machine's processes: host-pid" in str(refused.value)
    assert "app" not in str(refused.value)
    assert parse_allowed(" privileged,host-pid ") == ("privileged", "host-pid")
    with pytest.raises(SpecError, match="--allow root"):
        parse_allowed("root")


def test_passwords_and_secrets_that_are_not_set_are_all_named(monkeypatch):
    monkeypatch.delenv("NOBODY_HAS_THIS", raising=False)
    monkeypatch.setenv("THIS_IS_THERE", "x")
    login = {"docker.io": {"username": "me", "password_env": "NOBODY_HAS_THIS"}}
    table = engines(registry=login, secrets={"db": "NOBODY_HAS_THIS", "key": "THIS_IS_THERE"})
    secrets = [{"name": "A", "valueFrom": "key"}, {"name": "B", "valueFrom": "lost"}]
    with pytest.raises(SpecError) as refused:
        check_variables([definition(container={"secrets": secrets})], table)
    said = str(refused.value)
    assert "registry.docker.io.password_env" in said
    assert "secrets.db" in said
    assert "secret B: 'lost'" in said
    assert "THIS_IS_THERE" not in said


def test_ports_on_every_address_are_said():
    ports = {"portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 90}]}
    documents = {"web": definition(container=ports), "job": definition()}
    sizes = {"cpu": 1024, "memory": 1024}
    assert published_everywhere(documents, machines(engines(**sizes), [])) == ["web (8080, 90)"]
    own = engines(addresses=["127.0.0.1"], **sizes)
    assert published_everywhere(documents, machines(own, [])) == []
    assert published_everywhere(documents, machines(engines(count=2, **sizes), [])) == []


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", "docker.io"),
        ("org/image:1", "docker.io"),
        ("docker.io/org/image", "docker.io"),
        ("localhost/image", "localhost"),
        ("localhost:5000/a/b", "localhost:5000"),
        ("123.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0", "123.dkr.ecr.eu-west-1.amazonaws.com"),
    ],
)
def test_the_registry_of_an_image(image, registry):
    assert registry_of(image) == registry


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "https://index.docker.io/v1/"])
def test_docker_hub_is_known_by_each_of_its_names(name):
    assert of_registry({name: "me"}, "org/image") == "me"
    assert of_registry({name: "me"}, "quay.io/org/image") is None


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_reads_a_journal(tmp_path):
    cluster = ClusterFolder(tmp_path / "state" / "web")
    lock = cluster.lock()
    journal = DurableJournal(cluster.journal)
    journal.begin(Header(SchedulerConfig()))
    journal(Round(0, (), ()))
    files = [path for path in cluster.folder.iterdir() if path.name != "lock"]
    assert {mode(path) for path in files} == {0o600}
    assert (mode(cluster.folder), mode(cluster.folder.parent)) == (0o700, 0o700)
    journal.close()
    cluster.journal.chmod(0o644)  # of an older program
    DurableJournal(cluster.journal).close()
    assert mode(cluster.journal) == 0o600
    assert mode(cluster.retire()) == 0o600
    lock.close()


SCENARIO = """
name = "tiny"
duration = "1s"
[[fleet]]
name = "general"
instance_type = "m5.large"
count = 1
zones = ["a"]
[task_definitions]
web = "web.json"
[[service]]
name = "web"
task_definition = "web"
desired_count = 1
"""


def test_check_and_run_say_it_before_anything_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "web.json").write_text(json.dumps(definition(**ASKS["privileged"])))
    scenario, file = tmp_path / "s.toml", tmp_path / "engines.toml"
    scenario.write_text(SCENARIO)
    file.write_text('[[engine]]\nurl = "unix:///nothing.sock"\nshared = true\n')
    assert main(["check", str(scenario)]) == 0
    assert "runs privileged" in capsys.readouterr().err
    assert main(["check", str(scenario), "--allow", "privileged"]) == 0
    assert "runs privileged" not in capsys.readouterr().err
    for words in (["check", str(scenario)], ["run", str(scenario)]):
        assert main([*words, "--engines", str(file)]) == 2
        assert "is shared: only what --allow names" in capsys.readouterr().err
    assert main(["run", str(scenario), "--engines", str(file), "--allow", "privileged"]) == 2
    assert "no engine answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "url", "called"),
    [
        ("0.0.0.0:8080", "unix:///var/run/docker.sock", "localhost:8080"),
        ("0.0.0.0:8080", "tcp://10.0.0.5:2376", "10.0.0.5:8080"),
        ("[::]:8080", "ssh://me@host.example", "host.example:8080"),
        ("127.0.1.2:80", "unix:///x", "127.0.1.2:80"),
    ],
)
def test_the_address_to_call(where, url, called):
    assert to_call(where, url) == called


def test_a_task_that_ended_is_kept_for_a_while_and_one_that_was_lost_is_not():
    book = Book()
    book.event(instance(0))
    book.command(m.StartTasks("app:1", "family:app", (0, 1), (0, 0), request=0))
    assert book.keeps(0, 0, 0)
    book.event(stopped(0))
    assert book.keeps(0, 1_000, 500)
    assert book.keeps(0, 1_499, 500)
    assert not book.keeps(0, 1_500, 500)
    book.event(gone(0))
    assert not book.keeps(1, 2_000, 500)
