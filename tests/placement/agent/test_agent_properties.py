"""Random tasks on an agent whose container runtime does what it likes: what must hold always.

`World` is the runtime and keeps a record of its own: what was said of every container, what every
task holds. Nothing of the agent's inside is asked, other than what is free at the end.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stowplan.placement.agent import runtime as r
from stowplan.placement.agent.account import InstanceAccount
from stowplan.placement.agent.agent import Agent
from stowplan.placement.agent.container import Container, Phase
from stowplan.placement.agent.settings import AgentConfig
from stowplan.placement.agent.task import AgentTask
from stowplan.placement.model import TaskDefinition
from stowplan.placement.taskdef.parse import task_resources
from tests.placement.agent.rig import HEALTH, container, definition

REGISTERED = {"CPU": 600, "MEMORY": 900}


def random_definition(draw: Random) -> TaskDefinition:
    """One to four containers; those that others wait for may be anywhere in the list."""
    made = []
    for index in range(draw.randint(1, 4)):
        fields = {"essential": draw.random() < 0.5 or index == 0, "cpu": draw.randint(0, 300)}
        if draw.random() < 0.5:
            fields["healthCheck"] = HEALTH
        if draw.random() < 0.3:
            fields["startTimeout"] = draw.randint(0, 3)
        if draw.random() < 0.3:
            fields["restartPolicy"] = {"enabled": True, "restartAttemptPeriod": 60}
        if draw.random() < 0.3:
            port = draw.choice((80, 81))
            fields["portMappings"] = [{"containerPort": 80, "hostPort": port + index * 10}]
        after = {}
        for other in draw.sample(made, min(len(made), draw.randint(0, 2))):
            allowed = ["START"]
            allowed += [] if other["essential"] else ["COMPLETE", "SUCCESS"]
            allowed += ["HEALTHY"] if "healthCheck" in other else []
            after[other["name"]] = draw.choice(allowed)
        made.append(container(f"c{index}", after=after, **fields))
    draw.shuffle(made)
    return definition(*made)


class World:
    """The container runtime and everybody else, at random."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw
        behavior = draw.choice(("default", "always", "once", "prefer-cached"))
        self.upfront = draw.random() < 0.3
        self.agent = Agent(REGISTERED, AgentConfig(behavior, self.upfront, cleanup_wait_ms=1000))
        self.now_ms = 0
        self.definitions: dict[int, TaskDefinition] = {}
        self.line: list[int] = []
        self.begun: set[int] = set()
        self.stopped: set[int] = set()
        self.running: set[int] = set()
        self.asked_to_stop: set[int] = set()
        # What was said of each container last, by whom it is now to be answered, and its past.
        self.todo: dict[tuple[int, str], r.Action] = {}
        self.up: set[tuple[int, str]] = set()
        self.exists: set[tuple[int, str]] = set()
        self.started: set[tuple[int, str]] = set()
        self.healthy: dict[tuple[int, str], bool] = {}
        self.exits: dict[tuple[int, str], int] = {}

    # --- what the agent does ----------------------------------------------------------------------

    def take(self, output) -> None:
        """Check every action and all changes against the record, then note them."""
        gone = {each.task for each in output.changes if isinstance(each, r.TaskStopped)}
        self.line = [task for task in self.line if task not in gone]
        # What ended first makes room for what begins in the same breath.
        for each in output.changes:
            self.tell(each)
        for action in output.actions:
            self.act(action)
        assert self.line == list(self.agent.account.line)
        self.check_room()

    def act(self, action: r.Action) -> None:
        key = (action.task, action.container)
        if isinstance(action, r.RemoveContainer):
            assert key not in self.up
            self.exists.discard(key)
            return
        assert action.task not in self.stopped, "an action of a task that has stopped"
        if action.task not in self.begun:
            self.begin(action.task)
        given_up = isinstance(action, r.StopContainer)
        assert key not in self.todo or given_up, "an action before the last one was answered"
        if isinstance(action, r.StopContainer):
            assert key in self.up or isinstance(self.todo.get(key), r.StartContainer)
            self.check_reversed(action)
        else:
            assert action.task not in self.asked_to_stop, "something new in a task that stops"
            # What held when a container was taken up need not hold on for its later steps.
            if isinstance(action, r.CreateContainer if self.upfront else r.PullImage):
                self.check_conditions(action)
        self.todo[key] = action

    def begin(self, task: int) -> None:
        """A task has its share: none that came before it may still wait for its own."""
        assert self.line[0] == task, "a task overtook the head of the line"
        self.begun.add(task)
        self.line.remove(task)
        held = self.held()
        assert all(held[name] <= REGISTERED[name] for name in REGISTERED), "over-committed"

    def held(self) -> dict[str, int]:
        shares = [task_resources(self.definitions[t]) for t in self.begun - self.stopped]
        return {name: sum(share.get(name, 0) for share in shares) for name in REGISTERED}

    def ports(self, tasks) -> list[int]:
        return [
            port.host_port
            for task in tasks
            for each in self.definitions[task].containers
            for port in each.port_mappings
        ]

    def check_room(self) -> None:
        """Shares balance at any time, no port is taken twice, and the head waits for a reason."""
        holders = self.begun - self.stopped
        held, ports = self.held(), self.ports(holders)
        assert len(ports) == len(set(ports)), "a host port is taken twice"
        assert dict(self.agent.account.free) == {n: REGISTERED[n] - held[n] for n in REGISTERED}
        if self.line:
            wants = task_resources(self.definitions[self.line[0]])
            short = any(held[n] + wants.get(n, 0) > REGISTERED[n] for n in REGISTERED)
            assert short or set(ports) & set(self.ports(self.line[:1])), "the head could start"

    def check_conditions(self, action: r.Action) -> None:
        listed = {each.name: each for each in self.definitions[action.task].containers}
        for each in listed[action.container].depends_on:
            key = (action.task, each.container_name)
            done = key not in self.up and key in self.exits and key not in self.todo
            holds = {
                "START": key in self.started,
                "HEALTHY": key in self.up and self.healthy.get(key) is True,
                "COMPLETE": done,
                "SUCCESS": done and self.exits.get(key) == 0,
            }
            assert holds[each.condition], f"{action} before {each}"

    def check_reversed(self, action: r.StopContainer) -> None:
        key = (action.task, action.container)
        if isinstance(self.todo.get(key), r.StartContainer):
            return  # its start took too long, which is no shutdown yet
        for each in self.definitions[action.task].containers:
            if any(d.container_name == action.container for d in each.depends_on):
                later = (action.task, each.name)
                assert later not in self.up, f"{later} still runs, and needs {key}"

    def tell(self, change: r.StateChange) -> None:
        assert change.task not in self.stopped, "a change of a task that has stopped"
        if isinstance(change, r.TaskRunning):
            assert change.task not in self.running, "RUNNING twice"
            assert change.task in self.begun
            self.running.add(change.task)
            for each in self.definitions[change.task].containers:
                key = (change.task, each.name)
                assert key in self.started or not each.essential
        elif isinstance(change, r.TaskHealth):
            assert change.task in self.running
        else:
            self.stopped.add(change.task)
            assert not any(task == change.task for task, _ in self.up), "a container still runs"
            for end in change.containers:
                key = (change.task, end.container)
                assert end.exit_code == self.exits.get(key)

    # --- what the world does ----------------------------------------------------------------------

    def start(self) -> None:
        task = len(self.definitions)
        self.definitions[task] = random_definition(self.draw)
        demand = task_resources(self.definitions[task])
        if all(demand.get(name, 0) <= REGISTERED[name] for name in REGISTERED):
            self.line.append(task)
        self.take(self.agent.start(task, self.definitions[task], self.now_ms))

    def stop(self, task: int) -> None:
        self.asked_to_stop.add(task)
        self.take(self.agent.stop(task, self.now_ms))

    def repeat(self) -> None:
        """Something that was said before is said again: a start, or a late answer."""
        if self.definitions:
            task = self.draw.choice(list(self.definitions))
            self.take(self.agent.start(task, self.definitions[task], self.now_ms))

    def answer(self, smooth: bool = False) -> None:
        """One of the actions under way comes to an end, well or badly."""
        key = self.draw.choice(list(self.todo))
        action, well = self.todo.pop(key), smooth or self.draw.random() < 0.85
        if isinstance(action, r.PullImage):
            event = r.ImagePulled(*key) if well else r.PullFailed(*key, "no")
        elif isinstance(action, r.CreateContainer):
            event = r.Created(*key) if well else r.CreateFailed(*key, "no")
            self.exists |= {key} if well else set()
        elif isinstance(action, r.StartContainer):
            event = r.Started(*key) if well else r.StartFailed(*key, "no")
            if well:
                self.up.add(key)
                self.started.add(key)
                self.healthy.pop(key, None)
        else:
            self.exit(key)
            return
        self.take(self.agent.observe(event, self.now_ms))

    def exit(self, key: tuple[int, str]) -> None:
        self.up.discard(key)
        self.exits[key] = self.draw.choice((0, 0, 1, 137))
        event = r.Exited(*key, self.exits[key], self.draw.random() < 0.5)
        self.take(self.agent.observe(event, self.now_ms))

    def crash(self) -> None:
        alive = sorted(self.up - self.todo.keys())
        if alive:
            self.exit(self.draw.choice(alive))

    def judge(self) -> None:
        alive = sorted(key for key in self.up if self.has_check(key))
        if alive:
            key = self.draw.choice(alive)
            self.healthy[key] = self.draw.random() < 0.7
            self.take(self.agent.observe(r.HealthChanged(*key, self.healthy[key]), self.now_ms))

    def has_check(self, key: tuple[int, str]) -> bool:
        listed = {each.name: each for each in self.definitions[key[0]].containers}
        return listed[key[1]].health_check is not None

    def wait(self) -> None:
        """Time passes, not always as far as the agent would like."""
        at = self.agent.deadline_ms
        jump = self.draw.randint(0, 70_000)
        self.now_ms = min(self.now_ms + jump, at) if at is not None else self.now_ms + jump
        self.take(self.agent.due(self.now_ms))

    def drop_given_up(self) -> None:
        """A late answer to what the agent has given up finds its task gone."""
        for key in [key for key in self.todo if key[0] in self.stopped]:
            action = self.todo.pop(key)
            if isinstance(action, r.CreateContainer):
                self.exists.add(key)
                self.take(self.agent.observe(r.Created(*key), self.now_ms))
                assert key not in self.exists, "nobody removes it"


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_whatever_the_runtime_does(seed):
    draw = Random(seed)
    world = World(draw)
    for _ in range(draw.randint(5, 60)):
        step = draw.random()
        if step < 0.12:
            world.start()
        elif step < 0.2 and world.definitions:
            world.stop(draw.choice(list(world.definitions)))
        elif step < 0.25:
            world.crash()
        elif step < 0.33:
            world.judge()
        elif step < 0.4:
            world.wait()
        elif step < 0.43:
            world.repeat()
        elif world.todo:
            world.answer()
        world.drop_given_up()
    for task in world.definitions:
        world.stop(task)
    while world.todo:
        world.answer(smooth=True)
        world.drop_given_up()
    assert world.stopped == set(world.definitions), "a task that was stopped has not ended"
    assert dict(world.agent.account.free) == REGISTERED
    assert not world.agent.account.line
    while (at := world.agent.deadline_ms) is not None:
        world.now_ms = max(at, world.now_ms)
        world.take(world.agent.due(world.now_ms))
    assert not world.exists, "a container was left behind"


def _overtakes(ask):
    def planted(self, task, share):
        if self._line and self._fits(share):
            self._take(task, share)
            return True
        return ask(self, task, share)

    return planted


PLANTED = {
    "a later task overtakes": (InstanceAccount, "ask", _overtakes),
    "dependencies are not waited for": (Container, "meets", lambda _: lambda self, what: True),
    "all stop at once": (AgentTask, "_wind_down", lambda _: _stop_all),
    "RUNNING is told with every step": (
        AgentTask,
        "_report_running",
        lambda told: lambda self: (setattr(self, "_reported_running", False), told(self)),
    ),
    "a share is never given back": (InstanceAccount, "leave", lambda _: lambda self, task: None),
}


def _stop_all(self):
    for each in self.containers.values():
        if each.phase is Phase.RUNNING:
            self._stop_container(each)
        elif each.phase < Phase.CREATING:
            self._enter(each, Phase.STOPPED)


@pytest.mark.parametrize(("owner", "name", "plant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_bug_is_found(owner, name, plant, monkeypatch):
    monkeypatch.setattr(owner, name, plant(getattr(owner, name)))
    once = test_whatever_the_runtime_does.hypothesis.inner_test
    with pytest.raises((AssertionError, KeyError)):
        [once(seed) for seed in range(500)]
