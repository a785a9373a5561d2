"""`NUMBA_DISABLE_JIT=1`: the same answers without machine code, of every goal and of placements."""

import json
import os
import subprocess
import sys

CODE = """
import json

import stowplan as sp
from stowplan.placement.optimal.optimize import GOALS

scenario = sp.scenario(
    sp.cluster({"m5.large": 2}),
    duration="2m",
    task_definitions={
        "web": sp.task_definition("web", cpu=256, memory=512, ports=[80]),
        "job": sp.task_definition("job", cpu=128, memory=256),
    },
    service=[{"name": "web", "task_definition": "web", "desired_count": 2}],
    workload=[
        {
            "name": "jobs",
            "task_definition": "job",
            "kind": "burst",
            "options": {"count": 3, "at": ["10s", "50s"], "run": {"mean": "30s"}},
        }
    ],
)
found = {
    goal: [best.status, best.objective, best.lower_bound]
    for goal in (*GOALS, "repack")
    for best in [sp.optimize(scenario, goal, time_limit=60)]
}
packed = sp.pack([[3, 1], [2, 2], [1, 3]], [5, 5], counts=[4, 3, 4])
found["pack"] = [packed.status, packed.bins, packed.lower_bound]
tasks = sp.tasks(cpu=256, memory=256, count=12)
chains = ["default", "binpack:memory", "fgd", "dot_product", "stow_gpu"]
placed = sp.place(tasks, sp.cluster({"m5.large": 3}), strategies=chains)
found["placed"] = placed.placements["instance"].tolist()
run = sp.simulate(scenario, "optimal")
found["run"] = [bool(sp.verify(run)), run.metrics["started"]]
print(json.dumps(found))
"""


def answers(**environment):
    command = [sys.executable, "-c", CODE]
    run = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_without_machine_code_every_answer_is_the_same():
    slow = answers(NUMBA_DISABLE_JIT="1")
    assert slow == answers()
    goals = {"fleet", "instances", "placement", "hours", "repack"}
    assert goals <= slow.keys()
    assert all(slow[goal][0] == "optimal" for goal in goals | {"pack"})
    assert slow["run"][0]
