"""`stowplan` as a user calls it, in a folder with a scenario and a file of --aws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.clusters import ClusterFolder
from tests.realdriver.ec2.world import KEYS, REGION, World

ROOT = Path(__file__).parents[3]
SCENARIO = """
name = "tiny"
duration = "{seconds}s"
seed = 3
[[fleet]]
name = "general"
instance_type = "m5.large"
count = 3
zones = ["us-east-1a", "us-east-1b"]
[task_definitions]
web = "web.json"
job = "job.json"
[[service]]
name = "web"
task_definition = "web"
desired_count = 4
[[workload]]
name = "jobs"
task_definition = "job"
kind = "poisson"
until = "4s"
options = {{ rate_per_s = 1.5, run = {{ mean = "30s" }} }}
"""
SETTINGS = """
region = "{region}"
look_every = "{look_every}"
settle = "1s"
lease = "60s"
shutdown = "{shutdown}"
{more}
[endpoints]
{endpoints}
"""


@dataclass
class User:
    """Calls `stowplan` as somebody with an account."""

    folder: Path
    world: World

    def __post_init__(self):
        for family in ("web", "job"):
            container = {"name": "c", "image": "app:1", "cpu": 64, "memory": 64}
            document = {"family": family, "containerDefinitions": [container]}
            (self.folder / f"{family}.json").write_text(json.dumps(document))
        self.lasts(8)
        self.settings()

    def lasts(self, seconds):
        """Let the scenario's duration be this."""
        (self.folder / "scenario.toml").write_text(SCENARIO.format(seconds=seconds))

    def settings(self, more="", look_every="200ms", shutdown="20s"):
        """Write the file of --aws."""
        lines = "\n".join(f'{name} = "{url}"' for name, url in self.world.endpoints.items())
        text = SETTINGS.format(
            region=REGION, endpoints=lines, more=more, look_every=look_every, shutdown=shutdown
        )
        (self.folder / "aws.toml").write_text(text)

    def call(self, *words, wait=True, **environ):
        """Run a subcommand; returns it finished, or as it runs."""
        command = [sys.executable, "-m", "stowplan", *words]
        env = {**os.environ, **KEYS, "XDG_STATE_HOME": str(self.folder / "state"), **environ}
        if not wait:
            log = (self.folder / "log").open("a")
            return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
        )

    def run(self, *words, wait=True, **environ):
        """`stowplan run` of the scenario."""
        where = ("--driver", "ec2", "--aws", str(self.folder / "aws.toml"))
        scenario = str(self.folder / "scenario.toml")
        return self.call("run", scenario, *where, *words, wait=wait, **environ)

    @property
    def cluster(self) -> ClusterFolder:
        """The cluster's files."""
        return ClusterFolder(self.folder / "state" / "stowplan" / "tiny")

    def written(self) -> list[m.Round]:
        """What the journal holds."""
        found = self.cluster.read()
        return [] if found is None else found[1]

    def running(self) -> int:
        """How many tasks the journal says run."""
        alive: set[int] = set()
        for entry in self.written():
            for event in entry.events:
                if isinstance(event, m.TasksChanged):
                    running = event.status is TaskStatus.RUNNING
                    (alive.update if running else alive.difference_update)(event.tasks)
        return len(alive)

    def log(self) -> str:
        """What programs that were not waited for have said."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""
