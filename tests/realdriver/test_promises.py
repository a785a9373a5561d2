"""What an engine says of itself, and which limits and ports it can therefore not promise.

Docker 20.10 and Podman 4.3 answered `/info` so when we ran them. Docker Desktop, rootless and
systemd engines could not be run: their answers are written after these, not recorded.
"""

from __future__ import annotations

import json

import pytest

from stowplan.experiments.cli.main import main
from stowplan.placement.taskdef.parse import parse_task_definition
from stowplan.realdriver.docker.promises import broken_promises
from stowplan.realdriver.docker.reach import facts_of
from tests.realdriver.rig import container

LIMITS = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True}
HERE = LIMITS | {
    "NCPU": 2,
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "1",
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "Architecture": "x86_64",
    "SecurityOptions": ["name=seccomp,profile=default"],
}
PODMAN = HERE | {"BuildahVersion": "1.28.2", "Architecture": "amd64", "OperatingSystem": "debian"}
SYSTEMD = HERE | {
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"],
}
ROOTLESS = SYSTEMD | {
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
}
ROOTLESS_V1 = HERE | {
    "CgroupDriver": "none",
    "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"],
}
DESKTOP = HERE | {
    "OperatingSystem": "Docker Desktop",
    "CgroupDriver": "cgroupfs",
    "CgroupVersion": "2",
    "Architecture": "aarch64",
    "SecurityOptions": ["name=seccomp,profile=unconfined", "name=cgroupns"],
}


def definition(*containers, **fields):
    """A definition called app:1."""
    listed = list(containers or (container(),))
    return parse_task_definition({"family": "app", "containerDefinitions": listed, **fields})


PAIR = definition(container("a"), container("b"), cpu="512", memory="256")
LOW = definition(container(portMappings=[{"containerPort": 80, "hostPort": 80}]))
HOST = definition(container(), networkMode="host")


@pytest.mark.parametrize(
    ("info", "url", "address", "asked", "said"),
    [
        (HERE, "unix://x", "", PAIR, []),
        (PODMAN, "unix://x", "", PAIR, []),
        (SYSTEMD, "unix://x", "", PAIR, ["set on each of its 2 containers", "cgroup v2, systemd"]),
        (SYSTEMD, "unix://x", "", definition(memory="64"), []),
        (ROOTLESS, "unix://x", "", LOW, ["host port 80: a rootless engine"]),
        (ROOTLESS, "unix://x", "", HOST, ["of the rootless engine's namespace"]),
        (ROOTLESS_V1, "unix://x", "", PAIR, ["its cpu limit does not hold", "its memory limit"]),
        (DESKTOP, "unix://x", "127.0.1.2", LOW, ["127.0.1.2, which Docker Desktop may not have"]),
        (DESKTOP, "unix://x", "", HOST, ["Docker Desktop's virtual machine"]),
        (HERE, "ssh://me@far", "127.0.1.1", LOW, ["127.0.1.1 of the engine's machine"]),
        (HERE, "unix://x", "127.0.1.1", LOW, []),
        (HERE | {"CpuCfsQuota": False}, "unix://x", "", PAIR, ["limits no cpu"]),
    ],
)
def test_what_an_engine_cannot_promise_is_named(info, url, address, asked, said):
    found = broken_promises(facts_of(info), url, [address], [asked, asked])
    assert bool(found) == bool(said)
    for words in said:
        assert any(words in each and each.startswith("app:1: ") for each in found), found


def test_what_engines_say_of_themselves():
    assert [facts_of(each).nests for each in (HERE, PODMAN, SYSTEMD, DESKTOP)] == [
        *(True, True, False, False)
    ]
    assert [facts_of(each).rootless for each in (HERE, ROOTLESS, ROOTLESS_V1)] == [
        *(False, True, True)
    ]
    assert facts_of(DESKTOP).desktop
    assert facts_of(PODMAN).podman
    assert facts_of({}).limits == ("memory", "cpu", "swap")


def test_check_asks_the_engines(shared, tmp_path, capsys):
    document = {
        "family": "app",
        "containerDefinitions": [container(credentialSpecs=["credentialspec:x"])],
    }
    (tmp_path / "app.json").write_text(json.dumps(document))
    (tmp_path / "s.toml").write_text(
        'name = "s"\nduration = "9s"\n[[fleet]]\nname = "f"\ninstance_type = "m5.large"\n'
        'count = 1\nzones = ["a"]\n[task_definitions]\napp = "app.json"\n'
        '[[service]]\nname = "app"\ntask_definition = "app"\ndesired_count = 1\n'
    )
    (tmp_path / "e.toml").write_text(
        f'silence = "1s"\n[[engine]]\nurl = "{shared.url}"\n[[engine]]\nurl = "unix:///nobody"\n'
    )
    assert main(["check", str(tmp_path / "s.toml"), "--engines", str(tmp_path / "e.toml")]) == 0
    said = capsys.readouterr().out
    assert "app:1 will not start: containerDefinitions[].credentialSpecs[]: no Active" in said
    assert "engine unix:///nobody: not asked: " in said
