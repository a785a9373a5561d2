"""A sound scenario to change, and the files that it names."""

from pathlib import Path

import pytest
import tomlkit

from stowplan.experiments.loading.load import load_scenario
from stowplan.placement.errors import SpecError

TRACE = ",submit_time,duration,cpu,memory,job_id,task_id,instances_num,disk\n"
STRATEGY = """
class Mine:
    def __init__(self, field="cpu"):
        if field == "refused":
            raise ValueError("refused")
        self.field = field[0]

    def keys(self, task, cluster, candidates, rng):
        return candidates if self.field == "c" else -candidates
"""
# Where things are in it.
M5 = ("fleet", 0)
WEB = ("service", 0)
BATCH = ("workload", 0)
POISSON = {"name": "p", "task_definition": "batch", "kind": "poisson", "until": "1m"}
RATE = {"rate_per_s": 1.0, "run": {"mean": "1s"}}


def container(**fields):
    return {"name": "app", "image": "app:1", "cpu": 256, "memory": 512} | fields


def definition(*containers, family="web", **fields):
    containers = list(containers or [container()])
    return {"family": family, "containerDefinitions": containers} | fields


def sound():
    """A scenario with a bit of everything."""
    batch = {"name": "batch", "task_definition": "batch", "kind": "alibaba_batch"}
    return {
        "name": "test",
        "duration": "1m",
        "task_definitions": {"web": "web.json", "batch": definition(family="batch")},
        "fleet": [
            {
                "name": "general",
                "instance_type": "m5.large",
                "count": 3,
                "zones": ["a", "b"],
                "attributes": {"pool": "web"},
            }
        ],
        "service": [{"name": "web", "task_definition": "web", "desired_count": 1}],
        "workload": [
            batch | {"file": "trace.csv", "options": {"machine_memory_gib": 64.0}},
        ],
        "strategies": {"random": "random"},
        "layouts": {"shared": {}, "parted": {"web": ["attribute:pool == web"]}},
        "faults": {"none": [], "loss": [{"kind": "zone-loss", "zone": "a", "at": "30s"}]},
    }


def load(document, **options):
    Path("test.toml").write_text(tomlkit.dumps(document))
    return load_scenario(Path("test.toml"), **options)


def problems_of(document, **options):
    with pytest.raises(SpecError) as raised:
        load(document, **options)
    return list(raised.value.problems)


def changed(path, value):
    """A sound document in which the value at `path` is another; None takes it out."""
    document = sound()
    *outer, last = path
    target = document
    for key in outer:
        target = target[key]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return document
