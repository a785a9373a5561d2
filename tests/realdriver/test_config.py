"""Which engine plays which instance."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stowplan.experiments.loading.engines_file import load_engines
from stowplan.placement.errors import SpecError
from stowplan.placement.scenario.scenario import InstanceSpec
from stowplan.realdriver.docker.config import EnginesTable, machines

FLEET = [InstanceSpec(f"i-{n}", 0, {"CPU": 1024}, {"rack": "r"}, 5, None) for n in range(5)]


def table(*engines, **more):
    """An engines file."""
    return EnginesTable.model_validate({"engine": list(engines), **more})


def test_a_fleet_is_dealt_over_engines_and_shared_ones_get_addresses_of_their_own():
    one, two = {"url": "unix:///a"}, {"url": "unix:///b", "zone": "z", "attributes": {"rack": "s"}}
    dealt = machines(table(one, two), FLEET)
    assert [machine.engine for machine in dealt] == [0, 1, 0, 1, 0]
    addresses = [machine.address for machine in dealt]
    assert addresses == ["127.0.1.1", "127.0.1.1", "127.0.1.2", "127.0.1.2", "127.0.1.3"]
    assert dealt[0].spec.attributes == {"rack": "r"}
    assert dealt[1].spec.attributes == {"rack": "s", "ecs.availability-zone": "z"}


def test_engines_with_capacity_are_the_fleet_themselves():
    own = {"url": "tcp://h:2375", "name": "big", "cpu": 4096, "memory": 8192, "count": 2}
    found = machines(table(own), FLEET)
    assert [machine.spec.name for machine in found] == ["big-0", "big-1"]
    assert found[0].spec.resources["CPU"] == 4096
    alone = machines(table({**own, "count": 1}), FLEET)
    assert [(machine.spec.name, machine.address) for machine in alone] == [("big", "")]


@pytest.mark.parametrize(
    ("engines", "what"),
    [
        ([{"url": "http://h"}], "expected one of unix://, tcp://, ssh://"),
        ([{"url": "unix:///a", "cpu": 1}], "given together"),
        ([{"url": "unix:///a", "tls": {"ca": "a", "cert": "b", "key": "c"}}], "tls is for tcp"),
        ([{"url": "unix:///a"}, {"url": "unix:///a"}], "named twice"),
        ([{"url": "unix:///a"}, {"url": "unix:///b", "cpu": 1, "memory": 1}], "every engine"),
    ],
)
def test_what_makes_no_sense_is_refused(engines, what):
    with pytest.raises(ValidationError, match=what):
        table(*engines)


def test_what_is_kept_of_engines_reads_back_as_it_was():
    before = table({"url": "unix:///a"}, lost_after="90s", pull="always")
    after = EnginesTable.model_validate_json(before.model_dump_json())
    assert after == before
    assert after.lost_after == 90_000


def test_a_file_says_all_its_problems_with_their_places(tmp_path):
    file = tmp_path / "engines.toml"
    file.write_text('lost = "1s"\n[[engine]]\nurl = "unix:///a"\ncpu = "x"\n')
    with pytest.raises(SpecError) as caught:
        load_engines(file)
    assert len(caught.value.problems) >= 2
    assert str(file) in str(caught.value)


def test_without_a_file_it_is_the_engine_of_the_docker_command(monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert load_engines(None).engine[0].url == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://h:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/keys")
    engine = load_engines(None).engine[0]
    assert (engine.url, engine.tls.ca) == ("tcp://h:2376", "/keys/ca.pem")


def test_an_address_that_docker_host_cannot_be_is_refused(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "localhost:2375")
    with pytest.raises(SpecError, match=r"DOCKER_HOST: expected one of unix://.*'localhost:2375'"):
        load_engines(None)
