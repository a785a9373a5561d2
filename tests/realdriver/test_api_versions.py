"""Engines of other releases: newer ones that refuse old clients, older ones that refuse new."""

from __future__ import annotations

import time

import pytest

from stowplan.experiments.loading.engines_file import load_engines
from stowplan.placement import messages as m
from stowplan.realdriver.docker.backend import DockerBackend
from stowplan.realdriver.docker.leftovers import leftovers
from stowplan.realdriver.docker.reach import spoken
from tests.realdriver.proxy import Proxy
from tests.realdriver.rig import Rig, container, registration, run_task, service, settings


@pytest.mark.parametrize(
    ("newest", "oldest", "speaks"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.52", "1.44", "1.47"),
        ("1.60", "1.55", "1.55"),
        ("1.30", "1.12", "1.30"),
    ],
)
def test_the_newest_version_that_both_know_is_spoken(newest, oldest, speaks):
    assert spoken(newest, oldest) == speaks


@pytest.mark.parametrize(
    ("oldest", "newest", "speaks"),
    [("1.44", "1.52", "1.47"), ("1.24", "1.40", "1.40"), ("1.53", "1.55", "1.53")],
    ids=["docker-29", "docker-19", "docker-of-tomorrow"],
)
def test_a_run_on_an_engine_of_another_release(shared, tmp_path, oldest, newest, speaks):
    proxy = Proxy(tmp_path, shared.url, oldest, newest)
    table = settings([proxy], silence="4s")
    web = registration("web", container(command="trap 'exit 0' TERM; sleep 1000 & wait"))
    rig = Rig(table, [web, service("web", 1), *[run_task("web", request=1)]])
    try:
        rig.until(rig.runs(2)).go_on(0.5)
        began = time.monotonic()
        with shared.client() as client:
            client.api.kill(f"stowplan-{rig.cluster}-0-c")
        rig.until(rig.stopped(0))
        assert time.monotonic() - began < 3, "by an event"
        rig.callers.submit(m.StopTask((1,)))
        rig.until(rig.stopped(1))
        assert rig.events(m.AgentConnectionChanged) == []
        seen = DockerBackend(table).look(rig.cluster, rig.cluster)
        assert seen.silent == ()
        rig.check()
    finally:
        rig.close()
        leftovers(table, rig.cluster, None).remove()
        proxy.close()
    assert proxy.asked == {speaks}


def test_the_engine_of_the_docker_commands_context_is_taken(tmp_path, monkeypatch):
    import json
    from hashlib import sha256

    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def context(name: str, host: str) -> None:
        folder = tmp_path / "contexts" / "meta" / sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}
        (folder / "meta.json").write_text(json.dumps(meta))

    context("far", "ssh://me@far.example.com")
    context("near", "unix:///run/user/1000/docker.sock")
    assert load_engines(None).engine[0].url == "unix:///var/run/docker.sock"
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "near"}))
    assert load_engines(None).engine[0].url == "unix:///run/user/1000/docker.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert load_engines(None).engine[0].url == "ssh://me@far.example.com"
    monkeypatch.setenv("DOCKER_HOST", "unix:///this.sock")
    assert load_engines(None).engine[0].url == "unix:///this.sock", "as the docker command has it"
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "nowhere")
    with pytest.raises(Exception, match="nowhere"):
        load_engines(None)
