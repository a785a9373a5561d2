"""The cases about inputs: what is read and what is refused, by the commands themselves."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.definition_file import read_definition_file
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.journals import open_journal
from stowplan.placement import messages as m
from stowplan.placement.errors import SpecError
from stowplan.placement.taskdef.parse import host_ports, parse_task_definition, task_resources
from stowplan.realdriver.docker import names
from stowplan.realdriver.docker.placed import Placed
from stowplan.realdriver.docker.translate import create_call
from stowplan.realdriver.docker.volumes import volume_calls
from tests.placement.taskdef.taskdef_builders import FIRST

CASES = Path(__file__).parent


def case(name):
    """The folder of a case by its number."""
    (folder,) = CASES.glob(f"{name}-*")
    return folder


def register(folder, file, *options):
    """Create a cluster and register a file there; what `stowplan` returned."""
    assert main(["create-cluster", str(folder / "c.toml"), "--force"]) == 0
    return main(["register-task-definition", str(folder / "c.toml"), str(file), *options])


def definition(name):
    return parse_task_definition(json.loads((case(name) / "td.json").read_text()), "td.json")


def calls(name):
    task = Placed("c", "r", 1, "i-0", definition(name), address="127.0.0.1")
    return task, [create_call(task, each) for each in task.definition.containers]


@pytest.mark.parametrize(
    ("name", "reserved", "tcp"),
    [
        ("01", {"CPU": 96, "MEMORY": 300, "PORTS": 1}, (8085,)),
        ("02", {"CPU": 512, "MEMORY": 1024, "ENI": 1}, ()),
        ("04", {"MEMORY": 384}, ()),
    ],
)
def test_what_ecs_accepts_is_registered_and_reserves_the_same(name, reserved, tcp, tmp_path):
    file = shutil.copy(case(name) / "td.json", tmp_path)
    assert register(tmp_path, file) == 0
    found = read_definition_file(Path(file)).definition
    assert task_resources(found) == reserved
    assert host_ports(found) == (tcp, ())


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("05", [(f"{FIRST}.mountPoints[0].sourceVolume", "did you mean shared_data?")]),
        ("06", [(f"{FIRST}.environment[0].name", "missing or blank")]),
        ("07", [(f"{FIRST}.hostname", "awsvpc"), (f"{FIRST}.extraHosts", "awsvpc")]),
    ],
)
def test_what_ecs_refuses_is_refused_with_its_place(name, problems, tmp_path, capsys):
    with pytest.raises(SpecError) as raised:
        definition(name)
    assert [place for place, _ in raised.value.problems] == [f"td.json: {at}" for at, _ in problems]
    file = shutil.copy(case(name) / "td.json", tmp_path)
    assert register(tmp_path, file) == 2
    said = capsys.readouterr().err
    assert all(at in said and words in said for at, words in problems)


def test_nulls_are_gone_for_docker_too():
    task, (call,) = calls("01")
    assert not {"Healthcheck", "Hostname"} & call.keys()
    assert call["HostConfig"]["Binds"] == ["stowplan-c-1-cache:/cache"]
    assert "null" not in json.dumps(call)
    assert [each["Name"] for each in volume_calls(task)] == ["stowplan-c-1-cache"]


def test_a_fargate_definition_is_placed_with_a_sentence(tmp_path, capsys):
    register(tmp_path, shutil.copy(case("02") / "td.json", tmp_path))
    assert "validated for Fargate" in capsys.readouterr().out
    text = (tmp_path / "c.toml").read_text() + FLEET
    (tmp_path / "c.toml").write_text(text + SERVICE.replace("NAME", "kiosk"))
    assert main(["check", str(tmp_path / "c.toml")]) == 0
    said = capsys.readouterr().err
    assert "note: task_definitions kiosk: was validated for Fargate" in said


def test_a_note_on_many_definitions_is_said_once(tmp_path):
    names = [f"kiosk{i}" for i in range(7)]
    for name in names:
        shutil.copy(case("02") / "td.json", tmp_path / f"{name}.json")
    tables = "".join(f'{name} = "{name}.json"\n' for name in names)
    text = f'name = "many"\nduration = "1m"\n[task_definitions]\n{tables}{FLEET}'
    (tmp_path / "s.toml").write_text(text)
    size, processor = load_scenario(tmp_path / "s.toml").notes
    assert size.startswith("task_definitions kiosk0, kiosk1, kiosk2, kiosk3, kiosk4 and 2 more: ")
    assert "cpuArchitecture" in processor


FLEET = """
[[fleet]]
name = "plain"
instance_type = "m5.large"
count = 1
zones = ["z1"]
"""
SERVICE = """
[[service]]
name = "NAME"
task_definition = "NAME"
desired_count = 1
"""


def test_a_bare_pattern_is_read_and_chooses_the_instances(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["simulate", str(case("09") / "scenario.toml"), "--out", str(out)]) == 0
    (journal,) = (out / "journals").iterdir()
    with open_journal(journal) as (_, rounds):
        read = list(rounds)
    events = [event for each in read for event in each.events]
    types = {
        event.instance: event.attributes["ecs.instance-type"]
        for event in events
        if isinstance(event, m.InstanceRegistered)
    }
    commands = [command for each in read for command in each.commands]
    started = [each for each in commands if isinstance(each, m.StartTasks)]
    places = [types[number] for each in started for number in each.instances]
    assert places == ["g5.xlarge", "g5.xlarge"]


def test_a_volume_driver_needs_an_instance_that_has_it(tmp_path):
    with pytest.raises(SpecError, match="ATTRIBUTE"):
        load_scenario(case("11") / "scenario.toml")
    text = (case("11") / "scenario.toml").read_text()
    plugin = 'zones = ["z1"]\nattributes = { "ecs.capability.docker-plugin.rexray/ebs" = "" }'
    (tmp_path / "s.toml").write_text(text.replace('zones = ["z1"]', plugin))
    assert load_scenario(tmp_path / "s.toml").scenario.service[0].desired_count == 1


def test_driver_options_reach_docker():
    task, _ = calls("11")
    (made,) = volume_calls(task)
    assert made["Driver"] == "local"
    assert made["DriverOpts"]["device"] == "nas.example.com:/exports/share"


def test_a_task_that_shares_namespaces_has_them_on_docker():
    task, made = calls("12")
    holder = f"container:{task.name(names.PAUSE)}"
    assert task.is_held
    for call in made:
        assert (call["HostConfig"]["PidMode"], call["HostConfig"]["IpcMode"]) == (holder, holder)


@pytest.mark.parametrize(("mode", "suffix"), [("w:gz", ".tar.gz"), ("w", ".tar"), ("w:gz", ".gz")])
def test_an_archive_is_named_at_once(mode, suffix, tmp_path, capsys):
    rows = "".join(
        f"M{i},1,j_{i},1,Terminated,{1000 + i},{1040 + i},100,0.3\n" for i in range(2500)
    ).encode()
    file = tmp_path / f"batch_task{suffix}"
    with tarfile.open(file, mode) as tar:
        info = tarfile.TarInfo("batch_task.csv")
        info.size = len(rows)
        tar.addfile(info, io.BytesIO(rows))
    text = (case("17") / "scenario.toml").read_text().replace("batch_task.tar.gz", file.name)
    (tmp_path / "scenario.toml").write_text(text)
    assert main(["check", str(tmp_path / "scenario.toml")]) == 2
    said = capsys.readouterr().err
    assert f"{file}: is a tar archive; unpack it (tar x" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04rest", "zip"),
        (b"\xfd7zXZ\x00rest", "xz"),
        (b"BZh9rest", "bzip2"),
        (b"\x28\xb5\x2f\xfdrest", "zstd"),
        (b"PAR1rest", "Parquet"),
    ],
)
def test_other_wrappings_are_named_too(content, words, tmp_path, capsys):
    (tmp_path / "batch_task.csv").write_bytes(content)
    text = (case("17") / "scenario.toml").read_text().replace(".tar.gz", ".csv")
    (tmp_path / "scenario.toml").write_text(text)
    assert main(["check", str(tmp_path / "scenario.toml")]) == 2
    assert words in capsys.readouterr().err


def test_a_cutting_stock_file_is_read_and_solved(capsys):
    assert main(["optimize", "--bpp", str(case("18") / "bars.txt")]) == 0
    assert capsys.readouterr().out.startswith("optimal: 33 bins, at least 33 needed")


EVENTS = (
    "0,2,77001,0,501,0,u=,3,9,,,,\r\n600000000,,77002,0,,0,u=,2,1,0.06,0.03,0.001,0\r\n"
    "600500000,,77002,0,502,1,u=,2,1,0.06,0.03,0.001,0\r\n"
    "660500000,,77002,0,502,4,u=,2,1,0.06,0.03,0.001,0\r\n"
)
MARKED = ("utf-8", "utf-8-sig", "utf-16", "utf-32")


@pytest.mark.parametrize("encoding", MARKED)
def test_byte_order_marks_are_read_in_every_file(encoding, tmp_path):
    text = (case("19") / "scenario.toml").read_text()
    (tmp_path / "scenario.toml").write_text(
        text.replace("[task_definitions.job]", '[task_definitions]\njob = "job.json"\n[unused]')
        .replace('[unused]\nfamily = "job"\n', "")
        .replace(text[text.index("containerDefinitions") : text.index("[[workload]]")], ""),
        encoding=encoding,
    )
    job = {"name": "job", "image": "é:1", "cpu": 256, "memory": 256}
    document = {"family": "job", "containerDefinitions": [job]}
    (tmp_path / "job.json").write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
    (tmp_path / "events.csv").write_bytes(EVENTS.encode(encoding))
    assert main(["check", str(tmp_path / "scenario.toml")]) == 0
    loaded = load_scenario(tmp_path / "scenario.toml").scenario
    assert loaded.task_definitions["job"]["containerDefinitions"] == [job]


@pytest.mark.parametrize("encoding", MARKED)
def test_byte_order_marks_in_the_other_files(encoding, tmp_path, capsys):
    cluster = tmp_path / "c.toml"
    assert main(["create-cluster", str(cluster)]) == 0
    cluster.write_text(cluster.read_text(), encoding=encoding)
    file = tmp_path / "td.json"
    file.write_text((case("04") / "td.json").read_text(), encoding=encoding)
    assert main(["register-task-definition", str(cluster), str(file)]) == 0
    assert 'even = "td.json"' in cluster.read_text(encoding="utf-8")
    bars = tmp_path / "bars.txt"
    bars.write_text("2\n10\n5\n5\n", encoding=encoding)
    assert main(["optimize", "--bpp", str(bars)]) == 0


def test_a_bare_list_says_the_way_out(tmp_path, capsys):
    file = shutil.copy(case("20") / "td.json", tmp_path)
    assert register(tmp_path, file) == 2
    assert 'put them in {"family": ..., "containerDefinitions": [...]}' in capsys.readouterr().err
    assert register(tmp_path, file, "--family", "bare") == 0
    cluster = tmp_path / "c.toml"
    cluster.write_text(cluster.read_text() + FLEET + SERVICE.replace("NAME", "bare"))
    assert load_scenario(cluster).scenario.task_definitions["bare"]["family"] == "bare"
