"""The smallest change of each kind that CONTRIBUTING tells of, and what shows that it works.

A change is edits and a script, which runs where stowplan is the changed copy, in an empty folder.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.newcomer.scratch import Edit

REFERENCE = "experiments/scenarios/REFERENCE.md"

# What many scripts begin with: a scenario that takes a moment, and the command line.
COMMON = """
import io, json, sys
from contextlib import redirect_stdout
from pathlib import Path
from stowplan.experiments.cli.main import main
from stowplan.experiments.loading.load import load_scenario
from stowplan.experiments.record.recorder import Recorder
from stowplan.experiments.runs.audit import stated_by_class
from stowplan.experiments.runs.simulate import drive, world
from stowplan.placement.audit.checkers import check_rounds

SCENARIO = '''
name = "tiny"
duration = "1m"
{top}
[task_definitions]
app = "app.json"
[[fleet]]
name = "f"
instance_type = "m5.large"
count = 3
zones = ["a", "b"]
[[service]]
name = "web"
task_definition = "app"
desired_count = 3
{service}
{rest}
[strategies]
{strategies}
'''
APP = {"family": "app", "containerDefinitions": [
    {"name": "c", "image": "i", "cpu": 256, "memory": 256}]}

def scenario(top="", service="", rest="", strategies='one = "default"'):
    Path("app.json").write_text(json.dumps(APP))
    text = SCENARIO.format(top=top, service=service, rest=rest, strategies=strategies)
    Path("s.toml").write_text(text)

def stowplan(*arguments):
    out = io.StringIO()
    with redirect_stdout(out):
        code = main([str(each) for each in arguments])
    assert not code, (code, out.getvalue())
    return out.getvalue()

def simulate():
    loaded = load_scenario(Path("s.toml"))
    (run,) = loaded.scenario.runs()
    rounds, recorder = [], Recorder()
    scheduler, world_ = world(loaded, run, 60_000)
    drive(loaded, run, scheduler, world_, rounds.append)
    assert check_rounds(rounds, stated=stated_by_class) == []
    for entry in rounds:
        recorder(entry)
    recorder.finish(60_000)
    return recorder
"""


class Change(NamedTuple):
    """`tests`: those of the project that find what is new, in the copy: (file, what names it)."""

    edits: tuple[Edit, ...]
    script: str
    tests: tuple[tuple[str, str], ...] = ()


STRATEGY = Change(
    (
        Edit(
            "placement/strategies/quietest.py",
            '''"""`quietest`: the instance with fewest tasks of all groups."""

from __future__ import annotations

from typing import Any

from numpy.random import Generator
from numpy.typing import NDArray

from stowplan.placement.cluster.cluster import Cluster, IntArray
from stowplan.placement.model import TaskKind


class Quietest:
    """Source: ours, for a newcomer."""

    def __init__(self, field: str | None = None) -> None:
        """Raises ValueError: it takes no field."""
        if field is not None:
            raise ValueError("quietest takes no field")

    def keys(
        self, task: TaskKind, cluster: Cluster, candidates: IntArray, rng: Generator
    ) -> NDArray[Any]:
        """Tasks on each candidate."""
        return cluster.running_tasks_count[candidates]
''',
        ),
        Edit(
            "placement/strategies/__init__.py",
            "from stowplan.placement.strategies.quietest import Quietest\n",
            "from stowplan.placement.strategies.protocol import Strategy, StrategyFactory\n",
        ),
        Edit(
            "placement/strategies/__init__.py",
            '    "quietest": Quietest,\n',
            '    "nilas": Nilas,\n',
        ),
        Edit(
            REFERENCE,
            "| `quietest` | fewest tasks of any group |\n",
            "| `first_fit` | the instance that registered first |\n",
        ),
    ),
    """
from stowplan.placement.strategies import STRATEGIES
from stowplan.testing import check_strategy
check_strategy(STRATEGIES["quietest"])
scenario(strategies='mine = "quietest"')
assert simulate().totals.running == 3
""",
    (
        ("tests/contract/test_strategies.py", "quietest"),
        ("tests/experiments/loading/test_reference.py", "strategies_kinds"),
    ),
)

CONSTRAINT = Change(
    (
        Edit(
            "placement/constraints.py",
            '''class AtMostThree(Constraint):
    """At most three tasks of a group on an instance."""

    most = 3

    def __init__(self, expression: str | None = None) -> None:
        """Raises ValueError: atMostThree takes no expression."""
        if expression:
            raise ValueError("atMostThree takes no expression")


# A factory takes the expression; it raises''',
            "# A factory takes the expression; it raises",
            instead=True,
        ),
        Edit(
            "placement/constraints.py",
            '    "atMostThree": AtMostThree,\n',
            '    "maxPerInstance": MaxPerInstance,\n',
        ),
        Edit(
            REFERENCE,
            '`"distinctInstance"`, `"atMostThree"`, `"maxPerInstance: 2"`, or',
            '`"distinctInstance"`, `"maxPerInstance: 2"`, or',
            instead=True,
        ),
    ),
    """
from stowplan.placement.constraints import CONSTRAINTS
from stowplan.testing import check_constraint
check_constraint(CONSTRAINTS["atMostThree"])
scenario(service='constraints = ["atMostThree"]', strategies='pack = "binpack:cpu"')
simulate()
answer = json.loads(stowplan("optimize", "s.toml", "--goal", "instances", "--json"))
assert answer["objective"] == 1, answer
text = Path("s.toml").read_text()
Path("s.toml").write_text(text.replace("desired_count = 3", "desired_count = 4"))
answer = json.loads(stowplan("optimize", "s.toml", "--goal", "instances", "--json"))
assert answer["objective"] == 2, answer
""",
    (("tests/contract/test_constraints.py", "atMostThree"),),
)

TRACE = Change(
    (
        Edit(
            "experiments/workloads/plain.py",
            '''"""A trace of two columns, `at_s` and `run_s`: a job a row."""

from __future__ import annotations

from collections.abc import Iterator

from numpy.random import Generator

from stowplan.experiments.workloads.protocol import Job, NoOptions
from stowplan.experiments.workloads.rows import number, read_jobs, trace_file
from stowplan.placement.scenario.scenario import WorkloadTable


class Plain:
    """Reads a trace whole."""

    options = NoOptions

    def __init__(self, table: WorkloadTable) -> None:
        """Raises SpecError for a bad row, OSError where there is no file."""
        NoOptions(**table.options)
        path = trace_file("plain", table.file)
        self._jobs = read_jobs(path, ("at_s", "run_s"), _job, table.until)

    def jobs(self, rng: Generator) -> Iterator[Job]:
        """The jobs by time; nothing is drawn."""
        return iter(self._jobs)


def _job(row: dict[str, str]) -> Job:
    at_s, run_s = (number(name, row[name]) for name in ("at_s", "run_s"))
    return Job(round(at_s * 1000), 1, round(run_s * 1000))
''',
        ),
        Edit(
            "experiments/workloads/__init__.py",
            "from stowplan.experiments.workloads.plain import Plain\n",
            "from stowplan.experiments.workloads.openb import OpenbPods\n",
        ),
        Edit(
            "experiments/workloads/__init__.py",
            '    "plain": Plain,\n',
            '    "openb_pods": OpenbPods,\n',
        ),
        Edit(
            REFERENCE,
            '#### `kind = "plain"`\n\nA row a job: `at_s` and `run_s`. No options.\n\n'
            '#### `kind = "swf"`\n',
            '#### `kind = "swf"`\n',
            instead=True,
        ),
        Edit(
            "tests/experiments/workloads/made_traces.py",
            '    "plain": Sample({}, {"p.csv": "at_s,run_s\\n1,2\\n3,4\\n5,6\\n"}, "soon,1", '
            '"not a number"),\n    "swf": Sample(',
            '    "swf": Sample(',
            instead=True,
        ),
    ),
    """
scenario(rest='''
[[workload]]
name = "jobs"
task_definition = "app"
kind = "plain"
file = "p.csv"
''')
Path("p.csv").write_text("at_s,run_s\\n1,2\\n3,4\\n")
assert simulate().submitted == 2
""",
    (
        ("tests/contract/test_workloads.py", "plain or sample_of_every"),
        ("tests/experiments/loading/test_reference.py", "plain"),
    ),
)

FIELD = Change(
    (
        Edit(
            "realdriver/docker/members.py",
            '    **_rows("carried out", _ENGINE, _of("", "credentialSpecs[]")),\n',
            '    **_rows("refused", "no Active Directory is joined", '
            '_of("", "credentialSpecs[]")),\n',
            instead=True,
        ),
        Edit(
            "realdriver/docker/translate.py",
            '        "SecurityOpt": [*raw.get("dockerSecurityOptions", ()), '
            '*raw.get("credentialSpecs", ())],\n',
            '        "SecurityOpt": raw.get("dockerSecurityOptions"),\n',
            instead=True,
        ),
        Edit(
            "tests/realdriver/test_translate.py",
            """

def test_the_specs_of_credentials_go_to_the_engine():
    assert host_of(container(credentialSpecs=["a"]))["SecurityOpt"] == ["a"]
    assert "SecurityOpt" not in host_of(container())
""",
            '    return call_of(definition, **more)["HostConfig"]\n',
        ),
    ),
    "",
    (("tests/realdriver/test_translate.py", "specs_of_credentials or becomes"),),
)

METRIC = Change(
    (
        Edit(
            "experiments/record/metrics.py",
            """    "instances_gone": Metric(
        lambda r: sum((i.until_ms or 0) < r.now_ms for i in r.instances),
        "",
        "less",
        "and went before the end",
    ),
    "instances_mean": Metric(""",
            '    "instances_mean": Metric(',
            instead=True,
        ),
        Edit(
            "placement/audit/figures_machines.py",
            '            "instances_gone": sum(x.there.since_ms is None for x in machines),\n',
            '            "instances_used": sum(x.used for x in machines),\n',
        ),
        Edit(
            "experiments/report/formats.py",
            '    Column("instances_gone", "went", "went for good", count),\n',
            '    Column("instances_busy_mean", "busy", "busy, mean", tenths),\n',
        ),
    ),
    """
from stowplan.experiments.record.metrics import METRICS
from stowplan.experiments.record.results import load_results
from stowplan.testing import check_metric
check_metric(METRICS["instances_gone"], "instances_gone")
scenario(rest='''
[[faults.loss]]
kind = "zone-loss"
zone = "a"
at = "30s"
detect = "1s"
''')
console = stowplan("simulate", "s.toml", "--out", "out", "--jobs", 1, "--ties", "set")
(heading,) = [line.split() for line in console.splitlines() if line.startswith("strategy")][:1]
(row,) = [line.split() for line in console.splitlines() if line.startswith("one ")][:1]
assert row[heading.index("went")] == "2", console
report = Path("out/report.html").read_text()
assert "went for good" in report
assert load_results("out").results["instances_gone"].tolist() == [2.0]
""",
    (("tests/experiments/record/test_figures.py", "instances_gone or worked_out_twice"),),
)

SERVICE = """
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.model import TaskStatus
from stowplan.placement.scheduler.scheduler import Scheduler

scheduler, rounds = Scheduler(), []
def turn(now_ms, *events):
    for event in events:
        scheduler.receive(event)
    rounds.append(m.Round(now_ms, events, scheduler.decide(now_ms)))
    return [t for c in rounds[-1].commands if isinstance(c, m.StopTasks) for t in c.tasks]
def document():
    container = {"name": "c", "image": "i", "cpu": 256, "memory": 256}
    return m.RegisterTaskDefinition({"family": "app", "containerDefinitions": [container]})
def running(*tasks):
    return m.TasksChanged(TaskStatus.RUNNING, tasks)
sizes = {"CPU": 4096, "MEMORY": 4096}
turn(0, document(), m.InstanceRegistered(0, "i-0", sizes, {}),
     m.CreateService("web", "app", 3, minimum_healthy_percent=60))
turn(1000, running(0, 1, 2))
turn(90_000)
"""

SCALE_IN = Change(
    (
        Edit(
            "placement/scheduler/services/scale_in.py",
            "        task = placed.pop(0)  # the oldest\n",
            "        rows = [tasks.instance[task] for task in placed]\n"
            "        task = placed.pop("
            "engine.scale_in((of or service.primary).launch.kind, rows))\n",
            instead=True,
        ),
    ),
    SERVICE
    + """
assert turn(91_000, m.UpdateService("web", 1)) == [0, 1]  # by the chain in reverse: 2, 1
assert check_rounds(rounds) == []
scenario(service='scale = [{ at = "30s", desired_count = 1 }]')
simulate()
""",
)

ROLLING = Change(
    (
        Edit(
            "placement/scheduler/services/deployments.py",
            "        among_draining = [t for t in self.draining if t in among]\n"
            "        candidates = dict.fromkeys([*sick, *among_draining, *old[::-1]])\n",
            "        candidates = dict.fromkeys("
            "[*sick, *(t for t in self.draining if t in among), *old])\n",
            instead=True,
        ),
    ),
    SERVICE
    + """
assert turn(91_000, document(), m.UpdateService("web", task_definition="app")) == [2]
assert check_rounds(rounds) == []
scenario(service='deploy = [{ at = "30s", task_definition = "app" }]')
simulate()
""",
)

DRIVER = Change(
    (
        Edit(
            "realdriver/memory/driver.py",
            '''"""A driver without a backend: tasks run as soon as they are started."""

from __future__ import annotations

from stowplan.placement import messages as m
from stowplan.placement.model import TaskStatus
from stowplan.realdriver.book import Book


class MemoryDriver:
    """Plays one instance."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._book = Book()
        resources = {"CPU": 4096, "MEMORY": 4096}
        self._events: list[m.Event] = [m.InstanceRegistered(0, "i-0", resources, {})]
        self._draining: list[tuple[int, m.Event]] = []

    def now_ms(self) -> int:
        """The time of the last deadline."""
        return self._now_ms

    def register(self, call: m.RegisterTaskDefinition) -> None:
        """A task definition becomes known."""
        self._book.event(call)

    def execute(self, command: m.Command) -> None:
        """Tasks start at once, and stop as soon as they may."""
        before = {task for task, entry in self._book.tasks.items() if entry.stop is None}
        self._book.command(command)
        if isinstance(command, m.StartTasks):
            new = tuple(task for task in command.tasks if task in self._book.tasks.keys() - before)
            self._events += [m.TasksChanged(TaskStatus.RUNNING, new)] if new else []
        elif isinstance(command, m.StopTasks):
            for task in command.tasks:
                if task in before:
                    why = command.stop_code, command.reason
                    stopped = m.TasksChanged(TaskStatus.STOPPED, (task,), *why)
                    self._draining.append((command.not_before_ms or 0, stopped))

    def wait(self, deadline_ms: int | None) -> list[m.Event] | None:
        """What happened since; nothing happens by itself but the ends of draining."""
        at_ms = min((at for at, _ in self._draining), default=None)
        if not self._events and at_ms is not None and (deadline_ms is None or at_ms <= deadline_ms):
            self._now_ms = max(self._now_ms, at_ms)
        self._events += [event for at, event in self._draining if at <= self._now_ms]
        self._draining = [each for each in self._draining if each[0] > self._now_ms]
        if self._events:
            events, self._events = self._events, []
            for event in events:
                self._book.event(event)
            return events
        if deadline_ms is None:
            return None
        self._now_ms = max(self._now_ms, deadline_ms)
        return []

    def close(self) -> None:
        """Nothing to let go of."""
''',
        ),
        Edit("realdriver/memory/__init__.py", '"""A driver without a backend."""\n'),
        Edit(
            "tests/test_tidy.py",
            '        ("docker", "ec2", "memory"),\n',
            '        ("docker", "ec2"),\n',
            instead=True,
        ),
        Edit(
            "DESIGN.md",
            "              3  docker  ec2  memory\n",
            "              3  docker  ec2\n",
            instead=True,
        ),
        Edit(
            "pyproject.toml",
            '    "stowplan.realdriver.memory",\n',
            '    "stowplan.realdriver.docker",\n',
        ),
    ),
    """
from stowplan.placement import messages as m
from stowplan.placement.audit.checkers import check_rounds
from stowplan.placement.callers.callers import Callers
from stowplan.placement.loop import Attended, run_loop
from stowplan.placement.scheduler.scheduler import Scheduler
from stowplan.realdriver.memory.driver import MemoryDriver
from stowplan.testing import check_driver
container = {"name": "c", "image": "i", "cpu": 256, "memory": 256}
document = {"family": "app", "containerDefinitions": [container]}
check_driver(MemoryDriver, definition=document)
rounds, scheduler, callers = [], Scheduler(), Callers()
callers.submit(m.RegisterTaskDefinition(document))
callers.submit(m.CreateService("web", "app", 3))
run_loop(scheduler, Attended(MemoryDriver(), callers), rounds.append)
assert check_rounds(rounds) == []
assert len(list(scheduler.tasks.living())) == 3
""",
)

OPERATION = Change(
    (
        Edit(
            "placement/wire/clusters.py",
            '''

def describe_gateway(host: Host, params: Params) -> Document:
    """DescribeGateway, as an example: no cluster has one."""
    raise WireError("GatewayNotFoundException", f"no gateway is called {params['gatewayArn']}")
''',
            '["TAGS", "SETTINGS", "CONFIGURATIONS"])}\n',
        ),
        Edit(
            "placement/wire/front.py",
            '    "DescribeGateway": clusters.describe_gateway,\n',
            '    "DescribeContainerInstances": instances.describe_container_instances,\n',
        ),
    ),
    """
from stowplan.placement.errors import PlacementError
from stowplan.placement.wire.front import CARRIED_OUT
try:
    CARRIED_OUT["DescribeGateway"](None, {"gatewayArn": "mine"})
except PlacementError as error:
    assert "mine" in str(error)
else:
    raise AssertionError
""",
)

GOAL = Change(
    (
        Edit(
            "placement/optimal/one_type.py",
            '''"""The goal `uniform`: as `instances`, by another name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stowplan.placement.callers.client import Arrival
from stowplan.placement.optimal.answer import Answer
from stowplan.placement.optimal.buy import fewest_instances
from stowplan.placement.packing.problem import Limits, ProgressCallback
from stowplan.placement.scenario.scenario import Scenario


def uniform(
    scenario: Scenario,
    calls: Sequence[Arrival],
    limits: Limits,
    progress: ProgressCallback | None = None,
) -> Answer[Any]:
    """The plan of `fewest_instances`, by another name."""
    return replace(fewest_instances(scenario, calls, limits, progress), goal="uniform")
''',
        ),
        Edit(
            "placement/optimal/optimize.py",
            """    "uniform": (
        "stowplan.placement.optimal.one_type",
        "uniform",
        "fewest instances, by another name",
    ),
    "placement": (""",
            '    "placement": (',
            instead=True,
        ),
        Edit(
            "placement/optimal/keys.py",
            'LIKE: Mapping[str, str] = {"uniform": "instances"}\n',
            "LIKE: Mapping[str, str] = {}\n",
            instead=True,
        ),
    ),
    """
from stowplan.placement.optimal.one_type import uniform
from stowplan.testing import check_goal
check_goal(uniform)
scenario()
answer = json.loads(stowplan("optimize", "s.toml", "--goal", "uniform", "--json",
                             "--instance-type", "m5.xlarge"))
assert (answer["goal"], answer["status"], answer["objective"]) == ("uniform", "optimal", 1)
assert answer["trial"]["ecs_reaches_it"] is True
text = stowplan("optimize", "s.toml", "--goal", "uniform", "--out", "plan")
assert text.startswith("uniform: 1 instance"), text
assert Path("plan/progress.svg").exists()
""",
    (("tests/experiments/loading/test_optimize_keys.py", "goals_of_the_table"),),
)

# By the words of the row in CONTRIBUTING.
CHANGES = {
    "a strategy": STRATEGY,
    "a constraint type": CONSTRAINT,
    "a trace format": TRACE,
    "a task-definition field on Docker": FIELD,
    "a metric in the report": METRIC,
    "the scale-in order of a service": SCALE_IN,
    "a driver": DRIVER,
    "an operation of ECS's API": OPERATION,
    "how a rolling deployment picks tasks": ROLLING,
    "a goal of `optimize`": GOAL,
}
